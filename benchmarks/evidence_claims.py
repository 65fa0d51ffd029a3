"""Conclusions of the training parts of benchmarks/evidence.py. Each sentence is computed from the part's record.

Two settings are compared seed by seed: runs of the same seed have the same order of the rows and the same new head.
"""

from collections.abc import Iterable
from itertools import pairwise

from evidence_stats import Estimate, by_seed, changed, compared, expected_by_chance, minus, paired

TASKS = {"entailment": "entailment", "word_problems": "word problems", "digits": "digits"}
LETTERS = {"c3a": ("C3A", "b"), "cdvft": ("CDVFT", "p")}
NAMES = {"full": "full fine-tuning", "lora": "LoRA", "c3a": "C3A", "cdvft": "CDVFT"}
WRONG = ("c3a", "c3a-peft")
PRICE = "The price of PEFT's input gradient"
CHANCE = {"entailment": 0.5, "digits": 0.2}  # the score of guessing; the digits 5 to 9 are five classes


def conclusions(record: dict) -> list[str]:
    """Return the sentences that a part's record supports."""
    return SENTENCES[record["part"]](record["rows"])


def values_of(rows: list[dict], name: str, **where: object) -> list:
    """Return the sorted values that the rows have for a name, among those that agree with ``where``."""
    return sorted({row[name] for row in rows if all(row[key] == value for key, value in where.items())})


def first_upper(text: str) -> str:
    """Return the text with a capital letter first.

    >>> first_upper("word problems, C3A")
    'Word problems, C3A'
    """
    return text[:1].upper() + text[1:]


def block_size(rows: list[dict]) -> list[str]:
    """Say for each task and method what happens from each block size to the next larger one."""
    found = []
    for task, method in dict.fromkeys((row["task"], row["method"]) for row in rows):
        name, letter = LETTERS[method]
        where = {"task": task, "method": method}
        sizes = values_of(rows, "block_size", **where)
        scores = {size: by_seed(rows, **where, block_size=size) for size in sizes}
        steps = {(low, high): paired(scores[high], scores[low]) for low, high in pairwise(sizes)}
        ends = compared(
            f"{letter} = {sizes[-1]}", f"{letter} = {sizes[0]}", paired(scores[sizes[-1]], scores[sizes[0]])
        )
        start = first_upper(f"{TASKS[task]}, {name}: ")
        found.append(start + (f"{steps_text(letter, steps)} {ends}" if steps else "only one size is measured."))
    return found


def steps_text(letter: str, steps: dict[tuple[int, int], Estimate | None]) -> str:
    """Return two sentences: which steps to a larger size raise or lower the score, and what that says of the claim.

    Args:
        letter: the paper's letter for the size.
        steps: for each smaller and larger size the paired difference, larger minus smaller; None if not measured.
    """
    clear = {step: value for step, value in steps.items() if value and value.is_distinguishable}
    up, down = ([step for step, value in clear.items() if (value.mean > 0) is rises] for rises in (True, False))
    text = (
        f"of {len(steps)} steps to the next larger {letter}, {len(up)} raise{'s' if len(up) == 1 else ''} the score"
        f"{_listed(up)}, {len(down)} lower{'s' if len(down) == 1 else ''} it{_listed(down)}, and "
        f"{len(steps) - len(clear)} {'is' if len(steps) - len(clear) == 1 else 'are'} not distinguishable; "
        f"without any effect, about {expected_by_chance(steps.values()):.1f} would seem distinguishable."
    )
    if any(value is None or value.error is None for value in steps.values()):
        return f"{text} Too few seeds are measured for a conclusion."
    if up:
        return f"{text} A larger {letter} is not always worse here."
    if len(down) == len(steps):
        return f"{text} Every larger {letter} is worse here."
    return f"{text} No larger {letter} is shown to be better here, and not every larger one to be worse."


def _listed(steps: list[tuple[int, int]]) -> str:
    return f" ({', '.join(f'{low} to {high}' for low, high in steps)})" if steps else ""


def num_factors(rows: list[dict]) -> list[str]:
    """Compare m = 2 with m = 1, and m = 3 with m = 2, on each task."""
    found = []
    for task in dict.fromkeys(row["task"] for row in rows):
        numbers = values_of(rows, "m", task=task)
        scores = {m: by_seed(rows, task=task, m=m) for m in numbers}
        for low, high in pairwise(numbers):
            sentence = compared(f"m = {high}", f"m = {low}", paired(scores[high], scores[low]))
            found.append(first_upper(f"{TASKS[task]}: {sentence}"))
    return found


