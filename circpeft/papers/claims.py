"""Numbers and comparisons in the texts of the papers, each recomputed from the tables' rows and the cost model."""

from __future__ import annotations

from statistics import median
from typing import Any

import torch

from .. import costs
from ..profiling import FlopCounter
from .numbers import agrees, number
from .printed import cells

QUERY_VALUE = ["query", "value"]


def _printed(paper: str, table: str) -> dict[tuple[str, str], str]:
    return {(c.row, c.column): c.printed for c in cells() if (c.paper, c.table) == (paper, table)}


def _claim(paper, table, row, column, printed, computed, formula, verdict, note="", stated=None) -> dict[str, Any]:
    """Fields of an audit row; a note says what differs and is left out of a match."""
    note = note if verdict != "match" else ""
    names = ("paper", "table", "row", "column", "printed", "stated", "computed", "formula", "verdict", "note")
    return dict(zip(names, (paper, table, row, column, printed, stated, computed, formula, verdict, note), strict=True))


def _ratio(paper: str, place: str, row: str, column: str, printed: str, value: float, formula: str, note="") -> dict:
    verdict = "match" if agrees(printed, value) else "misprint"
    return _claim(paper, place, row, column, printed, value, formula, verdict, note, value)


def _transforms(direction: str) -> float:
    """Number of transforms that CDVFT's Eq. 8 (forward) or Eq. 11 (backward) does for one circulant factor."""
    c, y, g = torch.ones(3, 8, dtype=torch.complex128)
    spectrum_c, spectrum_y = torch.fft.fft(c), torch.fft.fft(y)
    with FlopCounter() as counter:
        if direction == "forward":
            torch.fft.ifft(torch.fft.fft(y) * torch.fft.fft(c))
        else:
            spectrum_g = torch.fft.fft(g)
            torch.fft.ifft(spectrum_c.conj() * spectrum_g), torch.fft.ifft(spectrum_y.conj() * spectrum_g)
    return counter.by_operator["_fft_c2c"] / (5 * 8 * 3)


def _holds(true: bool) -> str:
    return "match" if true else "contradicts_text"


