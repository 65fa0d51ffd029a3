"""Settings of Sphinx for the site. `docs/site/build.py` starts it; every page is read where it is in the repository."""

import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # the extensions beside this file

project = "circpeft"
html_title = "circpeft"
project_copyright = "circpeft, Apache-2.0"
language = "en"
root_doc = "README"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "site_contents",
    "site_docstrings",
    "site_formulas",
    "site_notebooks",
]
# The sources are the repository's own files, so that a link between two of them works in both places.
include_patterns = [
    "*.md",
    "docs/*.md",
    "docs/site/**",
    "notebooks/*.ipynb",
    "benchmarks/results/*.md",
    "data/*/README.md",
]
exclude_patterns = [".*", "build", "dist", "runs", "circpeft", "tests", "**.egg-info", "**/.ipynb_checkpoints"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".rst": "restructuredtext"}

nb_execution_mode = "off"  # the course's own runner executes notebooks
nb_ipywidgets_js = {}  # the default is an address on the network
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "dollarmath", "html_image"]
myst_heading_anchors = 4
# A link to a file that is not a page, such as a record in JSON, offers the file.
suppress_warnings = ["myst.xref_missing_file"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures stay short: the docstrings say what an argument is
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
default_role = "py:obj"  # a name in single backquotes is a link if it is documented, and code otherwise

html_theme = "pydata_sphinx_theme"
html_math_renderer = "mathml"
html_static_path = ["static", str(Path(find_spec("plotly").origin).parent / "package_data" / "plotly.min.js")]
html_css_files = ["site.css"]
html_copy_source = False
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system
html_show_search_summary = False  # it fetches pages, which browsers forbid for files on disk
html_sidebars = {"README": []}
html_theme_options = {
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
