"""The rows and columns of CDVFT Tables 1 to 3 and C3A Tables 2 to 4, as runs.

Neither paper prints learning rates; those are in `circpeft.method_specs`. Batch sizes for training are not printed,
either (C3A section 4.2 has a batch of 64 for its memory column only); those are in `circpeft.defaults`. LoRA's alpha is
printed for C3A Table 3 only (section 4.3); elsewhere it is r, the default of `circpeft.methods.baselines.lora`.

Block sizes are printed. So are ranks and FourierFT's n, except for CDVFT Table 1: there r = 8 for LoRA follows from
"5.33x" (section 4.1), and VeRA's 1024 and FourierFT's 1000 are those of their own papers, which is our assumption. In
CDVFT Table 3, where the text contradicts the parameter counts, ranks and layers are those that give the counts: LoRA 64
and 16, where section 4.3 says 8 and 64; and VeRA without the attention's output, where it says all layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .protocol import C3A_TABLE_3_LORA, PROTOCOLS, Protocol


@dataclass(frozen=True)
class Row:
    """One printed row: a method, and its hyperparameters on the paper's model.

    Args:
        name: the row as it is printed.
        method: name of the method.
        options: its hyperparameters, without a block size.
        blocks: number of blocks along the model's hidden size, ``d / b``; 0 for methods without blocks.
        model: key of `MODELS`.
        targets: the adapted layers; () takes the profile's (query and value).
        columns: the columns in which this row has scores; () takes all.
    """

    name: str
    method: str
    options: dict[str, Any] = field(default_factory=dict)
    blocks: int = 0
    model: str = ""
    targets: tuple[str, ...] | str = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One printed table.

    Args:
        kind: the kind of its tasks: "text", "images" or "instructions".
        protocol: epochs, tested epoch, statistic and seeds, with the sentences that they come from.
        columns: the columns with scores, and their tasks.
        rows: the rows.
        left_out: rows that the paper does not describe well enough to run, each with the reason.
    """

    kind: str
    protocol: Protocol
    columns: dict[str, str]
    rows: tuple[Row, ...]
    left_out: dict[str, str] = field(default_factory=dict)


# Hub id and hidden size of the papers' models.
MODELS = {
    "roberta-base": ("FacebookAI/roberta-base", 768),
    "roberta-large": ("FacebookAI/roberta-large", 1024),
    "vit-base": ("google/vit-base-patch16-224-in21k", 768),
    "vit-large": ("google/vit-large-patch16-224-in21k", 1024),
    "llama2-7b": ("meta-llama/Llama-2-7b-hf", 4096),
    "llama2-13b": ("meta-llama/Llama-2-13b-hf", 5120),
    "llama3-8b": ("meta-llama/Meta-Llama-3-8B", 4096),
}
# Embedded tasks that replace the papers' data if there is neither a hub nor a folder.
STAND_INS = {"text": "entailment", "images": "digits", "instructions": "word_problems"}

_GLUE = {"SST-2": "sst2", "MRPC": "mrpc", "CoLA": "cola", "QNLI": "qnli", "RTE": "rte", "STS-B": "stsb"}
_IMAGES = {"Pets": "pets", "Cars": "cars", "DTD": "dtd", "EuroSAT": "eurosat", "FGVC": "fgvc", "RESISC": "resisc45"}
_NO_GATE = ("q_proj", "k_proj", "v_proj", "up_proj", "down_proj")
_NO_OUTPUT = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "down_proj")
# Every linear layer of a block: these give C3A's printed count for (IA)3.
_EVERY_LINEAR = r".*(query|key|value|attention\.output\.dense|intermediate\.dense|layer\.\d+\.output\.dense)"


def _roberta(size: str, d: int, rank: int, blocks: int) -> tuple[Row, ...]:
    model, boft = f"roberta-{size}", {"block_size": 8, "n_butterfly_factor": 2}
    rows = (
        Row(f"{size} BitFit", "bitfit", model=model),
        Row(f"{size} (IA)3", "ia3", model=model, targets=_EVERY_LINEAR),
        Row(f"{size} LoRA r=8", "lora", {"r": 8}, model=model),
        Row(f"{size} VeRA r={rank}", "vera", {"r": rank}, model=model),
        Row(f"{size} BOFT m=2 b=8", "boft", boft, model=model),
        Row(f"{size} C3A b={d}/1", "c3a", blocks=1, model=model),
        Row(f"{size} C3A b={d}/{blocks}", "c3a", blocks=blocks, model=model),
    )
    return (Row(f"{size} Full", "full", model=model), *rows) if size == "base" else rows


