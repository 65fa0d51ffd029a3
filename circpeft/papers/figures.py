"""Data of figures in the papers, rebuilt from printed tables and settings.

C3A Figure 1 comes from its Table 2, as its caption says. CDVFT Figure 2 is counted as the paper counts.
"""

from __future__ import annotations

from .. import costs
from .claims import printed_table
from .numbers import number

ACCURACIES = ("SST-2", "MRPC", "QNLI", "RTE")  # averaged in C3A Figure 1, by its caption
QUERY_VALUE = ["query", "value"]
# Settings of CDVFT Figure 2 by model. For ViT-base section 4.2 prints them. For RoBERTa-base the text prints CDVFT's; r
# = 8 for LoRA follows from the 5.33x of section 4.1, and VeRA and FourierFT have the settings of their own papers.
FIGURE_2: dict[str, dict[str, dict[str, int]]] = {
    "roberta-base": {
        "lora": {"r": 8},
        "vera": {"r": 1024},
        "fourierft": {"n_frequency": 1000},
        "cdvft": {"block_size": 768},
    },
    "vit-base": {
        "lora": {"r": 16},
        "vera": {"r": 256},
        "fourierft": {"n_frequency": 3000},
        "cdvft": {"block_size": 768},
    },
}


def c3a_figure_1() -> dict[str, dict[str, float]]:
    """Return the five quantities of C3A Figure 1 by method, from the RoBERTa-base rows of its Table 2.

    Acc is the mean of four accuracies, PCC the score on STS-B, and MCC that on CoLA.

    >>> round(c3a_figure_1()["Acc"]["LoRA r=8"], 2)
    87.35
    """
    printed = printed_table("c3a", "2")
    rows = list(dict.fromkeys(row for row, _ in printed if row.startswith("base ")))

    def column(name: str, unit: float = 1.0) -> dict[str, float]:
        return {row.removeprefix("base "): number(printed[row, name]) / unit for row in rows}

    accuracies = [column(name) for name in ACCURACIES]
    return {
        "Acc": {method: sum(a[method] for a in accuracies) / len(accuracies) for method in accuracies[0]},
        "PCC": column("STS-B"),
        "MCC": column("CoLA"),
        "#Param (thousands)": column("# Trainable Parameters", 1e3),
        "Memory (GB)": column("Memory Cost (GB)"),
    }


def cdvft_figure_2(model: str) -> dict[str, tuple[float, float]]:
    """Return (parameters, FLOPs) by method for CDVFT Figure 2, counted as the paper counts: forward, one token.

    FourierFT's FLOPs are needed once per step, those of the others for one token, as in CDVFT Table 2. The methods are
    those of section 3.4; the points of the printed figure are not in the text that we read.

    Args:
        model: "roberta-base" (Figure 2a) or "vit-base" (Figure 2b).

    Raises:
        ValueError: another model.

    >>> {method: f"{n / 1e6:.2f}M" for method, (n, _) in cdvft_figure_2("vit-base").items()}
    {'lora': '0.59M', 'vera': '0.02M', 'fourierft': '0.07M', 'cdvft': '0.06M'}
    """
    if model not in FIGURE_2:
        raise ValueError(f"CDVFT Figure 2 has no model {model!r}; choices: {', '.join(FIGURE_2)}")
    # ViT-base has the same 24 layers of 768 as RoBERTa-base, under names that transformers has changed.
    layers = costs.layers("roberta-base", QUERY_VALUE)
    return {
        method: (
            costs.total_over("parameters", layers, method, "paper", **options),
            costs.total_over("flops", layers, method, "paper", **options),
        )
        for method, options in FIGURE_2[model].items()
    }
