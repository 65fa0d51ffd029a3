"""How every printed count of parameters and FLOPs comes out: the method, the model, its layers, and what the text says.

A count is computed by `circpeft.costs`; nothing here is a result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Any

from .. import costs

QUERY_VALUE = r".*\.(query|value|q_proj|v_proj)"  # transformers renamed ViT's between its versions
EVERY = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
NO_OUTPUT = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "down_proj")
NO_GATE = ("q_proj", "k_proj", "v_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Count:
    """A method over layers of a model, in one way of counting."""

    method: str
    model: str
    targets: str | tuple[str, ...] | None = QUERY_VALUE
    options: dict[str, Any] = field(default_factory=dict)
    counting: str = "paper"

    def value(self, quantity: str) -> float:
        """Unrounded value in base units; ``quantity`` is "parameters" or "flops"."""
        targets = list(self.targets) if isinstance(self.targets, tuple) else self.targets
        if quantity == "parameters" and self.method in ("full", "bitfit"):
            return costs.model_parameters(self.model, self.method, targets, **self.options)
        found = costs.layers(self.model, targets)
        return costs.total_over(quantity, found, self.method, self.counting, **self.options)


@dataclass(frozen=True)
class RoundedUp(Count):
    """CDVFT's FLOPs with whole blocks, ``q = ceil(d / p)``, as its section 3.3 partitions."""

    def value(self, quantity: str) -> float:
        p, total = self.options["block_size"], 0.0
        for layer in costs.layers(self.model, list(self.targets)):
            blocked = [ceil(d / p) * p for d in (layer.d_in, layer.d_out)]
            counted = costs.flops(self.method, *blocked, counting="paper", block_size=p)
            total += counted - sum(blocked) - blocked[1] + layer.d_in + 2 * layer.d_out  # diagonals are not blocked
        return total


@dataclass(frozen=True)
class Entry:
    """One printed count: the sum of counts that reproduces it, and what the text's own hyperparameters give."""

    formula: str
    reproduces: tuple[Count, ...] = ()  # empty: nothing does
    stated: tuple[Count, ...] | None = None  # None: the text states what reproduces the print
    note: str = ""

    @staticmethod
    def total(counts: tuple[Count, ...], quantity: str) -> float | None:
        """Sum of counts; None where there are none."""
        return sum(count.value(quantity) for count in counts) if counts else None


def _entry(formula: str, method: str, model: str, targets=QUERY_VALUE, note: str = "", **options: Any) -> Entry:
    return Entry(formula, (Count(method, model, targets, options),), note=note)


