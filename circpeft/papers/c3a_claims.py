"""Numbers and comparisons in the text of C3A, recomputed from its printed tables and the cost model."""

from __future__ import annotations

from statistics import median
from typing import Any

from .. import costs
from .claims import AT_LEAST_AS_GOOD, claim, columns_at_least_as_good, printed_table, verdict_if
from .numbers import number
from .printed import cells

BASELINES = tuple(f"base {name}" for name in ("BitFit", "(IA)3", "LoRA r=8", "VeRA r=1024", "BOFT m=2 b=8"))
# (width, block size of C3A, rank of LoRA) of the pairs in Tables 2 to 4.
SIZES = [(768, 128, 8), (1024, 128, 8), (4096, 128, 32), (5120, 160, 32), (768, 64, 16), (1024, 64, 16)]


def wins(model: str = "") -> tuple[int, int]:
    """Return in how many scores of C3A Table 3 C3A is ahead of LoRA, and of how many, for rows with this model name."""
    three = printed_table("c3a", "3")
    pairs = [(row, column) for row, column in three if " LoRA" in row and model in row]
    scores = [(row, c) for row, c in pairs if c not in ("# Trainable Parameters", "Avg.")]
    width = {"LLaMA2-7B": 4096, "LLaMA2-13B": 5120, "LLaMA3-8B": 4096}
    ahead = sum(
        number(three[f"{row.split()[0]} C3A b={width[row.split()[0]]}/32", c]) > number(three[row, c])
        for row, c in scores
    )
    return ahead, len(scores)


def _half(place: str, name: str, model: str, r: int, b: int, printed: str) -> dict[str, Any]:
    """Compare C3A's parameters with half of LoRA's."""
    layers = costs.layers(model, r".*\.(query|value|q_proj|v_proj)")
    ours = costs.total_over("parameters", layers, "c3a", block_size=b)
    share = ours / costs.total_over("parameters", layers, "lora", r=r)
    is_true = share < 0.5 if printed == "less than half" else share == 0.5
    note = f"it is {'exactly half' if share == 0.5 else f'{share:.3f}'}"
    subject, formula = "C3A's parameters against LoRA's", "b and r of the table"
    return claim("c3a", place, subject, name, printed, share, formula, verdict_if(is_true), note)


def _memory(size: str) -> dict[str, Any]:
    """Count the methods with less printed memory than C3A."""
    two = printed_table("c3a", "2")
    memory = {row: number(two[row, c]) for row, c in two if c == "Memory Cost (GB)" and row.startswith(size)}
    ours = max(value for row, value in memory.items() if "C3A" in row)
    lower = [row for row, value in memory.items() if value < ours and "C3A" not in row]
    verdict = verdict_if(lower == [f"{size} BitFit"])
    formula = "number of methods with less printed memory than C3A"
    subject = "less memory than C3A"
    return claim("c3a", "section 4.2", subject, size, "only BitFit", float(len(lower)), formula, verdict)


def _comparisons_with_lora() -> list[dict[str, Any]]:
    ahead_all, scores_all = wins()
    ahead_13b, scores_13b = wins("LLaMA2-13B")
    lora, c3a = costs.parameters("lora", 128, 128, r=1), costs.parameters("c3a", 128, 128, block_size=64)
    ahead = "scores of Table 3 in which C3A is ahead"
    return [
        _half("section 4.3", "LLaMA2-7B", "llama2-7b", 32, 128, "less than half"),
        _half("section 4.3", "LLaMA2-13B", "llama2-13b", 32, 160, "less than half"),
        _half("section 4.3", "LLaMA3-8B", "llama3-8b", 32, 128, "less than half"),
        _half("section 4.4", "ViT base", "vit-base", 16, 64, "only half"),
        _half("section 4.4", "ViT large", "vit-large", 16, 64, "only half"),
        claim("c3a", "section 4.3", "C3A ahead of LoRA", "all models", "generally", float(ahead_all),
              f"{ahead}, of {scores_all}", verdict_if(ahead_all > scores_all / 2)),
        claim("c3a", "section 4.3", "C3A ahead of LoRA", "LLaMA2-13B", "generally", float(ahead_13b),
              f"{ahead}, of {scores_13b}", verdict_if(ahead_13b > scores_13b / 2),
              "for this model LoRA is ahead on three of four tasks"),
        _memory("base"),
        _memory("large"),
        claim("c3a", "section 4.1", "equal parameters", "LoRA r=1, C3A b=128/2", "same number", float(c3a),
              "2 d r = d² / b at d = 128", verdict_if(lora == c3a)),
        claim("c3a", "section 4.1", "learning curves", "Figure 3", "perfect classification", None, "", "measured",
              "repeated in notebook 06, which also shows the effect of a frozen middle layer"),
        claim("c3a", "section 4.2", "full rank", "learnt matrices", "nearly all", None, "", "measured",
              "a random kernel has full rank with probability one (notebook 02)"),
    ]  # fmt: skip


