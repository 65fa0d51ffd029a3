"""The map of the course in notebook 00 and the table in the README list the same notebooks in the same words."""

import re

import nbformat

from circpeft import results

FOLDER = results.ROOT / "notebooks"


def rows(text: str) -> dict[str, str]:
    """Return what a table says about each notebook that it links to."""
    return dict(re.findall(r"^\| \[\w+\]\((?:notebooks/)?(\w+\.ipynb)\) \| (.*) \|$", text, re.MULTILINE))


def test_map_and_readme_describe_every_notebook_in_the_same_words():
    cells = nbformat.read(FOLDER / "00_start.ipynb", as_version=4).cells
    course_map = rows("\n".join(cell.source for cell in cells if cell.cell_type == "markdown"))
    assert list(course_map) == sorted(path.name for path in FOLDER.glob("*.ipynb"))
    assert course_map == rows((results.ROOT / "README.md").read_text(encoding="utf-8"))
