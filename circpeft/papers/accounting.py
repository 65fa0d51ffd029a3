"""Method, model, layers and hyperparameters behind every printed count of parameters and FLOPs.

`circpeft.costs` computes the counts; this module holds no results.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Any

from .. import costs

QUERY_VALUE = r".*\.(query|value|q_proj|v_proj)"  # both names of ViT's layers: transformers renamed them
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
NO_OUTPUT = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "down_proj")
NO_GATE = ("q_proj", "k_proj", "v_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Count:
    """A method applied to layers of a model, with one way of counting."""

    method: str
    model: str
    targets: str | tuple[str, ...] | None = QUERY_VALUE
    options: dict[str, Any] = field(default_factory=dict)
    counting: str = "paper"

    def value(self, quantity: str) -> float:
        """Return the unrounded value in base units; ``quantity`` is "parameters" or "flops"."""
        targets = list(self.targets) if isinstance(self.targets, tuple) else self.targets
        if quantity == "parameters" and self.method in ("full", "bitfit"):
            return costs.model_parameters(self.model, self.method, targets, **self.options)
        layers = costs.layers(self.model, targets)
        return costs.total_over(quantity, layers, self.method, self.counting, **self.options)


@dataclass(frozen=True)
class RoundedUp(Count):
    """CDVFT's FLOPs with whole blocks, ``q = ceil(d / p)``, as in its section 3.3."""

    def value(self, quantity: str) -> float:
        """Return the unrounded FLOPs."""
        p, total = self.options["block_size"], 0.0
        for layer in costs.layers(self.model, list(self.targets or ())):
            d_in, d_out = (ceil(d / p) * p for d in (layer.d_in, layer.d_out))
            counted = costs.flops(self.method, d_in, d_out, counting="paper", block_size=p)
            total += counted - (d_in + d_out) - d_out + layer.d_in + 2 * layer.d_out  # diagonals are not blocked
        return total


@dataclass(frozen=True)
class Entry:
    """One printed count: the counts that reproduce it, and those with the hyperparameters that the text states."""

    formula: str
    reproduces: tuple[Count, ...] = ()  # empty: nothing reproduces the printed figure
    stated: tuple[Count, ...] | None = None  # None: the same as ``reproduces``
    note: str = ""

    @staticmethod
    def total(counts: tuple[Count, ...], quantity: str) -> float | None:
        """Return the sum of counts; None for an empty tuple."""
        return sum(count.value(quantity) for count in counts) if counts else None


def _entry(formula: str, method: str, model: str, targets=QUERY_VALUE, note: str = "", **options: Any) -> Entry:
    return Entry(formula, (Count(method, model, targets, options),), note=note)


