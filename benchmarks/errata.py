"""The papers' errata in docs/errata.md, each one proved first, and the versions of C3A in docs/c3a-versions.md.

.venv/bin/python benchmarks/errata.py
"""

from page_parts import Part

from circpeft import papers

PART, VERSIONS = Part("errata", "docs/errata.md"), Part("versions", "docs/c3a-versions.md")
NAMES = {"c3a": "C3A", "cdvft": "CDVFT"}
HEADINGS = {
    "mistake": ("Mistakes", "An equation does not hold, or text and tables contradict each other."),
    "overstated claim": ("Overstated claims", "True in many cases, but not in all that the sentence covers."),
    "omission": ("Omissions", "Announced or needed, but not printed."),
    "difference between versions": (
        "Differences between versions",
        "What to know if you read one version of C3A with the other: [all differences](c3a-versions.md).",
    ),
    "observation": ("Observations", "The papers are not wrong here. These facts help to read them."),
}  # fmt: skip


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|").replace("*", r"\*") for cell in cells) + " |"


def part_text() -> str:
    """Return one section per kind, with a table of one row per erratum."""
    lines = []
    for kind, (heading, meaning) in HEADINGS.items():
        lines += [f"## {heading}", "", meaning, "", "| paper | where | printed | what holds |", "|---|---|---|---|"]
        for erratum in papers.errata():
            if erratum.kind == kind:
                erratum.proof()  # raises an error if it does not prove the erratum
                lines.append(_row(NAMES[erratum.paper], erratum.place, erratum.printed, erratum.right))
        lines.append("")
    return "\n".join(lines)


def versions_text() -> str:
    """Return a table with one row per difference between the versions of C3A."""
    lines = ["| what | where | first version | later version | what follows |", "|---|---|---|---|---|"]
    for d in papers.version_differences():
        lines.append(_row(d.subject, d.place, d.first, d.later, d.effect))
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PART.write(part_text())
    VERSIONS.write(versions_text())