def _comparisons_of_scores() -> list[dict[str, Any]]:
    within = float(sum(d / b <= r for d, b, r in SIZES))
    two = printed_table("c3a", "2")
    c3a = number(two["base C3A b=768/6", "# Trainable Parameters"])
    larger = sum(c3a < number(two[row, "# Trainable Parameters"]) for row in BASELINES if "BitFit" not in row)
    as_good = columns_at_least_as_good("c3a", "2", "base C3A b=768/6", BASELINES)
    averages = {row: number(two[row, "Avg."]) for row, c in two if c == "Avg."}
    baseline_averages = [averages[row] for row in BASELINES]
    lead = averages["base C3A b=768/6"] - max(baseline_averages)
    lead_small = averages["base C3A b=768/1"] - median(baseline_averages)
    vit = {size: columns_at_least_as_good("c3a", "4", f"{size} C3A b={d}/{k}", (f"{size} LoRA r=16",))
           for size, d, k in (("base", 768, 12), ("large", 1024, 16))}  # fmt: skip
    names = [cell.row.rpartition("b=")[2] for cell in cells() if " C3A b=" in f" {cell.row}" and cell.column == "Avg."]
    with_gcd = sum(blocks == "1" for _, _, blocks in (name.partition("/") for name in names))
    return [
        claim("c3a", "Table 1, caption", "max(d1, d2) / b <= r", "all experiments", "holds", within,
              "pairs of C3A and LoRA in Tables 2 to 4 for which it holds, of 6", verdict_if(within == len(SIZES))),
        claim("c3a", "section 3.5", "VeRA's rank exceeds the layer", "RoBERTa base", "can exceed", 1024 / 768,
              "r / d of Table 2", verdict_if(1024 > 768)),
        claim("c3a", "section 4.2", "parameters against (IA)3, LoRA, VeRA, BOFT", "base b=768/6", "similar or more",
              float(larger), "methods of the four with more parameters than C3A", verdict_if(larger == 0),
              "LoRA and BOFT have more parameters than C3A"),
        claim("c3a", "section 4.2", "ahead of every adapter", "base b=768/6", "significantly outperform", lead,
              "its printed average minus the best of five baselines'", verdict_if(lead > 0)),
        claim("c3a", "section 4.2", "ahead of every adapter on each task", "base b=768/6", "significantly outperform",
              as_good, f"{AT_LEAST_AS_GOOD} as the best of five baselines, of 6", verdict_if(as_good == 6),
              "baselines are ahead on single tasks"),
        claim("c3a", "section 4.2", "better or on par", "base b=768/1", "in general", lead_small,
              "its printed average minus the median of five baselines'", verdict_if(lead_small > 0)),
        claim("c3a", "abstract", "ahead of LoRA", "Table 4, ViT base", "consistently", vit["base"],
              f"{AT_LEAST_AS_GOOD} as LoRA, of 6", verdict_if(vit["base"] == 6), "LoRA is ahead on two data sets"),
        claim("c3a", "abstract", "ahead of LoRA", "Table 4, ViT large", "consistently", vit["large"],
              f"{AT_LEAST_AS_GOOD} as LoRA, of 6", verdict_if(vit["large"] == 6), "LoRA is ahead on four data sets"),
        claim("c3a", "section 3.5", "b is the greatest common divisor", "all experiments", "in practical scenarios",
              float(with_gcd), "rows of C3A in Tables 2 to 4 with b = gcd(d1, d2), of 9", verdict_if(with_gcd == 9),
              "true only for the two rows with b = d / 1: the other rows divide d by 6 to 32"),
    ]  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """Return the fields of the audit rows for the claims of C3A's text."""
    return _comparisons_with_lora() + _comparisons_of_scores()
