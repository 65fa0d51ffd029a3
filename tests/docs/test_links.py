"""Links between the pages lead somewhere, and every path that a page names exists."""

import re
from pathlib import Path

import pytest

from circpeft import results

ROOT = results.ROOT
DOCS = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md"))]
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *DOCS]
# Where a path in a page starts, if it is one of the repository's.
FOLDERS = ("circpeft", "tests", "docs", "benchmarks", "notebooks", "data", ".ci")
# Names in capital letters stand for whatever the reader has: train/CLASS/1.jpg.
PLACEHOLDER = re.compile(r"(?<![A-Za-z])[A-Z]{3,}(?![A-Za-z.])")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def links(page: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", without_code(text_of(page)))


def test_the_reader_of_links_reads():
    assert "docs/peft.md" in links("README.md") and "benchmarks/results/entailment.png" in links("README.md")
    assert anchors("# A page\n\n## What `this` shows: all, and more\n") == {"a-page", "what-this-shows-all-and-more"}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page):
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), f"{page}: {link}"


def test_the_index_links_to_every_page_and_every_page_back():
    listed = {link for link in links("docs/index.md") if not link.startswith("..") and "#" not in link}
    others = {Path(page).name for page in DOCS} - {"index.md"}
    assert listed == others
    assert all("index.md" in links(f"docs/{name}") for name in others)


def paths(text: str) -> set[str]:
    """Return what a page names as a path of the repository, in code."""
    words = {word.rstrip(".,:;") for code in re.findall(r"`([^`\n]+)`", text) for word in code.split()}
    fenced = re.findall(r"^```.*?^```", text, flags=re.DOTALL | re.MULTILINE)
    words |= {word.rstrip(",;") for block in fenced for word in block.split()}
    return {word for word in words if word.split("/")[0] in FOLDERS and "/" in word and not PLACEHOLDER.search(word)}


def test_the_reader_of_paths_reads():
    assert paths("`circpeft/ops`, `tests/test_imports.py`, `train/CLASS/1.jpg`, `data/CLASS/x`, data/x") == {
        "circpeft/ops",
        "tests/test_imports.py",
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_path_in_a_page_exists(page):
    for path in paths(text_of(page)):
        assert any(ROOT.glob(path)), f"{page} names {path}"


def bare_modules(text: str) -> list[tuple[str, str]]:
    """Return the names of modules without a folder, each with the folder of the last path before it, or ""."""
    folder, modules = "", []
    for code in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)):
        if code.split("/")[0] in FOLDERS and "/" in code:
            folder = code if code.endswith("/") else code.rpartition("/")[0]
        elif re.fullmatch(r"\w+\.py", code):
            modules.append((folder, code))
    return modules


def test_the_reader_of_bare_modules_reads():
    assert bare_modules("`setup.py`, `docs/layers.py` and `draw_layers.py`") == [
        ("", "setup.py"),
        ("docs", "draw_layers.py"),
    ]


@pytest.mark.parametrize("page", PAGES)
def test_a_module_without_a_folder_is_beside_the_path_before_it(page):
    for folder, name in bare_modules(text_of(page)):
        assert (ROOT / folder / name).is_file(), f"{page} names {name} after {folder}"


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_a_name_in_a_module_is_defined_there(page):
    """Of "`Backend` in `circpeft/ops/backends/protocol.py`", the module defines the name."""
    named = re.findall(r"`(\w+)` in\s+`([\w/]+/\w+\.py)`", text_of(page))
    assert named
    for name, path in named:
        assert re.search(rf"^(class )?{name}\b", text_of(path), re.MULTILINE), f"{page}: {name} in {path}"
