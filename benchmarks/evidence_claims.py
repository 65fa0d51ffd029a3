"""Differences in the training parts of benchmarks/evidence.py, computed from their records.

Two settings are compared seed by seed: runs of the same seed have the same order of the rows and the same new head.
"""

from collections.abc import Iterable
from itertools import pairwise

from evidence_stats import Comparisons, Estimate, by_seed, difference_text, expected_by_chance, minus, paired

TASKS = {"entailment": "entailment", "word_problems": "word problems", "digits": "digits"}
LETTERS = {"c3a": ("C3A", "b"), "cdvft": ("CDVFT", "p")}
NAMES = {"full": "full fine-tuning", "lora": "LoRA", "c3a": "C3A", "cdvft": "CDVFT"}
WRONG = ("c3a", "c3a-peft")
CHANCE = {"entailment": 0.5, "digits": 0.2}  # the score of guessing; the digits 5 to 9 are five classes


def comparisons(record: dict) -> Comparisons:
    """Return the differences between the settings of a part's record."""
    return COMPARED[record["part"]](record["rows"])


def values_of(rows: list[dict], name: str, **where: object) -> list:
    """Return the sorted values that the rows have for a name, among those that agree with ``where``."""
    return sorted({row[name] for row in rows if all(row[key] == value for key, value in where.items())})


def first_upper(text: str) -> str:
    """Return the text with a capital letter first.

    >>> first_upper("word problems, C3A")
    'Word problems, C3A'
    """
    return text[:1].upper() + text[1:]


def steps_of(rows: list[dict], name: str, **where: object) -> dict:
    """Return, for each value of ``name`` but the lowest, the score minus that at the next lower value."""
    values = values_of(rows, name, **where)
    scores = {value: by_seed(rows, **where, **{name: value}) for value in values}
    return {high: paired(scores[high], scores[low]) for low, high in pairwise(values)}


def block_size(rows: list[dict]) -> Comparisons:
    """Compare the largest block size with the smallest, and judge the changes from each size to the next larger one."""
    lines, notes, changes = [], [], []
    for task, method in dict.fromkeys((row["task"], row["method"]) for row in rows):
        name, letter = LETTERS[method]
        where = {"task": task, "method": method}
        sizes = values_of(rows, "block_size", **where)
        if len(sizes) < 2:
            continue
        ends = paired(*(by_seed(rows, **where, block_size=size) for size in (sizes[-1], sizes[0])))
        largest, smallest = f"{letter} = {sizes[-1]}", f"{letter} = {sizes[0]}"
        lines.append((TASKS[task], name, largest, smallest, difference_text(ends)))
        steps = list(steps_of(rows, "block_size", **where).values())
        changes += steps
        if found := verdict(letter, steps):
            notes.append(first_upper(f"{TASKS[task]}, {name}: {found}"))
    heads = ("task", "method", "largest block", "smallest block", "difference")
    return Comparisons(heads, lines, [*([counts_text(changes)] if changes else []), *notes])


def gains_and_losses(differences: Iterable[Estimate | None]) -> tuple[int, int]:
    """Return how many of the differences are distinguishable, above and below zero."""
    clear = [value.mean for value in differences if value and value.is_distinguishable]
    return sum(mean > 0 for mean in clear), sum(mean < 0 for mean in clear)


def counts_text(changes: list[Estimate | None]) -> str:
    """Return how many changes to the next larger block are distinguishable gains and losses."""
    up, down = gains_and_losses(changes)
    return (
        f"Of {len(changes)} changes to the next larger block, distinguishable: {up} gain{'s' * (up != 1)}, "
        f"{down} loss{'es' * (down != 1)}. By chance it would be {expected_by_chance(changes):.1f} in all."
    )


def verdict(letter: str, changes: list[Estimate | None]) -> str:
    """Return what the changes to each next larger size say of the claim that a larger size is worse; "" if nothing.

    Args:
        letter: the paper's letter for the size.
        changes: the score minus that of the next smaller size; None if not measured.
    """
    if any(change is None or change.error is None for change in changes):
        return "too few seeds for a conclusion."
    up, down = gains_and_losses(changes)
    if up:
        return f"a larger {letter} is not always worse."
    return f"every larger {letter} is worse." if down == len(changes) else ""


def num_factors(rows: list[dict]) -> Comparisons:
    """Compare m = 2 with m = 1, and m = 3 with m = 2, on each task."""
    lines = []
    for task in dict.fromkeys(row["task"] for row in rows):
        numbers = values_of(rows, "m", task=task)
        steps = steps_of(rows, "m", task=task)
        for low, high in pairwise(numbers):
            lines.append((TASKS[task], f"m = {high}", f"m = {low}", difference_text(steps[high])))
    return Comparisons(("task", "score with", "minus score with", "difference"), lines)