def _llama(name: str, model: str, d: int) -> tuple[Row, ...]:
    return (
        Row(f"{name} LoRA r=32", "lora", C3A_TABLE_3_LORA.value, model=model),
        Row(f"{name} C3A b={d}/32", "c3a", blocks=32, model=model),
    )


def _vit(size: str, d: int, blocks: int) -> tuple[Row, ...]:
    model = f"vit-{size}"
    return (
        Row(f"{size} Head", "head", model=model),
        Row(f"{size} Full", "full", model=model),
        Row(f"{size} LoRA r=16", "lora", {"r": 16}, model=model),
        Row(f"{size} C3A b={d}/{blocks}", "c3a", blocks=blocks, model=model),
    )


def _cdvft(model: str, lora: int, vera: int, frequencies: int) -> tuple[Row, ...]:
    return (
        Row("FF", "full", model=model),
        Row("LoRA", "lora", {"r": lora}, model=model),
        Row("VeRA", "vera", {"r": vera}, model=model),
        Row("FourierFT", "fourierft", {"n_frequency": frequencies}, model=model),
        Row("CDVFT p=768", "cdvft", blocks=1, model=model),
    )


def _instructions() -> tuple[Row, ...]:
    mt, gsm, llama = ("MT-Bench Score",), ("GSM8K Acc.",), "llama2-7b"
    return (
        Row("LoRA", "lora", {"r": 64}, model=llama, columns=mt),
        Row("LoRA", "lora", {"r": 16}, model=llama, targets=_NO_GATE, columns=gsm),
        Row("VeRA", "vera", {"r": 1024}, model=llama, targets=_NO_OUTPUT, columns=mt),
        Row("FourierFT", "fourierft", {"n_frequency": 1000}, model=llama, columns=mt),
        Row("LaMDA", "lamda", {"r": 32}, model=llama, targets=_NO_GATE, columns=gsm),
        Row("CDVFT p=2048", "cdvft", blocks=2, model=llama, columns=mt),
        Row("CDVFT p=2048", "cdvft", blocks=2, model=llama, targets=_NO_GATE, columns=gsm),
        Row("CDVFT p=4096", "cdvft", blocks=1, model=llama, columns=mt),
        Row("CDVFT p=4096", "cdvft", blocks=1, model=llama, targets=_NO_GATE, columns=gsm),
    )


TABLES = {
    "cdvft-1": Table("text", PROTOCOLS["cdvft-1"], _GLUE, _cdvft("roberta-base", 8, 1024, 1000)),
    "cdvft-2": Table(
        "images",
        PROTOCOLS["cdvft-2"],
        {"RESISC45": "resisc45", "CIFAR100": "cifar100"},
        _cdvft("vit-base", 16, 256, 3000),
    ),
    "cdvft-3": Table(
        "instructions",
        PROTOCOLS["cdvft-3"],
        {"MT-Bench Score": "alpaca", "GSM8K Acc.": "gsm8k"},
        _instructions(),
        {"LaMDA++": "its ranks differ from layer to layer, and the paper does not print them"},
    ),
    "c3a-2": Table("text", PROTOCOLS["c3a-2"], _GLUE, _roberta("base", 768, 1024, 6) + _roberta("large", 1024, 256, 8)),
    "c3a-3": Table(
        "instructions",
        PROTOCOLS["c3a-3"],
        {"GSM8k": "gsm8k", "MATH": "math", "ViGGO": "viggo", "SQL": "sql"},
        _llama("LLaMA2-7B", "llama2-7b", 4096)
        + _llama("LLaMA2-13B", "llama2-13b", 5120)
        + _llama("LLaMA3-8B", "llama3-8b", 4096),
    ),
    "c3a-4": Table("images", PROTOCOLS["c3a-4"], _IMAGES, _vit("base", 768, 12) + _vit("large", 1024, 16)),
}
