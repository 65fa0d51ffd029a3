"""Comparisons between rows of C3A's printed tables, as its claims and their proofs need them."""

from __future__ import annotations

from .claims import printed_table, score_columns
from .numbers import number
from .printed import cells

BASELINES = ("BitFit", "(IA)3", "LoRA r=8", "VeRA r=1024", "VeRA r=256", "BOFT m=2 b=8")
PARAMETERS = "# Trainable Parameters"


def pairs_with_lora() -> list[tuple[str, str, str]]:
    """Return (table, row of C3A, row of LoRA) for every row of C3A in Tables 2 to 4."""
    names = {(cell.table, cell.row) for cell in cells() if cell.paper == "c3a" and cell.table in "234"}
    lora = {(table, row.split()[0]): row for table, row in names if " LoRA" in row}
    return [(table, row, lora[table, row.split()[0]]) for table, row in sorted(names) if " C3A" in row]


def wins(table: str = "3", model: str = "") -> tuple[int, int]:
    """Return in how many scores of a table C3A is ahead of LoRA, and of how many, for rows with this model name."""
    printed, ahead, scores = printed_table("c3a", table), 0, 0
    for _, c3a, lora in [pair for pair in pairs_with_lora() if pair[0] == table and model in pair[1]]:
        columns = score_columns("c3a", table, c3a)
        ahead += sum(number(printed[c3a, c]) > number(printed[lora, c]) for c in columns)
        scores += len(columns)
    return ahead, scores


def tasks_ahead(size: str) -> float:
    """Count the tasks of C3A Table 2 on which its larger setting is ahead of every other adapter."""
    rows = [row for table, row, _ in pairs_with_lora() if table == "2" and row.startswith(size) and "/1" not in row]
    two = printed_table("c3a", "2")
    others = [f"{size} {name}" for name in BASELINES if (f"{size} {name}", "Avg.") in two]
    best = {c: max(number(two[other, c]) for other in others) for c in score_columns("c3a", "2", rows[0])}
    return float(sum(number(two[rows[0], c]) > value for c, value in best.items()))


def lead(size: str) -> float:
    """Return by how much the average of C3A's larger setting in Table 2 is above the best of the other adapters."""
    two = printed_table("c3a", "2")
    averages = {row: number(two[row, "Avg."]) for row, c in two if c == "Avg." and row.startswith(size)}
    ours = max(value for row, value in averages.items() if "C3A" in row)
    return ours - max(averages[name] for name in averages if name.removeprefix(f"{size} ") in BASELINES)


def rows_with_greatest_divisor() -> tuple[int, int]:
    """Return how many rows of C3A in Tables 2 to 4 have ``b = gcd(d1, d2)``, printed as b = d/1, and of how many."""
    names = [row.rpartition("/")[2] for _, row, _ in pairs_with_lora()]
    return names.count("1"), len(names)


def scores_behind_lora() -> tuple[int, int]:
    """Return in how many scores of C3A Tables 2 to 4 LoRA is ahead of C3A, and of how many."""
    behind, scores = 0, 0
    for table, c3a, lora in pairs_with_lora():
        printed, columns = printed_table("c3a", table), score_columns("c3a", table, c3a)
        behind += sum(number(printed[lora, c]) > number(printed[c3a, c]) for c in columns)
        scores += len(columns)
    return behind, scores


def averages_behind() -> tuple[int, int]:
    """Return in how many rows of C3A in Tables 2 to 4 the average is below the same model's LoRA, and of how many."""
    pairs = pairs_with_lora()
    printed = {table: printed_table("c3a", table) for table, _, _ in pairs}
    behind = sum(
        number(printed[table][c3a, "Avg."]) < number(printed[table][lora, "Avg."]) for table, c3a, lora in pairs
    )
    return behind, len(pairs)


def more_parameters(size: str) -> list[str]:
    """Return which of (IA)3, LoRA, VeRA and BOFT have more parameters in C3A Table 2 than C3A's larger setting."""
    two = printed_table("c3a", "2")
    counts = {row: number(two[row, c]) for row, c in two if c == PARAMETERS and row.startswith(size)}
    ours = max(count for row, count in counts.items() if "C3A" in row)
    return [name for name in BASELINES[1:] if counts.get(f"{size} {name}", 0) > ours]
