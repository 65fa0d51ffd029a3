"""The list of the papers' mistakes in docs/errata.md, from `circpeft.papers.errata()`; each one is proved first.

.venv/bin/python benchmarks/errata.py
"""

from page_parts import Part

from circpeft import papers

PART = Part("errata", "docs/errata.md")
NAMES = {"c3a": "C3A", "cdvft": "CDVFT"}


def part_text() -> str:
    """Return a table with one row a mistake."""
    lines = ["| paper | where | printed | right |", "|---|---|---|---|"]
    for erratum in papers.errata():
        erratum.proof()  # raises an error if it does not prove the mistake
        cells = (NAMES[erratum.paper], erratum.place, erratum.printed, erratum.right)
        lines.append("| " + " | ".join(cell.replace("|", r"\|").replace("*", r"\*") for cell in cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PART.write(part_text())
