"""The table of benchmarks/steadiness.py: scores of each variant over the seeds, and the steps of Adam by frequency."""

from statistics import mean, stdev

from page_parts import device_text

BLOCK_SIZE = 128  # of every layer: the hidden size of small-llama


def summary(scores: dict[int, float], seeds: list[int]) -> str:
    """Return the cells of a table: the score of every seed, the mean and the standard deviation.

    >>> summary({0: 0.5, 2: 0.7}, [0, 1, 2])
    '0.500, -, 0.700 | 0.600 | 0.141'
    """
    each = ", ".join(f"{scores[seed]:.3f}" if seed in scores else "-" for seed in seeds)
    return f"{each} | {mean(scores.values()):.3f} | " + (f"{stdev(scores.values()):.3f}" if len(scores) > 1 else "")


def updates_text(rows: list[dict], changes: dict[str, str]) -> str:
    """Return two sentences on the sizes of Adam's steps at frequency 0 and at the others, for some of the variants."""
    parts, largest = [], 0.0
    for name in ("baseline", "beta2-0.95", "half-rate", "double-rate"):
        notes = [note for row in rows if row["variant"] == name for note in row["updates"]]
        if notes:
            zero, others = (mean(note[key] ** 2 for note in notes) ** 0.5 for key in ("zero", "others"))
            parts.append(f"{zero:.2f} and {others:.2f} ({changes[name]})")
            largest = max(largest, *(note["largest"] for note in notes))
    if not parts:
        return ""
    return (
        "Root mean square of Adam's steps in units of the learning rate, at frequency 0 of the kernels and at the "
        f"other frequencies, every 25 steps: {'; '.join(parts)}. The largest of all steps at one frequency is "
        f"{largest:.1f}; at frequency 0, steps of equal signs would have sqrt(b) = {BLOCK_SIZE**0.5:.1f}."
    )


def part_text(rows: list[dict], others: list[dict], changes: dict[str, str]) -> str:
    """Return a table of test scores with a row per variant, then one per method of ``others``, and two sentences.

    Args:
        rows: runs of the variants.
        others: runs of other methods with the same recipe.
        changes: the name of each variant, and what it changes.
    """
    seeds = sorted({row["seed"] for row in rows})
    heads = ["change", f"test score with seeds {', '.join(map(str, seeds))}", "mean", "standard deviation", "clipped"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name in dict.fromkeys(row["variant"] for row in rows):
        of = [row for row in rows if row["variant"] == name]
        norms = [norm for row in of for norm in row["gradient_norms"]]
        clipped = f"{sum(norm > 1 for norm in norms) / len(norms):.0%}" if norms else ""
        scores = {row["seed"]: row["test_score"] for row in of}
        lines.append(f"| {changes[name]} | {summary(scores, seeds)} | {clipped} |")
    for method in dict.fromkeys(row["method"] for row in others):
        scores = {row["seed"]: row["test_score"] for row in others if row["method"] == method}
        lines.append(f"| instead: {method} | {summary(scores, seeds)} | |")
    devices = " and ".join(sorted({device_text(row["device"]) for row in rows}))
    return "\n".join(
        [
            *lines,
            "",
            "Word problems on small-llama, C3A with one kernel per layer, five epochs. Each row changes only "
            "the setting that it names. Clipped is the share of the logged steps in which the gradient had a norm "
            "above 1. "
            f"{updates_text(rows, changes)} {devices}; torch {rows[0]['versions']['torch']}. Records: "
            "`benchmarks/results/steadiness.json`, by `benchmarks/steadiness.py`; the last rows are those of "
            "`one_rate.json`.",
            "",
        ]
    )
