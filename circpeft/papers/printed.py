"""The seven printed tables: C3A (arXiv 2407.19342, its later version) and CDVFT (arXiv 2505.00580).

C3A's first version has Tables 1 and 2. Its Table 1 is here, too; the figures of its Table 2 are those of the later
version, without the row "base Full".
"""

from __future__ import annotations

from dataclasses import dataclass

GLUE = ("SST-2", "MRPC", "CoLA", "QNLI", "RTE", "STS-B", "Avg.")
IMAGES = ("Pets", "Cars", "DTD", "EuroSAT", "FGVC", "RESISC", "Avg.")
# (paper, table) -> (columns, rows). One line per row: its name, a colon, its cells. "-" is an empty cell.
TABLES: dict[tuple[str, str], tuple[tuple[str, ...], str]] = {
    ("c3a", "1"): (
        ("Time", "# Param", "# Other", "# Total"),
        """
        LoRA: O(r(d1+d2)) | r(d1+d2) | 0 | r(d1+d2)
        VeRA: O(rv(d1+d2)) | rv+d1 | rv(d1+d2) | rv(d1+d2)+rv+d1
        C3A: O((d1+d2)log(b)+d1d2/b) | d1d2/b | b | d1d2/b+b
        """,
    ),
    ("c3a", "2"): (
        ("# Trainable Parameters", "Memory Cost (GB)", *GLUE),
        """
        base Full: 124M 17.19 94.01±0.39 87.10±0.79 62.00±1.16 92.40±0.28 77.33±2.68 90.70±0.14 83.92
        base BitFit: 102K 12.60 93.30±0.30 85.80±0.21 59.21±1.74 91.96±0.18 73.07±1.34 90.18±0.17 82.25
        base (IA)3: 111K 19.86 92.98±0.34 85.86±0.59 60.49±1.09 91.56±0.17 69.10±1.18 90.06±0.21 81.67
        base LoRA r=8: 295K 13.75 94.50±0.41 85.68±0.74 60.95±1.57 92.54±0.20 76.68±1.42 89.76±0.39 83.35
        base VeRA r=1024: 43K 15.51 93.97±0.17 86.23±0.41 62.24±1.91 91.85±0.17 75.74±1.56 90.27±0.25 83.38
        base BOFT m=2 b=8: 166K 13.11 93.23±0.50 84.37±0.54 59.50±1.25 91.69±0.12 74.22±0.84 89.63±0.37 82.11
        base C3A b=768/1: 18K 12.83 93.42±0.26 86.33±0.32 61.83±0.96 91.83±0.04 76.17±1.39 90.46±0.29 83.34
        base C3A b=768/6: 111K 12.72 94.20±0.16 86.67±0.54 62.48±1.20 92.32±0.25 77.18±1.41 90.16±0.42 83.84
        large BitFit: 271K 30.65 95.09±0.27 88.10±0.76 65.40±0.76 94.06±0.14 82.60±1.15 91.73±0.20 86.16
        large (IA)3: 295K 48.81 95.32±0.20 87.06±0.57 66.52±1.10 94.18±0.15 84.33±2.38 91.58±0.39 86.50
        large LoRA r=8: 786K 34.12 95.53±0.35 86.12±3.22 65.16±0.76 93.73±0.30 83.75±0.51 91.46±0.21 85.96
        large VeRA r=256: 61K 34.16 95.83±0.43 87.72±0.55 63.66±1.45 94.11±0.20 83.03±1.65 91.12±0.37 85.91
        large BOFT m=2 b=8: 442K 33.08 95.76±0.41 88.28±0.33 64.72±2.37 93.89±0.14 82.82±1.40 91.03±0.32 86.08
        large C3A b=1024/1: 49K 31.83 95.78±0.05 88.02±0.62 66.59±1.20 94.22±0.25 82.89±0.67 91.86±0.14 86.56
        large C3A b=1024/8: 393K 31.79 95.78±0.15 88.09±0.47 67.18±1.92 94.26±0.19 84.62±1.36 91.81±0.36 86.96
        """,
    ),
    ("c3a", "3"): (
        ("# Trainable Parameters", "GSM8k", "MATH", "ViGGO", "SQL", "Avg."),
        """
        LLaMA2-7B LoRA r=32: 16.8M 27.22 4.10 92.24 65.39 47.24
        LLaMA2-7B C3A b=4096/32: 8.4M 29.34 4.25 94.03 66.21 48.46
        LLaMA2-13B LoRA r=32: 26.2M 42.68 6.70 93.19 67.53 52.53
        LLaMA2-13B C3A b=5120/32: 13.1M 42.00 6.65 95.57 67.28 52.88
        LLaMA3-8B LoRA r=32: 13.6M 56.57 18.95 91.78 68.19 58.87
        LLaMA3-8B C3A b=4096/32: 5.2M 57.54 19.75 93.07 69.47 59.96
        """,
    ),
    ("c3a", "4"): (
        ("# Trainable Parameters", *IMAGES),
        """
        base Head: - 90.28±0.43 25.76±0.28 69.77±0.67 88.72±0.13 17.44±0.43 74.22±0.10 61.03
        base Full: 85.8M 92.82±0.54 85.10±0.21 80.11±0.56 99.11±0.07 61.60±1.00 96.00±0.23 85.79
        base LoRA r=16: 590K 93.76±0.44 78.04±0.33 78.56±0.62 98.84±0.08 56.64±0.55 94.66±0.17 83.42
        base C3A b=768/12: 221K 93.88±0.22 79.05±0.35 80.57±0.53 98.88±0.07 54.31±0.79 94.54±0.23 83.54
        large Head: - 91.11±0.30 37.91±0.27 73.33±0.26 92.64±0.08 24.62±0.24 82.02±0.11 66.94
        large Full: 303M 94.30±0.31 88.15±0.50 80.18±0.66 99.06±0.10 67.38±1.06 96.08±0.20 87.53
        large LoRA r=16: 1.57M 94.62±0.47 86.11±0.42 80.09±0.42 98.99±0.03 63.64±0.83 95.94±0.21 86.56
        large C3A b=1024/16: - 94.48±0.30 84.94±0.39 82.62±0.52 98.75±0.19 63.80±0.37 95.52±0.16 86.69
        """,
    ),
    ("cdvft", "1"): (
        GLUE,
        """
        FF: 94.8 90.2 63.6 92.8 78.7 91.2 85.2
        LoRA: 95.1±0.2 89.7±0.7 63.4±1.2 93.3±0.3 78.4±0.8 91.5±0.2 85.2
        VeRA: 94.6±0.1 89.5±0.5 65.8±0.8 91.8±0.2 78.7±0.7 90.7±0.2 85.2
        FourierFT: 94.2±0.3 90.0±0.8 63.8±1.6 92.2±0.1 79.1±0.5 90.8±0.2 85.0
        CDVFT p=768: 94.4±0.5 90.2±0.3 64.5±1.2 92.2±0.2 78.7±1.2 90.5±0.2 85.1
        """,
    ),
    ("cdvft", "2"): (
        ("FLOPs", "Param.", "RESISC45", "CIFAR100", "Avg."),
        """
        FF: - - 96.1 92.4 94.2
        LoRA: 0.61M 0.59M 92.7 92.0 92.4
        VeRA: 9.48M 0.02M 77.0 84.8 80.9
        FourierFT: 1.41G 0.07M 92.0 91.2 91.6
        CDVFT p=768: 2.72M 0.06M 92.0 91.1 91.6
        """,
    ),
    ("cdvft", "3"): (
        (
            "MT-Bench FLOPs",
            "MT-Bench Param.",
            "MT-Bench Score",
            "GSM8K FLOPs",
            "GSM8K Param.",
            "GSM8K Acc.",
        ),
        """
        LoRA: 0.03G 33.55M 5.20 0.01G 28.05M 36.9
        VeRA: 2.29G 1.65M 5.08 - - -
        FourierFT: 133.14G 0.06M 5.18 - - -
        LaMDA: - - - 0.06G 4.37M 37.9
        LaMDA++: - - - - 5.12M 38.2
        CDVFT p=2048: 0.06G 1.05M 5.42 0.22G 7.26M 37.8
        CDVFT p=4096: 0.05G 0.79M 5.27 0.17G 4.51M 37.9
        """,
    ),
}

