"""The README's list of the papers' mistakes, from `circpeft.papers.errata()`, each proved as it is written.

.venv/bin/python benchmarks/errata.py
"""

import re

from circpeft import papers, results

README = results.ROOT / "README.md"
MARKED = re.compile(r"(<!-- errata -->\n).*?(<!-- /errata -->)", re.DOTALL)
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
    text = README.read_text(encoding="utf-8")
    results.write_atomically(README, MARKED.sub(lambda match: match[1] + readme_text() + match[2], text))
