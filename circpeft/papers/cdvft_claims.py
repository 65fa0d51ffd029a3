"""Numbers and comparisons in the text of CDVFT, recomputed from its printed tables and the cost model."""

from __future__ import annotations

from typing import Any

import torch

from .. import costs
from ..profiling import FlopCounter
from .claims import AT_LEAST_AS_GOOD, claim, columns_at_least_as_good, printed_table, ratio, verdict_if
from .numbers import half_unit, number

QUERY_VALUE = ["query", "value"]


def against_vera() -> tuple[float, float]:
    """Return CDVFT over VeRA in CDVFT Table 2, as printed: (parameters, FLOPs)."""
    two = printed_table("cdvft", "2")
    parameters, flops = (number(two["CDVFT p=768", c]) / number(two["VeRA", c]) for c in ("Param.", "FLOPs"))
    return parameters, flops


def printed_ratio() -> tuple[float, float, float]:
    """Return FourierFT's FLOPs over CDVFT's by the print of CDVFT Table 2: as printed, and its range with rounding."""
    two = printed_table("cdvft", "2")
    fourier, ours = two["FourierFT", "FLOPs"], two["CDVFT p=768", "FLOPs"]
    low = (number(fourier) - half_unit(fourier)) / (number(ours) + half_unit(ours))
    high = (number(fourier) + half_unit(fourier)) / (number(ours) - half_unit(ours))
    return number(fourier) / number(ours), low, high


def tenth_of_printed_ratio() -> tuple[float, float]:
    """Return the range of a tenth of that ratio, as the rounding of the print allows.

    >>> [round(value, 2) for value in tenth_of_printed_ratio()]
    [51.56, 52.12]
    """
    _, low, high = printed_ratio()
    return low / 10, high / 10


def over_lora() -> dict[str, float]:
    """Return CDVFT's printed FLOPs over LoRA's in CDVFT Tables 2 and 3, by table or task and block size."""
    ratios = {}
    for table, column, name in (
        ("2", "FLOPs", "ViT"),
        ("3", "MT-Bench FLOPs", "Alpaca"),
        ("3", "GSM8K FLOPs", "GSM8K"),
    ):
        printed = printed_table("cdvft", table)
        for row in [row for row, c in printed if c == column and row.startswith("CDVFT")]:
            ratios[f"{name}, {row.split()[1]}"] = number(printed[row, column]) / number(printed["LoRA", column])
    return ratios


def over_fourierft() -> dict[str, float]:
    """Return CDVFT's printed parameters over FourierFT's in CDVFT Tables 2 and 3."""
    ratios = {}
    for table, column, name in (("2", "Param.", "ViT"), ("3", "MT-Bench Param.", "Alpaca")):
        printed = printed_table("cdvft", table)
        for row in [row for row, c in printed if c == column and row.startswith("CDVFT")]:
            ratios[f"{name}, {row.split()[1]}"] = number(printed[row, column]) / number(printed["FourierFT", column])
    return ratios


def _total(quantity: str, method: str, **options: int) -> float:
    """Return the paper's count over the query and value layers: RoBERTa-base and ViT-base have the same 24 of 768."""
    layers = costs.layers("roberta-base", QUERY_VALUE)
    return costs.total_over(quantity, layers, method, counting="paper", **options)


def _transforms(direction: str) -> float:
    """Count the transforms that CDVFT's Eq. 8 (forward) or Eq. 11 (backward) needs for one circulant factor."""
    c, y, g = torch.ones(3, 8, dtype=torch.complex128)
    spectrum_c, spectrum_y = torch.fft.fft(c), torch.fft.fft(y)
    with FlopCounter() as counter:
        if direction == "forward":
            torch.fft.ifft(torch.fft.fft(y) * torch.fft.fft(c))
        else:
            spectrum_g = torch.fft.fft(g)
            torch.fft.ifft(spectrum_c.conj() * spectrum_g), torch.fft.ifft(spectrum_y.conj() * spectrum_g)
    return counter.by_operator["_fft_c2c"] / (5 * 8 * 3)