def scarce_data(rows: list[dict]) -> list[str]:
    """Compare C3A and CDVFT with LoRA and full fine-tuning at the fewest rows, and their lead with that at the most."""
    sizes = values_of(rows, "training_rows")
    methods = values_of(rows, "method")
    found = []
    for method in ("c3a", "cdvft"):
        for other in ("lora", "full"):
            if not {method, other} <= set(methods):
                continue
            lead = {
                size: minus(*(by_seed(rows, method=name, training_rows=size) for name in (method, other)))
                for size in sizes
            }
            few, all_rows = sizes[0], sizes[-1]
            fewest = compared(NAMES[method], NAMES[other], paired(lead[few], dict.fromkeys(lead[few], 0.0)))
            sentence = f"With {few:,} training rows, {fewest}"
            if len(sizes) > 1:
                change = paired(lead[few], lead[all_rows])
                ends = f"{few:,} rows", f"{all_rows:,} rows"
                sentence += " " + changed(f"The lead of {NAMES[method]} over {NAMES[other]}", *ends, change)
            found.append(sentence)
    return found


def price(rows: list[dict], **where: object) -> dict[int, float]:
    """Return by how much C3A's test score is higher with the right input gradient than with PEFT's, by seed."""
    right, wrong = (by_seed(rows, method=method, **where) for method in WRONG)
    return minus(right, wrong)


def wrong_gradient(rows: list[dict]) -> list[str]:
    """Say what PEFT's input gradient costs in each setting, and whether the cost grows with the depth."""
    found = []
    for task in dict.fromkeys(row["task"] for row in rows):
        settings = dict.fromkeys((r["depth"], r["block_size"], r["factor"]) for r in rows if r["task"] == task)
        prices = {s: price(rows, task=task, depth=s[0], block_size=s[1], factor=s[2]) for s in settings}
        differences = {s: paired(values, dict.fromkeys(values, 0.0)) for s, values in prices.items()}
        if not any(differences.values()):
            found.append(first_upper(f"{TASKS[task]}: no setting has both gradients with the same seed yet."))
            continue
        clear = [value for value in differences.values() if value and value.is_distinguishable]
        better, worse = sum(value.mean > 0 for value in clear), sum(value.mean < 0 for value in clear)
        found.append(
            first_upper(
                f"{TASKS[task]}: in {better} of {len(settings)} settings C3A scores distinguishably higher with the "
                f"right gradient, in {worse} with PEFT's; without any effect, about "
                f"{expected_by_chance(differences.values()):.1f} settings would differ."
            )
        )
        if low := _at_chance(rows, task, settings):
            found.append(
                first_upper(
                    f"{TASKS[task]}: in {low} of these settings both gradients score within 0.05 of guessing, so they "
                    f"cannot differ by much there."
                )
            )
        width = max(size for _, size, _ in settings)
        depths = sorted({depth for depth, size, factor in settings if size == width and factor == 1.0})
        factors = sorted({factor for depth, size, factor in settings if (depth, size) == (depths[-1], width)})
        sizes = sorted({size for depth, size, factor in settings if (depth, factor) == (depths[-1], 1.0)})
        ends = {
            "layer": [(depth, width, 1.0) for depth in (depths[-1], depths[0])],
            "rate": [(depths[-1], width, factor) for factor in (factors[-1], factors[0])],
            "size": [(depths[-1], size, 1.0) for size in (sizes[-1], sizes[0])],
        }
        for what, (most, least) in ends.items():
            if most != least:
                change = changed(PRICE, _named(what, most), _named(what, least), paired(prices[most], prices[least]))
                found.append(first_upper(f"{TASKS[task]}: {change}"))
    return found


def _named(what: str, setting: tuple[int, int, float]) -> str:
    depth, size, factor = setting
    if what == "layer":
        return f"{depth} adapted layer{'s' if depth > 1 else ''}"
    return f"{factor:g} times the rate" if what == "rate" else f"b = {size}"


def _at_chance(rows: list[dict], task: str, settings: Iterable[tuple[int, int, float]]) -> int:
    """Return the number of settings in which both gradients score within 0.05 of guessing."""
    found = 0
    for depth, size, factor in settings:
        where = {"task": task, "depth": depth, "block_size": size, "factor": factor}
        scores = [score for method in WRONG for score in by_seed(rows, method=method, **where).values()]
        found += all(score < CHANCE[task] + 0.05 for score in scores)
    return found


SENTENCES = {
    "block_size": block_size,
    "num_factors": num_factors,
    "scarce_data": scarce_data,
    "wrong_gradient": wrong_gradient,
}