def _cdvft() -> list[dict]:
    # RoBERTa-base and ViT-base have the same 24 query and value layers of 768.
    def total(quantity: str, method: str, **options: int) -> float:
        layers = costs.layers("roberta-base", QUERY_VALUE)
        return costs.total_over(quantity, layers, method, counting="paper", **options)

    flops = total("flops", "fourierft", n_frequency=3000) / total("flops", "cdvft", block_size=768)
    saved = {r: total("parameters", "lora", r=r) / total("parameters", "cdvft", block_size=768) for r in (8, 16)}
    ten = "off by ten: Table 2 prints 1.41G and 2.72M"
    neither = "off by ten, and not even then: a tenth is 51.89, which section 4.1 prints for the same model"
    over, three = "FLOPs(FourierFT) / FLOPs(CDVFT), one token, paper's count", _printed("cdvft", "3")
    vera = dict(zip(("Param.", "FLOPs"), against_vera(), strict=True))
    counts = [column for row, column in three if row == "LoRA" and ("FLOPs" in column or "Param" in column)]
    larger = [number(three["CDVFT p=4096", c]) / number(three["CDVFT p=2048", c]) for c in counts]
    rising = sum(number(three["CDVFT p=4096", c]) > number(three["CDVFT p=2048", c])
                 for c in ("MT-Bench Score", "GSM8K Acc."))  # fmt: skip
    square = 3 * 768 * len(costs.layers("roberta-base", QUERY_VALUE))
    wrong_way = "Table 2 has it the other way round"
    rows = [
        _ratio("cdvft", "section 1", "FLOPs against FourierFT", "RoBERTa base", "51.81x", flops, over, neither),
        _ratio("cdvft", "section 4.1", "FLOPs against FourierFT", "RoBERTa base", "51.89x", flops, over, ten),
        _ratio("cdvft", "section 4.2", "FLOPs against FourierFT", "ViT base", "51.9x", flops, over, ten),
        _ratio("cdvft", "section 1", "parameters against LoRA", "RoBERTa base, r=8", "5.33x", saved[8], "2 r / 3"),
        _ratio("cdvft", "section 4.1", "parameters against LoRA", "RoBERTa base, r=8", "5.33x", saved[8], "2 r / 3"),
        _ratio("cdvft", "section 4.2", "parameters against LoRA", "ViT base, r=16", "10.7x", saved[16], "2 r / 3"),
        _claim("cdvft", "section 4.2", "parameters against VeRA", "ViT base", "fewer", vera["Param."],
               "Param.(CDVFT) / Param.(VeRA), printed", _holds(vera["Param."] < 1), wrong_way),
        _claim("cdvft", "section 4.2", "FLOPs against VeRA", "ViT base", "higher", vera["FLOPs"],
               "FLOPs(CDVFT) / FLOPs(VeRA), printed", _holds(vera["FLOPs"] > 1), wrong_way),
        _claim("cdvft", "section 4.3", "larger p", "parameters and FLOPs", "decrease", max(larger),
               "largest of p=4096 over p=2048, printed", _holds(max(larger) < 1)),
        _claim("cdvft", "section 3.4", "parameters", "square layer, m=2", "(2m-1)dL", float(square),
               "(2 m - 1) d L", _holds(total("parameters", "cdvft") == square)),
        _claim("cdvft", "section 3.4", "parameters", "all models", "LoRA the most", _most("Param.", "LoRA"),
               "columns of Tables 2 and 3 in which it is so, of 3", _holds(_most("Param.", "LoRA") == 3)),
        _claim("cdvft", "section 3.4", "FLOPs", "all models", "FourierFT the most", _most("FLOPs", "FourierFT"),
               "columns of Tables 2 and 3 in which it is so, of 2", _holds(_most("FLOPs", "FourierFT") == 2)),
        *[
            _claim("cdvft", "section 3.4", "parameters", name, printed, total("parameters", name, **options), formula,
                   _holds(total("parameters", name, **options) == by_hand))
            for name, options, printed, formula, by_hand in [
                ("lora", {"r": 16}, "2drL", "2 d r L at r = 16", 24 * 2 * 768 * 16),
                ("vera", {"r": 256}, "(r+d)L", "(r + d) L at r = 256", 24 * (256 + 768)),
                ("fourierft", {"n_frequency": 1000}, "nL", "n L at n = 1000", 24 * 1000),
            ]
        ],
        _claim("cdvft", "section 4.3", "larger p", "score", "does not always fall", float(rising),
               "columns of Table 3 in which p = 4096 is ahead of p = 2048, of 2", _holds(rising > 0)),
        _claim("cdvft", "section 3.2", "transforms", "forward", "2 FFT and 1 IFFT", _transforms("forward"),
               "Eq. 8, counted", _holds(_transforms("forward") == 3)),
        _claim("cdvft", "section 3.2", "transforms", "backward", "2 IFFT and 1 FFT", _transforms("backward"),
               "Eq. 11, counted", _holds(_transforms("backward") == 3)),
        _claim("cdvft", "section 1", "factors of any n x n matrix", "number", "2n-1", None, "", "not_derivable",
               "a cited theorem about generic complex matrices, as an upper bound; counting needs more than n"),
    ]  # fmt: skip
    return rows


def _most(quantity: str, method: str) -> float:
    """In how many columns of CDVFT Tables 2 and 3 that print a method its figure is the largest."""
    found = 0
    for table in ("2", "3"):
        printed = _printed("cdvft", table)
        for column in {c for _, c in printed if quantity in c}:
            values = {row: number(text) for (row, c), text in printed.items() if c == column and text != "-"}
            found += method in values and max(values, key=values.get) == method
    return float(found)


def against_vera() -> tuple[float, float]:
    """CDVFT over VeRA in CDVFT Table 2, as printed: parameters, FLOPs."""
    two = _printed("cdvft", "2")
    parameters, flops = (number(two["CDVFT p=768", c]) / number(two["VeRA", c]) for c in ("Param.", "FLOPs"))
    return parameters, flops


def _half(paper: str, place: str, name: str, model: str, r: int, b: int, printed: str) -> dict:
    layers = costs.layers(model, r".*\.(query|value|q_proj|v_proj)")
    ours = costs.total_over("parameters", layers, "c3a", block_size=b)
    share = ours / costs.total_over("parameters", layers, "lora", r=r)
    said = share < 0.5 if printed == "less than half" else share == 0.5
    note = f"it is {'exactly half' if share == 0.5 else f'{share:.3f}'}"
    subject, formula = "C3A's parameters against LoRA's", "b and r of the table"
    return _claim(paper, place, subject, name, printed, share, formula, _holds(said), note)


