"""The page of licences lists what pyproject.toml names, and no licence asks more of a user than is expected."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from circpeft.places import clone

SBOM = os.environ.get("CIRCPEFT_SBOM", "")
# Licences under which anyone may use, change and pass on a package, also inside a closed product.
PERMISSIVE = re.compile(
    r"MIT|BSD|Apache|ISC\b|PSF|Python|0BSD|Zlib|CC0|BSL-1\.0|Unlicense|CNRI|HPND|Public Domain|blessing|LLVM-exception",
    re.IGNORECASE,
)
# The Mozilla licence asks only that changes of its own files are published; the lesser licence of GNU, that the
# library can be exchanged, as any Python package can.
OF_A_FILE = re.compile(r"MPL|Mozilla|LGPL|Lesser", re.IGNORECASE)
# docutils is in the public domain but for a few files, one of them an editor's under the licence of GNU.
IN_PARTS = {"docutils"}


@pytest.fixture(scope="module")
def page():
    """The module that writes the page."""
    sys.path.insert(0, str(clone() / "docs"))
    import list_licences

    return list_licences


def unknown(licence: str) -> list[str]:
    """Return the parts of a licence's text that are on neither list."""
    parts = re.split(r"\bAND\b|\bOR\b|\bWITH\b|, ", licence)
    return [part.strip() for part in parts if not (PERMISSIVE.search(part) or OF_A_FILE.search(part))]


def test_the_page_lists_the_dependencies_that_are_installed(page):
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.MARKED.search(text)[2] == page.table(), "run docs/list_licences.py"


def test_every_licence_on_the_page_is_expected(page):
    rows = [line.split(" | ") for line in page.table().splitlines()[2:]]
    assert len(rows) > 30
    assert {row[0]: unknown(row[1]) for row in rows if unknown(row[1])} == {}


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "MIT AND AGPL-3.0-or-later", "Proprietary", "CC-BY-NC-4.0"])
def test_a_licence_that_asks_more_is_found(licence):
    assert unknown(licence)


@pytest.mark.skipif(not SBOM, reason="CIRCPEFT_SBOM is not set; make release-check sets it")
def test_the_bill_of_materials_has_every_dependency_with_its_licence(page):
    document = json.loads((clone() / Path(SBOM)).read_text(encoding="utf-8"))
    components = {entry["name"].lower().replace("_", "-"): entry for entry in document["components"]}
    named = page.requirements()
    expected = {name.lower() for extra in ("circpeft", "train", "course") for name in named[extra]}
    assert expected <= components.keys()
    stated = {
        name: [given.get("expression") or given["license"].get("id") or given["license"]["name"] for given in licences]
        for name, entry in components.items()
        if name not in IN_PARTS and (licences := entry.get("licenses"))
    }
    assert len(stated) > 0.9 * len(components)
    assert {name: bad for name, texts in stated.items() if (bad := [text for text in texts if unknown(text)])} == {}
