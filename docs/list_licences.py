"""Write the table of dependencies and their licences in docs/licences.md.

    .venv/bin/python docs/list_licences.py

The licences are those that the installed packages state of themselves.
"""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("licences.md")
MARKED = re.compile(r"(<!-- licences -->\n)(.*?)(<!-- /licences -->)", re.DOTALL)
# These extras bring what a user of the package runs, and make setup installs them. The others build, document and test
# it; the two packages of the extra quantized are not in the environment of the tests.
EXTRAS = ("train", "course", "cluster", "gguf", "onnx", "completion", "math", "clients")
WITHOUT_EXTRA = "circpeft"
CLASSIFIER = "License :: OSI Approved :: "


def requirements() -> dict[str, list[str]]:
    """Return the packages that each extra names in pyproject.toml, without those of circpeft itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {
        WITHOUT_EXTRA: project["dependencies"],
        **{extra: project["optional-dependencies"][extra] for extra in EXTRAS},
    }
    return {
        extra: [name for entry in entries if (name := Requirement(entry).name) != "circpeft"]
        for extra, entries in named.items()
    }


def licence(package: str) -> str:
    """Return the licence that an installed package states: its expression, its classifiers, or its free text.

    Raises: importlib.metadata.PackageNotFoundError if it is not installed; ValueError if it states none.
    """
    stated = metadata.metadata(package)
    classifiers = [line.removeprefix(CLASSIFIER) for line in stated.get_all("Classifier", []) if CLASSIFIER in line]
    text = stated.get("License-Expression") or ", ".join(classifiers) or stated.get("License", "")
    if not text:
        raise ValueError(f"{package} states no licence")
    return text.splitlines()[0]


def table() -> str:
    """Return the rows of the page: package, licence, and the extra that brings it."""
    rows = ["| package | licence | installed with |", "|---|---|---|"]
    seen = set()
    for extra, packages in requirements().items():
        for package in sorted(packages, key=str.lower):
            if (name := canonicalize_name(package)) not in seen:
                seen.add(name)
                where = "`circpeft`" if extra == WITHOUT_EXTRA else f"`circpeft[{extra}]`"
                rows.append(f"| {package} | {licence(package)} | {where} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(MARKED.sub(lambda found: found[1] + table() + found[3], page), encoding="utf-8")