def wins(model: str = "") -> tuple[int, int]:
    """In how many of the scores of C3A Table 3 C3A is ahead of LoRA, for models of that name."""
    three = _printed("c3a", "3")
    pairs = [(row, column) for row, column in three if " LoRA" in row and model in row]
    scored = [(row, c) for row, c in pairs if c not in ("# Trainable Parameters", "Avg.")]
    size = {"LLaMA2-7B": 4096, "LLaMA2-13B": 5120, "LLaMA3-8B": 4096}
    ahead = sum(
        number(three[f"{row.split()[0]} C3A b={size[row.split()[0]]}/32", c]) > number(three[row, c])
        for row, c in scored
    )
    return ahead, len(scored)


def _memory(size: str) -> dict:
    two = _printed("c3a", "2")
    used = {row: number(two[row, c]) for row, c in two if c == "Memory Cost (GB)" and row.startswith(size)}
    ours = max(value for row, value in used.items() if "C3A" in row)
    better = [row for row, value in used.items() if value < ours and "C3A" not in row]
    verdict = _holds(better == [f"{size} BitFit"])
    formula = "methods whose printed memory is below C3A's"
    return _claim(
        "c3a", "section 4.2", "less memory than C3A", size, "BitFit alone", float(len(better)), formula, verdict
    )


def _c3a() -> list[dict]:
    ahead_in, of = wins()
    wins13, of13 = wins("LLaMA2-13B")
    lora, c3a = costs.parameters("lora", 128, 128, r=1), costs.parameters("c3a", 128, 128, block_size=64)
    ahead = "scores of Table 3 in which C3A is ahead"
    return [
        _half("c3a", "section 4.3", "LLaMA2-7B", "llama2-7b", 32, 128, "less than half"),
        _half("c3a", "section 4.3", "LLaMA2-13B", "llama2-13b", 32, 160, "less than half"),
        _half("c3a", "section 4.3", "LLaMA3-8B", "llama3-8b", 32, 128, "less than half"),
        _half("c3a", "section 4.4", "ViT base", "vit-base", 16, 64, "only half"),
        _half("c3a", "section 4.4", "ViT large", "vit-large", 16, 64, "only half"),
        _claim("c3a", "section 4.3", "C3A ahead of LoRA", "all models", "generally", float(ahead_in),
               f"{ahead}, of {of}", _holds(ahead_in > of / 2)),
        _claim("c3a", "section 4.3", "C3A ahead of LoRA", "LLaMA2-13B", "generally", float(wins13),
               f"{ahead}, of {of13}", _holds(wins13 > of13 / 2),
               "for this model LoRA is ahead on three tasks of four"),
        _memory("base"),
        _memory("large"),
        _claim("c3a", "section 4.1", "equal parameters", "LoRA r=1, C3A b=128/2", "same number", float(c3a),
               "2 d r = d² / b at d = 128", _holds(lora == c3a)),
        _claim("c3a", "section 4.1", "learning curves", "Figure 3", "perfect classification", None, "", "measured",
               "run in notebook 06, with what a frozen middle layer does"),
        _claim("c3a", "section 4.2", "full rank", "learnt matrices", "nearly all", None, "", "measured",
               "a random kernel has full rank with probability one (notebook 02)"),
    ]  # fmt: skip


def _scores(paper: str, table: str, ours: str, others: tuple[str, ...]) -> float:
    """In how many score columns of a table one row is at least as good as the best of some others."""
    printed = _printed(paper, table)
    columns = {c for row, c in printed if row == ours and c != "Avg." and "Param" not in c and "FLOPs" not in c}
    columns -= {"Memory Cost (GB)"}
    return float(sum(number(printed[ours, c]) >= max(number(printed[other, c]) for other in others) for c in columns))