def _glue(size: str, d: int, rank: int, blocks: int) -> dict[str, Entry]:
    model = f"roberta-{size}"
    outputs = r".*(query|key|value|attention\.output\.dense|intermediate\.dense)"
    inputs = r".*layer\.\d+\.output\.dense"
    scaled = (Count("ia3", model, outputs), Count("ia3", model, inputs, {"feedforward": True}))
    own = (Count("ia3", model, r".*(key|value)"), Count("ia3", model, inputs, {"feedforward": True}))
    all_linear = (
        "scales q, k, v, both attention outputs and both feed-forward layers; the text takes hyperparameters from the "
        "methods' own papers, and (IA)3's scales k, v and the feed-forward layer"
    )
    entries = {
        "BitFit": _entry("11 d a block and d: every bias, those of layer norms too", "bitfit", model, None),
        "(IA)3": Entry("12 d a block", scaled, own, all_linear),
        "LoRA r=8": _entry("2 d r L", "lora", model, r=8),
        f"VeRA r={rank}": _entry("(r + d) L", "vera", model, r=rank),
        "BOFT m=2 b=8": _entry("m d (b + 1) / 2 L", "boft", model, block_size=8, n_butterfly_factor=2),
        f"C3A b={d}/1": _entry("d² / b L", "c3a", model, block_size=d),
        f"C3A b={d}/{blocks}": _entry("d² / b L", "c3a", model, block_size=d // blocks),
        "Full": _entry("every parameter, without pooler and head", "full", model, None),
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
        f"{size} Full": _entry("every parameter, without head", "full", model, None),
        f"{size} LoRA r=16": _entry("2 d r L", "lora", model, r=16),
        f"{size} C3A b={d}/{blocks}": _entry("d² / b L", "c3a", model, block_size=d // blocks),
    }


# (paper, table) -> row -> entry, of the one column "# Trainable Parameters".
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
    vit, found = "vit-base", {}
    rows = {
        "LoRA": ("lora", {"r": 16}, "(2 d r + d) L, a multiply-add is one", "2 d r L"),
        "VeRA": ("vera", {"r": 256}, "(2 d r + (r + d) + d) L", "(r + d) L"),
        "FourierFT": ("fourierft", {"n_frequency": 3000}, "(5 log d² + 4) d² L, once a step", "n L"),
        "CDVFT p=768": ("cdvft", {"block_size": 768}, "(15 log d + 4) d L", "3 d L"),
    }
    for row, (method, options, flops, parameters) in rows.items():
        found[row, "FLOPs"] = _entry(flops, method, vit, **options)
        found[row, "Param."] = _entry(parameters, method, vit, **options)
    found["FF", "Param."] = _entry("every parameter, without head", "full", vit, None)
    return found


def _cdvft_3() -> dict[tuple[str, str], Entry]:
    llama, found = "llama2-7b", {}
    rank = "the print comes out with rank {}, the text says {}"
    five = "the text says MHSA and FFN layers, after another paper: its five kinds of layer are taken as stated"
    no_output = "without the attention's output projection; the text says all layers in MHSA and MLP"
    for column, lora in (("FLOPs", "sum of r (d_in + d_out) + d_out"), ("Param.", "sum of r (d_in + d_out)")):
        mt, gsm = f"MT-Bench {column}", f"GSM8K {column}"
        found["LoRA", mt] = _differs(
            f"{lora} over q, v", llama, "lora", QUERY_VALUE, {"r": 64}, QUERY_VALUE, {"r": 8}, rank.format(64, 8)
        )
        r = 8 if column == "FLOPs" else 16
        found["LoRA", gsm] = _differs(
            f"{lora} over q, k, v, up, down",
            llama,
            "lora",
            NO_GATE,
            {"r": r},
            NO_GATE,
            {"r": 64},
            f"{rank.format(r, 64)}; {five}",
        )
        vera = "sum of r (d_in + d_out) + r + 2 d_out" if column == "FLOPs" else "sum of r + max(d_in, d_out)"
        found["VeRA", mt] = _differs(
            f"{vera} over q, k, v, gate, up, down", llama, "vera", NO_OUTPUT, {"r": 1024}, EVERY, {"r": 1024}, no_output
        )
        fourier = "(5 log d² + 4) d² L, once a step" if column == "FLOPs" else "n L"
        found["FourierFT", mt] = _entry(fourier, "fourierft", llama, n_frequency=1000)
        lamda = "sum of r (d_in + d_out) + r² + d_out" if column == "FLOPs" else "sum of r² + 0.15 r d_out"
        frozen = five if column == "FLOPs" else f"0.15: frozen evenly over the first 30%, LaMDA's own paper; {five}"
        found["LaMDA", gsm] = _entry(f"{lamda} over q, k, v, up, down", "lamda", llama, NO_GATE, frozen, r=32)
        for p in (2048, 4096):
            row, options = f"CDVFT p={p}", {"block_size": p}
            square = "[5 p log p (q² + 2 q) + q² p + 3 d] L" if column == "FLOPs" else "(q² p + 2 d) L"
            found[row, mt] = _entry(f"{square}, q = d / p", "cdvft", llama, **options)
            if column == "FLOPs":
                flops = "sum of 5 p log p (q1 q2 + q1 + q2) + q1 q2 p + d_in + 2 d_out, q = d / p not rounded"
                found[row, gsm] = Entry(
                    f"{flops}, over q, k, v, up, down",
                    (Count("cdvft", llama, NO_GATE, options),),
                    (RoundedUp("cdvft", llama, NO_GATE, options),),
                    f"section 3.3 rounds the numbers of blocks up, the print does not; {five}",
                )
            else:
                found[row, gsm] = Entry(
                    "sum of d_in + d_out + ceil(max / p)² p over q, k, v, up, down",
                    (Count("cdvft", llama, NO_GATE, options),),
                    (Count("cdvft", llama, NO_GATE, options, "exact"),),
                    f"circulants padded to squares; Eq. 12 has ceil(d_out / p) ceil(d_in / p) blocks; {five}",
                )
    found["LaMDA++", "GSM8K Param."] = Entry(
        "", note="its ranks differ from layer to layer and are not printed: they are missing"
    )
    return found


CDVFT_COUNTS: dict[str, dict[tuple[str, str], Entry]] = {"2": _cdvft_2(), "3": _cdvft_3()}


def entry(paper: str, table: str, row: str, column: str) -> Entry | None:
    """The entry of a printed count, or None where the cell is no count or nothing is known of it."""
    if paper == "c3a":
        return C3A_PARAMETERS.get(table, {}).get(row) if column == "# Trainable Parameters" else None
    return CDVFT_COUNTS.get(table, {}).get((row, column))
