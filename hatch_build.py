"""What the build adds to pyproject.toml: the files of the course, and a readme that can be read outside the clone."""

import re
import runpy
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?P<picture>!?)\[(?P<label>[^\]]*)\]\((?P<target>[^)\s]+)\)")
PAPERS = {"Paper of C3A": "https://arxiv.org/abs/2407.19342", "Paper of CDVFT": "https://arxiv.org/abs/2505.00580"}


class CourseFiles(BuildHookInterface):
    """Put the files of the course into the wheel. An installation from a clone in place uses those of the clone."""

    def initialize(self, version: str, build_data: dict) -> None:
        if version != "editable":
            places = runpy.run_path(str(Path(self.root, "circpeft", "places.py")))
            for name, path in places["course_files"](Path(self.root)).items():
                build_data["force_include"][str(path)] = f"circpeft/{places['IN_PACKAGE']}/{name}"


class Readme(MetadataHookInterface):
    """Set the readme and the addresses of the package from the address of the repository."""

    def update(self, metadata: dict) -> None:
        repository = self.config["repository"].rstrip("/")
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(text, repository)}
        metadata["urls"] = dict(PAPERS)
        if repository:
            metadata["urls"]["Repository"] = repository
            metadata["urls"]["Changelog"] = f"{repository}/blob/HEAD/CHANGELOG.md"


def absolute(text: str, repository: str) -> str:
    """Return Markdown with absolute links to the files of a repository; without its address, with their labels only.

    >>> absolute("See [limits](docs/limits.md#a) and [C3A](https://arxiv.org/x).", "https://example.org/c")
    'See [limits](https://example.org/c/blob/HEAD/docs/limits.md#a) and [C3A](https://arxiv.org/x).'
    >>> absolute("See [limits](docs/limits.md). ![A plot](a.png)", "")
    'See limits. '
    """

    def replaced(match: re.Match) -> str:
        picture, label, target = match["picture"], match["label"], match["target"]
        if "://" in target or target.startswith("#"):
            return match[0]
        if not repository:
            return "" if picture else label
        return f"{picture}[{label}]({repository}/{'raw' if picture else 'blob'}/HEAD/{target})"

    return LINK.sub(replaced, text)