def _more_claims() -> list[dict]:
    """Comparisons of scores, as printed, and conditions on the sizes."""
    adapters = tuple(f"base {name}" for name in ("BitFit", "(IA)3", "LoRA r=8", "VeRA r=1024", "BOFT m=2 b=8"))
    sides = [(768, 128, 8), (1024, 128, 8), (4096, 128, 32), (5120, 160, 32), (768, 64, 16), (1024, 64, 16)]
    within = float(sum(d / b <= r for d, b, r in sides))
    two, ahead = _printed("c3a", "2"), "score columns in which it is at least as good"
    c3a = number(two["base C3A b=768/6", "# Trainable Parameters"])
    fewer = sum(c3a < number(two[row, "# Trainable Parameters"]) for row in adapters if "BitFit" not in row)
    beaten = _scores("c3a", "2", "base C3A b=768/6", adapters)
    printed_averages = {row: number(two[row, "Avg."]) for row, c in two if c == "Avg."}
    others = [printed_averages[row] for row in adapters]
    average = printed_averages["base C3A b=768/6"] - max(others)
    small = printed_averages["base C3A b=768/1"] - median(others)
    vit = {size: _scores("c3a", "4", f"{size} C3A b={d}/{k}", (f"{size} LoRA r=16",))
           for size, d, k in (("base", 768, 12), ("large", 1024, 16))}  # fmt: skip
    named = [cell.row.rpartition("b=")[2] for cell in cells() if " C3A b=" in f" {cell.row}" and cell.column == "Avg."]
    greatest = sum(parts == "1" for _, _, parts in (name.partition("/") for name in named))
    images = _scores("cdvft", "2", "CDVFT p=768", ("LoRA", "FourierFT"))
    glue = _scores("cdvft", "1", "CDVFT p=768", ("LoRA", "FourierFT"))
    gap = number(_printed("cdvft", "2")["CDVFT p=768", "Avg."]) - number(_printed("cdvft", "2")["VeRA", "Avg."])
    return [
        _claim("c3a", "Table 1, caption", "max(d1, d2) / b <= r", "all experiments", "holds", within,
               "pairs of C3A and LoRA in Tables 2 to 4 in which it holds, of 6", _holds(within == len(sides))),
        _claim("c3a", "section 3.5", "VeRA's rank exceeds the layer", "RoBERTa base", "can exceed", 1024 / 768,
               "r / d of Table 2", _holds(1024 > 768)),
        _claim("c3a", "section 4.2", "parameters against (IA)3, LoRA, VeRA, BOFT", "base b=768/6", "similar or more",
               float(fewer), "methods of the four with more parameters than C3A", _holds(fewer == 0),
               "LoRA and BOFT have more parameters than C3A"),
        _claim("c3a", "section 4.2", "ahead of every adapter", "base b=768/6", "significantly outperform", average,
               "its printed average, less the best of five baselines'", _holds(average > 0)),
        _claim("c3a", "section 4.2", "ahead of every adapter on each task", "base b=768/6", "significantly outperform",
               beaten, f"{ahead} as the best of five baselines, of 6", _holds(beaten == 6),
               "on single tasks baselines are ahead"),
        _claim("c3a", "section 4.2", "better or on par", "base b=768/1", "in general", small,
               "its printed average, less the median of five baselines'", _holds(small > 0)),
        _claim("c3a", "abstract", "ahead of LoRA", "Table 4, ViT base", "consistently", vit["base"],
               f"{ahead} as LoRA, of 6", _holds(vit["base"] == 6), "LoRA is ahead on two sets"),
        _claim("c3a", "abstract", "ahead of LoRA", "Table 4, ViT large", "consistently", vit["large"],
               f"{ahead} as LoRA, of 6", _holds(vit["large"] == 6), "LoRA is ahead on four sets"),
        _claim("c3a", "section 3.5", "b is the greatest common divisor", "all experiments", "in practical scenarios",
               float(greatest), "rows of C3A in Tables 2 to 4 with b = gcd(d1, d2), of 9", _holds(greatest == 9),
               "only the two rows with b = d / 1: the others divide it by 6 to 32"),
        _claim("cdvft", "section 4.2", "against LoRA and FourierFT", "two image sets", "similar or better", images,
               f"{ahead} as both, of 2", "match" if images == 2 else "not_derivable",
               "below LoRA on both, by 0.7 and 0.9; how much is similar is not said"),
        _claim("cdvft", "section 4.1", "against LoRA and FourierFT", "GLUE", "comparable or better", glue,
               f"{ahead} as both, of 6", _holds(glue > 0)),
        _claim("cdvft", "section 4.2", "accuracy against VeRA", "two image sets", "higher", gap,
               "difference of the printed averages", _holds(gap > 0)),
    ]  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """Fields of the audit rows for the claims of both texts."""
    return _c3a() + _cdvft() + _more_claims()