def _columns_with_maximum(quantity: str, method: str) -> float:
    """Count the columns of CDVFT Tables 2 and 3 in which a method has the largest printed figure."""
    count = 0
    for table in ("2", "3"):
        printed = printed_table("cdvft", table)
        for column in {c for _, c in printed if quantity in c}:
            values = {row: number(text) for (row, c), text in printed.items() if c == column and text != "-"}
            count += method in values and max(values, key=values.__getitem__) == method
    return float(count)


def _comparisons_of_costs() -> list[dict[str, Any]]:
    flops = _total("flops", "fourierft", n_frequency=3000) / _total("flops", "cdvft", block_size=768)
    saved = {r: _total("parameters", "lora", r=r) / _total("parameters", "cdvft", block_size=768) for r in (8, 16)}
    low, high = tenth_of_printed_ratio()
    off_by_ten = f"off by a factor of ten: a tenth of Table 2's 1.41G / 2.72M is {low:.2f} to {high:.2f}, with rounding"
    formula, three = "FLOPs(FourierFT) / FLOPs(CDVFT), one token, paper's count", printed_table("cdvft", "3")
    vera = dict(zip(("Param.", "FLOPs"), against_vera(), strict=True))
    counts = [column for row, column in three if row == "LoRA" and ("FLOPs" in column or "Param" in column)]
    larger_p = [number(three["CDVFT p=4096", c]) / number(three["CDVFT p=2048", c]) for c in counts]
    square = 3 * 768 * len(costs.layers("roberta-base", QUERY_VALUE))
    opposite = "Table 2 shows the opposite"
    rank = "2 r / 3; r is not printed for RoBERTa: 5.33 follows from r = 8"
    flops_over_lora, over_fourier = over_lora(), over_fourierft()
    most = {"LoRA": _columns_with_maximum("Param.", "LoRA"), "FourierFT": _columns_with_maximum("FLOPs", "FourierFT")}
    return [
        ratio("cdvft", "section 1", "FLOPs against FourierFT", "RoBERTa base", "51.81x", flops, formula, off_by_ten),
        ratio("cdvft", "section 4.1", "FLOPs against FourierFT", "RoBERTa base", "51.89x", flops, formula, off_by_ten),
        ratio("cdvft", "section 4.2", "FLOPs against FourierFT", "ViT base", "51.9x", flops, formula, off_by_ten),
        ratio("cdvft", "section 1", "parameters against LoRA", "RoBERTa base, r=8", "5.33x", saved[8], rank),
        ratio("cdvft", "section 4.1", "parameters against LoRA", "RoBERTa base, r=8", "5.33x", saved[8], rank),
        ratio("cdvft", "section 4.2", "parameters against LoRA", "ViT base, r=16", "10.7x", saved[16], "2 r / 3"),
        claim("cdvft", "section 4.2", "parameters against VeRA", "ViT base", "fewer", vera["Param."],
              "Param.(CDVFT) / Param.(VeRA), printed", verdict_if(vera["Param."] < 1), opposite),
        claim("cdvft", "section 4.2", "FLOPs against VeRA", "ViT base", "higher", vera["FLOPs"],
              "FLOPs(CDVFT) / FLOPs(VeRA), printed", verdict_if(vera["FLOPs"] > 1), opposite),
        claim("cdvft", "abstract", "FLOPs against LoRA", "Tables 2 and 3", "much less", min(flops_over_lora.values()),
              "smallest FLOPs(CDVFT) / FLOPs(LoRA), printed", verdict_if(max(flops_over_lora.values()) < 1),
              "in every column LoRA has fewer FLOPs; the claim holds against FourierFT"),
        claim("cdvft", "section 3.4", "parameters against FourierFT", "Tables 2 and 3", "similar number",
              max(over_fourier.values()), "largest Param.(CDVFT) / Param.(FourierFT), printed",
              verdict_if(max(over_fourier.values()) < 2), "true for ViT (Table 2), not for LLaMA2-7B (Table 3)"),
        claim("cdvft", "section 4.3", "larger p", "parameters and FLOPs", "decrease", max(larger_p),
              "largest of p=4096 over p=2048, printed", verdict_if(max(larger_p) < 1)),
        claim("cdvft", "section 3.4", "parameters", "square layer, m=2", "(2m-1)dL", float(square),
              "(2 m - 1) d L", verdict_if(_total("parameters", "cdvft") == square)),
        claim("cdvft", "section 3.4", "parameters", "all models", "LoRA the most", most["LoRA"],
              "columns of Tables 2 and 3 in which LoRA has the most, of 3", verdict_if(most["LoRA"] == 3)),
        claim("cdvft", "section 3.4", "FLOPs", "all models", "FourierFT the most", most["FourierFT"],
              "columns of Tables 2 and 3 in which FourierFT has the most, of 2", verdict_if(most["FourierFT"] == 2)),
        *[
            claim("cdvft", "section 3.4", "parameters", name, printed, _total("parameters", name, **options), words,
                  verdict_if(_total("parameters", name, **options) == by_hand))
            for name, options, printed, words, by_hand in [
                ("lora", {"r": 16}, "2drL", "2 d r L at r = 16", 24 * 2 * 768 * 16),
                ("vera", {"r": 256}, "(r+d)L", "(r + d) L at r = 256", 24 * (256 + 768)),
                ("fourierft", {"n_frequency": 1000}, "nL", "n L at n = 1000", 24 * 1000),
            ]
        ],
        claim("cdvft", "section 3.2", "transforms", "forward", "2 FFT and 1 IFFT", _transforms("forward"),
              "transforms of Eq. 8, counted", verdict_if(_transforms("forward") == 3)),
        claim("cdvft", "section 3.2", "transforms", "backward", "2 IFFT and 1 FFT", _transforms("backward"),
              "transforms of Eq. 11, counted", verdict_if(_transforms("backward") == 3)),
        claim("cdvft", "section 1", "factors of any n x n matrix", "number", "2n-1", None, "", "not_derivable",
              "a cited upper bound for generic complex matrices; degrees of freedom only show: more than n"),
    ]  # fmt: skip