FIRST_VERSION = "1, first version"  # the table of the cells of `first_version_cells`
FIRST_VERSION_TABLE = (
    ("Time", "# Parameter", "# Other", "# Total"),
    """
    LoRA: O(rd) | 2rd | r | 2rd+r
    VeRA: O(rv d) | rv+d | 2rv d+rv+d | 2(rv d+rv+d)
    C3A: O(bd log(d/b)) | bd | 0 | bd
    """,
)


@dataclass(frozen=True)
class Cell:
    """One printed cell: its paper, table, row, column and text."""

    paper: str
    table: str
    row: str
    column: str
    printed: str


def _parsed(paper: str, table: str, columns: tuple[str, ...], text: str) -> list[Cell]:
    parsed = []
    for line in text.strip().splitlines():
        row, _, rest = line.strip().partition(": ")
        values = [value.strip() for value in (rest.split("|") if "|" in rest else rest.split())]
        if len(values) != len(columns):
            raise ValueError(f"{paper} table {table}, row {row!r}: {len(values)} cells for {len(columns)} columns")
        parsed += [Cell(paper, table, row, column, value) for column, value in zip(columns, values, strict=True)]
    return parsed


def cells() -> list[Cell]:
    """Return every cell of the seven tables in printed order.

    Raises:
        ValueError: a row has more or fewer cells than its table has columns.

    >>> len(cells()), cells()[0].printed
    (349, 'O(r(d1+d2))')
    """
    return [cell for (paper, table), rows in TABLES.items() for cell in _parsed(paper, table, *rows)]


def first_version_cells() -> list[Cell]:
    """Return the cells of Table 1 in C3A's first version, where b is the number of blocks per side.

    >>> [cell.printed for cell in first_version_cells() if cell.row == "C3A"]
    ['O(bd log(d/b))', 'bd', '0', 'bd']
    """
    return _parsed("c3a", FIRST_VERSION, *FIRST_VERSION_TABLE)