def _glue(size: str, d: int, rank: int, blocks: int) -> dict[str, Entry]:
    model = f"roberta-{size}"
    outputs = r".*(query|key|value|attention\.output\.dense|intermediate\.dense)"
    inputs = r".*layer\.\d+\.output\.dense"
    scaled = (Count("ia3", model, outputs), Count("ia3", model, inputs, {"feedforward": True}))
    note = (
        "it scales q, k, v, the attention output and both feed-forward layers; the text does not say which layers "
        "(IA)3 scales, and those of its own paper (k, v and one feed-forward layer) would give fewer"
    )
    entries = {
        "BitFit": _entry("11 d per block, plus d: every bias, including those of layer norms", "bitfit", model, None),
        "(IA)3": Entry("12 d per block", scaled, note=note),
        "LoRA r=8": _entry("2 d r L", "lora", model, r=8),
        f"VeRA r={rank}": _entry("(r + d) L", "vera", model, r=rank),
        "BOFT m=2 b=8": _entry("m d (b + 1) / 2 L", "boft", model, block_size=8, n_butterfly_factor=2),
        f"C3A b={d}/1": _entry("d² / b L", "c3a", model, block_size=d),
        f"C3A b={d}/{blocks}": _entry("d² / b L", "c3a", model, block_size=d // blocks),
        "Full": _entry("every parameter without pooler and head", "full", model, None),
    }
    return {f"{size} {row}": entry for row, entry in entries.items()}


def _llama(name: str, model: str, d: int) -> dict[str, Entry]:
    return {
        f"{name} LoRA r=32": _entry("sum of r (d_in + d_out) over q, v", "lora", model, r=32),
        f"{name} C3A b={d}/32": _entry("sum of d_in d_out / b over q, v", "c3a", model, block_size=d // 32),
    }


def _vit(size: str, d: int, blocks: int) -> dict[str, Entry]:
    model = f"vit-{size}"
    return {
        f"{size} Full": _entry("every parameter without head", "full", model, None),
        f"{size} LoRA r=16": _entry("2 d r L", "lora", model, r=16),
        f"{size} C3A b={d}/{blocks}": _entry("d² / b L", "c3a", model, block_size=d // blocks),
    }


# Table -> row -> entry, for the column "# Trainable Parameters".
C3A_PARAMETERS: dict[str, dict[str, Entry]] = {
    "2": _glue("base", 768, 1024, 6) | _glue("large", 1024, 256, 8),
    "3": _llama("LLaMA2-7B", "llama2-7b", 4096)
    | _llama("LLaMA2-13B", "llama2-13b", 5120)
    | _llama("LLaMA3-8B", "llama3-8b", 4096),
    "4": _vit("base", 768, 12) | _vit("large", 1024, 16),
}


def _differs(formula: str, model: str, method: str, targets, options, stated_targets, stated_options, note) -> Entry:
    return Entry(
        formula,
        (Count(method, model, targets, options),),
        (Count(method, model, stated_targets, stated_options),),
        note,
    )


def _cdvft_2() -> dict[tuple[str, str], Entry]:
    vit = "vit-base"
    entries: dict[tuple[str, str], Entry] = {}
    rows: dict[str, tuple[str, dict[str, Any], str, str]] = {
        "LoRA": ("lora", {"r": 16}, "(2 d r + d) L, a multiply-add counts as one", "2 d r L"),
        "VeRA": ("vera", {"r": 256}, "(2 d r + (r + d) + d) L", "(r + d) L"),
        "FourierFT": ("fourierft", {"n_frequency": 3000}, "(5 log d² + 4) d² L, once per step", "n L"),
        "CDVFT p=768": ("cdvft", {"block_size": 768}, "(15 log d + 4) d L", "3 d L"),
    }
    for row, (method, options, flops, parameters) in rows.items():
        entries[row, "FLOPs"] = _entry(flops, method, vit, **options)
        entries[row, "Param."] = _entry(parameters, method, vit, **options)
    entries["FF", "Param."] = _entry("every parameter without head", "full", vit, None)
    return entries


def _cdvft_3() -> dict[tuple[str, str], Entry]:
    llama, entries = "llama2-7b", {}
    rank = "the printed figure follows from rank {}; the text says {}"
    gsm_rank = {
        "FLOPs": "0.01G follows from every rank from 3 to 8; rank 16, which gives the parameters, would give 0.03G",
        "Param.": "28.05M follows from rank 16 on any three attention and two feed-forward layers",
    }
    five = "the text says MHSA and FFN layers, following another paper: that paper's five kinds of layers are assumed"
    one_left_out = (
        "the printed figure follows without one of q, k, v and o (any of them; here o); the text says "
        "all layers in MHSA and MLP; it needs r + max(d_in, d_out) for the down projection, where VeRA has r + d_out"
    )
    for column, lora in (("FLOPs", "sum of r (d_in + d_out) + d_out"), ("Param.", "sum of r (d_in + d_out)")):
        mt, gsm = f"MT-Bench {column}", f"GSM8K {column}"
        entries["LoRA", mt] = _differs(
            f"{lora} over q, v", llama, "lora", QUERY_VALUE, {"r": 64}, QUERY_VALUE, {"r": 8}, rank.format(64, 8)
        )
        r = 8 if column == "FLOPs" else 16
        entries["LoRA", gsm] = _differs(
            f"{lora} over q, k, v, up, down",
            llama,
            "lora",
            NO_GATE,
            {"r": r},
            NO_GATE,
            {"r": 64},
            f"{gsm_rank[column]}; the text says 64; {five}",
        )
        vera = "sum of r (d_in + d_out) + r + 2 d_out" if column == "FLOPs" else "sum of r + max(d_in, d_out)"
        entries["VeRA", mt] = _differs(
            f"{vera} over q, k, v, gate, up, down",
            llama,
            "vera",
            NO_OUTPUT,
            {"r": 1024},
            ALL_LINEAR,
            {"r": 1024},
            one_left_out,
        )
        fourier = "(5 log d² + 4) d² L, once per step" if column == "FLOPs" else "n L"
        entries["FourierFT", mt] = _entry(fourier, "fourierft", llama, n_frequency=1000)
        lamda = "sum of r (d_in + d_out) + r² + d_out" if column == "FLOPs" else "sum of r² + 0.15 r d_out"
        frozen = five if column == "FLOPs" else f"0.15: frozen evenly over the first 30%, as in LaMDA's paper; {five}"
        entries["LaMDA", gsm] = _entry(f"{lamda} over q, k, v, up, down", "lamda", llama, NO_GATE, frozen, r=32)
        for p in (2048, 4096):
            row = f"CDVFT p={p}"
            options: dict[str, Any] = {"block_size": p}
            square = "[5 p log p (q² + 2 q) + q² p + 3 d] L" if column == "FLOPs" else "(q² p + 2 d) L"
            entries[row, mt] = _entry(f"{square}, q = d / p", "cdvft", llama, **options)
            if column == "FLOPs":
                flops = "sum of 5 p log p (q1 q2 + q1 + q2) + q1 q2 p + d_in + 2 d_out, q = d / p not rounded"
                entries[row, gsm] = Entry(
                    f"{flops}, over q, k, v, up, down",
                    (Count("cdvft", llama, NO_GATE, options),),
                    (RoundedUp("cdvft", llama, NO_GATE, options),),
                    f"section 3.3 rounds the number of blocks up, the printed figure does not; {five}",
                )
            else:
                entries[row, gsm] = Entry(
                    "sum of d_in + d_out + ceil(max / p)² p over q, k, v, up, down",
                    (Count("cdvft", llama, NO_GATE, options),),
                    (Count("cdvft", llama, NO_GATE, options, "exact"),),
                    "the printed figure pads circulants to squares; Eq. 12 has ceil(d_out / p) ceil(d_in / p) blocks; "
                    f"{five}",
                )
    entries["LaMDA++", "GSM8K Param."] = Entry("", note="its ranks differ between layers and are not printed")
    return entries


CDVFT_COUNTS: dict[str, dict[tuple[str, str], Entry]] = {"2": _cdvft_2(), "3": _cdvft_3()}


def entry(paper: str, table: str, row: str, column: str) -> Entry | None:
    """Return the entry of a printed count; None if the cell is not a count or nothing reproduces it."""
    if paper == "c3a":
        return C3A_PARAMETERS.get(table, {}).get(row) if column == "# Trainable Parameters" else None
    return CDVFT_COUNTS.get(table, {}).get((row, column))
