"""The README's list of the papers' mistakes, from `circpeft.papers.errata()`, each proved as it is written.

.venv/bin/python benchmarks/errata.py
"""

import readme

from circpeft import papers

PART = readme.Part("errata")
NAMES = {"c3a": "C3A", "cdvft": "CDVFT"}


def readme_text() -> str:
    """The README's part: one table row a mistake."""
    lines = ["| paper | where | printed | right |", "|---|---|---|---|"]
    for erratum in papers.errata():
        erratum.proof()  # raises where it proves nothing
        cells = (NAMES[erratum.paper], erratum.place, erratum.printed, erratum.right)
        lines.append("| " + " | ".join(cell.replace("|", r"\|").replace("*", r"\*") for cell in cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PART.put(readme_text())
