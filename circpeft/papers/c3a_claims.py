"""Numbers and comparisons in the text of C3A, recomputed from its printed tables and the cost model."""

from __future__ import annotations

from statistics import median
from typing import Any

from .. import costs
from . import c3a_comparisons as compare
from .claims import claim, printed_table, verdict_if
from .numbers import number

# (width, block size of C3A, rank of LoRA) of the pairs in Tables 2 to 4.
SIZES = [(768, 128, 8), (1024, 128, 8), (4096, 128, 32), (5120, 160, 32), (768, 64, 16), (1024, 64, 16)]


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
    ahead, scores = compare.wins("3")
    averages_behind, rows = compare.averages_behind()
    scores_behind, all_scores = compare.scores_behind_lora()
    lora, c3a = costs.parameters("lora", 128, 128, r=1), costs.parameters("c3a", 128, 128, block_size=64)
    return [
        _half("section 4.3", "LLaMA2-7B", "llama2-7b", 32, 128, "less than half"),
        _half("section 4.3", "LLaMA2-13B", "llama2-13b", 32, 160, "less than half"),
        _half("section 4.3", "LLaMA3-8B", "llama3-8b", 32, 128, "less than half"),
        _half("section 4.4", "ViT base", "vit-base", 16, 64, "only half"),
        _half("section 4.4", "ViT large", "vit-large", 16, 64, "only half"),
        claim("c3a", "section 4.3", "C3A ahead of LoRA", "all models", "generally", float(ahead),
              f"scores of Table 3 in which C3A is ahead, of {scores}", verdict_if(ahead > scores / 2)),
        claim("c3a", "abstract", "averages below LoRA's", "Tables 2 to 4", "consistently", float(averages_behind),
              f"rows of C3A whose printed average is below LoRA's, of {rows}", verdict_if(not averages_behind),
              "Table 2, base: 83.34 for b = 768/1, 83.35 for LoRA"),
        claim("c3a", "abstract", "scores below LoRA's", "Tables 2 to 4", "consistently", float(scores_behind),
              f"printed scores in which LoRA is ahead, of {all_scores}", verdict_if(not scores_behind),
              "LoRA is ahead in some scores of every table"),
        _memory("base"),
        _memory("large"),
        claim("c3a", "section 4.1", "equal parameters", "LoRA r=1, C3A b=128/2", "same number", float(c3a),
              "2 d r = d² / b at d = 128", verdict_if(lora == c3a)),
        claim("c3a", "section 4.1", "learning curves", "Figure 3", "perfect classification", None, "", "measured",
              "repeated in notebook 06, which also shows the effect of a frozen middle layer"),
        claim("c3a", "section 4.2", "full rank", "learnt matrices", "nearly all", None, "", "not_derivable",
              "the ranks are not printed; a random kernel has full rank, too, with probability one (notebook 02)"),
    ]  # fmt: skip


def _comparisons_of_scores() -> list[dict[str, Any]]:
    within = float(sum(d / b <= r for d, b, r in SIZES))
    two = printed_table("c3a", "2")
    averages = {row: number(two[row, c]) for row, c in two if c == "Avg." and row.startswith("base")}
    baseline_averages = [averages[row] for row in averages if row.removeprefix("base ") in compare.BASELINES]
    lead_small = averages["base C3A b=768/1"] - median(baseline_averages)
    with_gcd, rows = compare.rows_with_greatest_divisor()
    claims = [
        claim("c3a", "Table 1, caption", "max(d1, d2) / b <= r", "all experiments", "holds", within,
              "pairs of C3A and LoRA in Tables 2 to 4 for which it holds, of 6", verdict_if(within == len(SIZES))),
        claim("c3a", "section 3.5.1", "VeRA's rank exceeds the layer", "RoBERTa base", "can exceed", 1024 / 768,
              "r / d of Table 2", verdict_if(1024 > 768)),
        claim("c3a", "section 4.2", "better or on par", "base b=768/1", "in general", lead_small,
              "its printed average minus the median of five baselines'", verdict_if(lead_small > 0)),
        claim("c3a", "section 3.5.1", "b is the greatest common divisor", "all experiments", "in practical scenarios",
              float(with_gcd), f"rows of C3A in Tables 2 to 4 with b = gcd(d1, d2), of {rows}",
              verdict_if(with_gcd == rows),
              "true only for the two rows with b = d / 1: the other rows divide d by 6 to 32"),
    ]  # fmt: skip
    for size, setting in (("base", "b=768/6"), ("large", "b=1024/8")):
        name, larger = f"{size} {setting}", compare.more_parameters(size)
        claims += [
            claim("c3a", "section 4.2", "parameters against (IA)3, LoRA, VeRA, BOFT", name, "similar or more",
                  float(len(larger)), "methods of the four with more parameters than C3A", verdict_if(not larger),
                  f"{' and '.join(n.split()[0] for n in larger)} have more parameters than C3A"),
            claim("c3a", "section 4.2", "ahead of every adapter", name, "significantly outperform", compare.lead(size),
                  "its printed average minus the best of five baselines'", verdict_if(compare.lead(size) > 0)),
            claim("c3a", "section 4.2", "ahead of every adapter on each task", name, "significantly outperform",
                  compare.tasks_ahead(size), "tasks on which it is ahead of all five baselines, of 6",
                  verdict_if(compare.tasks_ahead(size) == 6), "baselines are ahead on single tasks"),
        ]  # fmt: skip
    return claims


def rows() -> list[dict[str, Any]]:
    """Return the fields of the audit rows for the claims of C3A's text."""
    return _comparisons_with_lora() + _comparisons_of_scores()