def _comparisons_of_scores() -> list[dict[str, Any]]:
    two, three = printed_table("cdvft", "2"), printed_table("cdvft", "3")
    rising = sum(
        number(three["CDVFT p=4096", c]) > number(three["CDVFT p=2048", c]) for c in ("MT-Bench Score", "GSM8K Acc.")
    )
    images = columns_at_least_as_good("cdvft", "2", "CDVFT p=768", ("LoRA", "FourierFT"))
    glue = columns_at_least_as_good("cdvft", "1", "CDVFT p=768", ("LoRA", "FourierFT"))
    lead = number(two["CDVFT p=768", "Avg."]) - number(two["VeRA", "Avg."])
    return [
        claim("cdvft", "section 4.3", "larger p", "score", "does not always fall", float(rising),
              "columns of Table 3 in which p = 4096 is ahead of p = 2048, of 2", verdict_if(rising > 0)),
        claim("cdvft", "section 4.2", "against LoRA and FourierFT", "two image sets", "similar or better", images,
              f"{AT_LEAST_AS_GOOD} as both, of 2", "match" if images == 2 else "not_derivable",
              "below LoRA on both, by 0.7 and 0.9; the paper does not say which difference is similar"),
        claim("cdvft", "section 4.1", "against LoRA and FourierFT", "GLUE", "comparable or better", glue,
              f"{AT_LEAST_AS_GOOD} as both, of 6", verdict_if(glue > 0)),
        claim("cdvft", "section 4.2", "accuracy against VeRA", "two image sets", "higher", lead,
              "difference of the printed averages", verdict_if(lead > 0)),
    ]  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """Return the fields of the audit rows for the claims of CDVFT's text."""
    return _comparisons_of_costs() + _comparisons_of_scores()
