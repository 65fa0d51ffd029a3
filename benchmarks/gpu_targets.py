"""Targets of speed and memory on a GPU: which of them a measurement meets, and by what ratio.

Ratios are those of medians: in milliseconds that an adapter adds to the frozen layer, or of whole training steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

# A record of benchmarks/gpu_settle.py: name of a part -> its rows.
Record = dict[str, list[dict]]
WIDTH, TOKENS = 4096, 2048
LORA = "lora r=32 bfloat16"


@dataclass(frozen=True)
class Target:
    """A limit of the ratio of one measured value to another.

    Args:
        text: what is compared.
        ours: the way of this package, by "auto".
        value: takes a record and the name of a way; returns its value, or None where it was not measured.
        other: the way that ours is compared with.
        limit: of the ratio ours / other, which may be equal to it.
    """

    text: str
    ours: str
    value: Callable[[Record, str], float | None]
    other: str
    limit: float


def _added(b: int) -> Callable[[Record, str], float | None]:
    """Return a reader of the milliseconds beyond the frozen layer."""

    def read(record: Record, name: str) -> float | None:
        for row in record.get("layers", []):
            size = row["tokens"], row["d_in"], row["d_out"], row["block_size"], row["precision"]
            if size == (TOKENS, WIDTH, WIDTH, b, "bfloat16") and name in row["beyond_frozen_ms"]:
                return row["beyond_frozen_ms"][name]["both"][1]
        return None

    return read


def _of_step(model: str, precision: str, field: str) -> Callable[[Record, str], float | None]:
    """Return a reader of a field of a whole training step."""

    def read(record: Record, name: str) -> float | None:
        for row in record.get("steps", []):
            if (row["model"], row["precision"]) == (model, precision) and name in row[field]:
                value = row[field][name]
                return value[1] if isinstance(value, list) else value
        return None

    return read


LLAMA, ROBERTA = "8 layers of LLaMA2-7B", "RoBERTa-base"
TARGETS = [
    *(Target(f"C3A b={b}, {WIDTH}, bfloat16, over {LORA}", "c3a", _added(b), LORA, 1.25) for b in (32, 64, 128)),
    *(Target(f"C3A b={b}, {WIDTH}, bfloat16, over PEFT's", "c3a", _added(b), "peft c3a", 0.2) for b in (32, 64, 128)),
    Target(f"CDVFT p={WIDTH}, bfloat16, over {LORA}", "cdvft", _added(WIDTH), LORA, 1.5),
    Target(f"step of {LLAMA}, C3A over LoRA", "c3a", _of_step(LLAMA, "bfloat16", "step_ms"), "lora r=32", 1.05),
    Target(f"memory of {LLAMA}, C3A over LoRA", "c3a", _of_step(LLAMA, "bfloat16", "peak_bytes"), "lora r=32", 1.0),
    *(
        Target(f"step of {ROBERTA}, {how}, C3A over LoRA", "c3a", _of_step(ROBERTA, how, "step_ms"), "lora r=8", 1.0)
        for how in ("float32", "autocast")
    ),
]


def ratio(record: Record, target: Target, name: str) -> float | None:
    """Return the ratio for one of our ways; None where a value was not measured, or where the other is not positive."""
    ours, other = target.value(record, name), target.value(record, target.other)
    return None if ours is None or other is None or other <= 0 else round(ours / other, 3)


def _our_names(record: Record, method: str) -> list[str]:
    fields = [
        row.get("beyond_frozen_ms") or row["step_ms"] for part in ("layers", "steps") for row in record.get(part, [])
    ]
    return sorted({name for field in fields for name in field if name.split()[0] == method})


def evaluated(record: Record, targets: list[Target] = TARGETS) -> list[dict]:
    """Return a row for each target: "pass", "fail" or "not measured", with the ratio by "auto", and our smallest one.

    >>> ms = {"lora r=8": [9, 10, 11], "c3a": [9, 10, 12], "c3a fold": [8, 9, 9]}
    >>> evaluated({"steps": [{"model": "RoBERTa-base", "precision": "float32", "step_ms": ms}]}, TARGETS[-2:-1])
    [{'target': 'step of RoBERTa-base, float32, C3A over LoRA', 'limit': 1.0, 'ratio': 1.0, 'result': 'pass',
      'best': ['c3a fold', 0.9]}]
    """
    rows = []
    for target in targets:
        found = ratio(record, target, target.ours)
        all_of_ours = {name: ratio(record, target, name) for name in _our_names(record, target.ours)}
        known = {name: r for name, r in all_of_ours.items() if r is not None}
        best = min(known, key=known.get, default=None)
        result = "not measured" if found is None else "pass" if found <= target.limit else "fail"
        rows.append({
            "target": target.text, "limit": target.limit, "ratio": found, "result": result,
            "best": None if best is None else [best, known[best]],
        })  # fmt: skip
    return rows


def lines(rows: list[dict]) -> list[str]:
    """Return the rows of `evaluated` as lines to print.

    >>> lines([{"target": "C3A over LoRA", "limit": 1.25, "ratio": 1.5, "result": "fail", "best": ["c3a leaf", 1.1]}])
    ['fail          1.50  (at most 1.25)  C3A over LoRA; fastest: c3a leaf, 1.10']
    """
    printed = []
    for row in rows:
        value = "    " if row["ratio"] is None else f"{row['ratio']:.2f}"
        best = f"; fastest: {row['best'][0]}, {row['best'][1]:.2f}" if row["best"] else ""
        printed.append(f"{row['result']:12s}  {value}  (at most {row['limit']:.2f})  {row['target']}{best}")
    return printed