def scarce_data(rows: list[dict]) -> Comparisons:
    """Compare C3A and CDVFT with LoRA and full fine-tuning at the fewest and the most rows."""
    sizes = values_of(rows, "training_rows")
    methods = values_of(rows, "method")
    few, most = sizes[0], sizes[-1]
    lines = []
    for method in ("c3a", "cdvft"):
        for other in ("lora", "full"):
            if {method, other} <= set(methods):
                lead = {
                    size: minus(*(by_seed(rows, method=name, training_rows=size) for name in (method, other)))
                    for size in (few, most)
                }
                at = [difference_text(paired(values, dict.fromkeys(values, 0.0))) for values in lead.values()]
                change = difference_text(paired(lead[few], lead[most]))
                lines.append((f"{NAMES[method]} minus {NAMES[other]}", *at, *([change] if few != most else [])))
    heads = dict.fromkeys((f"{few:,} rows", f"{most:,} rows"))
    change = (f"{few:,} rows minus {most:,} rows",) if few != most else ()
    return Comparisons(("difference", *heads, *change), lines)


def price(rows: list[dict], **where: object) -> dict[int, float]:
    """Return by how much C3A's test score is higher with the right input gradient than with PEFT's, by seed."""
    right, wrong = (by_seed(rows, method=method, **where) for method in WRONG)
    return minus(right, wrong)


def wrong_gradient(rows: list[dict]) -> Comparisons:
    """Compare the price of PEFT's input gradient over depths, rates and block sizes, and count where it is clear."""
    lines, notes = [], []
    for task in dict.fromkeys(row["task"] for row in rows):
        settings = dict.fromkeys((r["depth"], r["block_size"], r["factor"]) for r in rows if r["task"] == task)
        prices = {s: price(rows, task=task, depth=s[0], block_size=s[1], factor=s[2]) for s in settings}
        differences = {s: paired(values, dict.fromkeys(values, 0.0)) for s, values in prices.items()}
        if not any(differences.values()):
            notes.append(first_upper(f"{TASKS[task]}: no setting has both gradients with the same seed yet."))
            continue
        notes.append(first_upper(f"{TASKS[task]}: {_counts(differences)}"))
        if low := _at_chance(rows, task, settings):
            notes.append(
                first_upper(
                    f"{TASKS[task]}: settings in which both gradients score within 0.05 of guessing: {low} of "
                    f"{len(settings)}. There the two cannot differ by much."
                )
            )
        for what, (most, least) in _ends(settings).items():
            if most != least:
                growth = difference_text(paired(prices[most], prices[least]))
                lines.append((TASKS[task], _named(what, most), _named(what, least), growth))
    return Comparisons(("task", "price at", "minus the price at", "difference"), lines, notes)


def _counts(differences: dict[tuple, Estimate | None]) -> str:
    """Say in how many settings each gradient scores distinguishably higher, and how many would by chance."""
    better, worse = gains_and_losses(differences.values())
    return (
        f"the right gradient scores distinguishably higher in {better} of {len(differences)} settings, PEFT's in "
        f"{worse}; by chance it would be {expected_by_chance(differences.values()):.1f} in all."
    )


def _ends(settings: Iterable[tuple[int, int, float]]) -> dict[str, list[tuple[int, int, float]]]:
    """Return the two ends of each series of settings: over depths, over rates, and over block sizes."""
    settings = list(settings)
    width = max(size for _, size, _ in settings)
    depths = sorted({depth for depth, size, factor in settings if size == width and factor == 1.0})
    factors = sorted({factor for depth, size, factor in settings if (depth, size) == (depths[-1], width)})
    sizes = sorted({size for depth, size, factor in settings if (depth, factor) == (depths[-1], 1.0)})
    return {
        "layer": [(depth, width, 1.0) for depth in (depths[-1], depths[0])],
        "rate": [(depths[-1], width, factor) for factor in (factors[-1], factors[0])],
        "size": [(depths[-1], size, 1.0) for size in (sizes[-1], sizes[0])],
    }


def _named(what: str, setting: tuple[int, int, float]) -> str:
    depth, size, factor = setting
    if what == "layer":
        return f"{depth} adapted layer{'s' if depth > 1 else ''}"
    return f"{factor:.3g} times the rate" if what == "rate" else f"b = {size}"


def _at_chance(rows: list[dict], task: str, settings: Iterable[tuple[int, int, float]]) -> int:
    """Return the number of settings in which both gradients score within 0.05 of guessing."""
    found = 0
    for depth, size, factor in settings:
        where = {"task": task, "depth": depth, "block_size": size, "factor": factor}
        scores = [score for method in WRONG for score in by_seed(rows, method=method, **where).values()]
        found += all(score < CHANCE[task] + 0.05 for score in scores)
    return found


COMPARED = {
    "block_size": block_size,
    "num_factors": num_factors,
    "scarce_data": scarce_data,
    "wrong_gradient": wrong_gradient,
}
