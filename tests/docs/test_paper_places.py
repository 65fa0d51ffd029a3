"""A statement about a paper, on a page or in a notebook, has its section, equation or table beside it."""

import json
import re

import pytest

from circpeft import results

SAYS = re.compile(
    r"\b([Tt]he papers?|C3A|CDVFT)('s text)?( \([^)]*\))? (also |only )?"
    r"(does not say|does not print|prints?|says?|claims?|promises|concludes|reports|announces|cites|argues)\b"
)
PLACE = re.compile(r"\b([Ss]ections?|Eq\.|Tables?|Figures?|abstract|caption|first version|later version) ?")
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (results.ROOT / "docs").glob("*.md"))]
NOTEBOOKS = sorted(f"notebooks/{path.name}" for path in (results.ROOT / "notebooks").glob("*.ipynb"))


def passages(path: str) -> list[str]:
    """Return the paragraphs and list items of a page, or the text cells of a notebook, each on one line."""
    text = (results.ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        parts = re.split(r"\n\s*\n|\n(?=[-|] )", text)
    else:
        parts = ["".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown"]
    return [" ".join(part.split()) for part in parts]


def test_the_reader_finds_statements():
    assert SAYS.search("The paper prints 12.83 GB") and SAYS.search("CDVFT (section 4.1) says that r = 8")
    assert not SAYS.search("The paper lies on the table") and not PLACE.search("in the paper")
    found = [passage for path in [*PAGES, *NOTEBOOKS] for passage in passages(path) if SAYS.search(passage)]
    assert len(found) > 10


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS])
def test_a_statement_about_a_paper_names_its_place(path):
    without = [passage[:200] for passage in passages(path) if SAYS.search(passage) and not PLACE.search(passage)]
    assert not without
