"""The tables of speed and memory on a GPU in docs/gpu.md and the README, from the records of three benchmarks.

    .venv/bin/python benchmarks/gpu_table.py

The records are those of training_memory.py, memory_column.py and speed.py.
"""

import json
from typing import Any

from page_parts import Part

from circpeft import results

RECORDS = results.ROOT / "benchmarks" / "results"
STEPS = Part("steps", "docs/gpu.md")
LAYERS = Part("layers", "docs/gpu.md")
COLUMN = Part("memory-column", "docs/gpu.md")
README = Part("speed-gpu", "README.md")
# Model: its heading, and the rows that are shown with their name, label in the record, and backend.
# "auto" now takes "fold" for C3A in float32 there.
SHOWN = {
    "roberta-base": (
        "RoBERTa-base, 64 x 256 tokens, float32",
        [
            ("C3A b=768", "c3a:block_size=768", "fold"),
            ("C3A b=768 in PEFT", "c3a-peft:block_size=768", "auto"),
            ("C3A b=128", "c3a:block_size=128", "fold"),
            ("C3A b=128 in PEFT", "c3a-peft:block_size=128", "auto"),
            ("CDVFT p=768", "cdvft:block_size=768", "auto"),
            ("LoRA r=8", "lora:r=8", "auto"),
            ("full", "full", "auto"),
        ],
    ),
    "vit-base": (
        "ViT-base, 64 images, float32",
        [
            ("C3A b=64", "c3a:block_size=64", "fold"),
            ("C3A b=64 in PEFT", "c3a-peft:block_size=64", "auto"),
            ("CDVFT p=768", "cdvft:block_size=768", "auto"),
            ("LoRA r=16", "lora:r=16", "auto"),
            ("full", "full", "auto"),
        ],
    ),
    "llama2-7b": (
        "LLaMA2-7B, 2 x 1,024 tokens, bfloat16",
        [
            ("C3A b=128", "c3a:block_size=128", "auto"),
            ("C3A b=128 in PEFT", "c3a-peft:block_size=128", "auto"),
            ("CDVFT p=4096", "cdvft:block_size=4096", "auto"),
            ("LoRA r=32", "lora:r=32", "auto"),
            ("full", "full", "auto"),
        ],
    ),
}


LAYER_COLUMNS = {"LoRA r=8": "lora r=8", "C3A": "c3a", "C3A in PEFT": "peft c3a", "CDVFT": "cdvft"}


def _row(rows: list[dict], model: str, label: str, backend: str) -> dict:
    # The first row of a label adapts query and value, like the other rows of its model.
    return next(r for r in rows if (r["model"], r["label"], r["backend"]) == (model, label, backend))


def _machine(row: dict) -> str:
    versions = ", ".join(f"{name} {row['versions'][name]}" for name in ("torch", "transformers", "peft"))
    return f"{row['device']}, one run; {versions}"


def steps_text(rows: list[dict]) -> str:
    """Return a table of whole training steps: peak memory and tokens per second."""
    lines = ["| model, batch | method | peak memory, GB | tokens per second |", "|---|---|---|---|"]
    for model, (heading, shown) in SHOWN.items():
        for name, label, backend in shown:
            row = _row(rows, model, label, backend)
            lines.append(f"| {heading} | {name} | {row['peak_bytes'] / 1e9:.2f} | {row['tokens_per_second']:,.0f} |")
            heading = ""
    source = (
        f"{_machine(row)}. [training_memory_cuda.md](../benchmarks/results/training_memory_cuda.md) has all methods "
        "and backends. The record is `benchmarks/results/training_memory_cuda.json`."
    )
    return "\n".join([*lines, "", source, ""])


def layers_text(layers: dict) -> str:
    """Return a table of single layers: what an adapter adds to the frozen layer.

    A record of eager calls is in milliseconds; one of CUDA graphs is in microseconds, with its rooflines.
    """
    if "precision" in layers["rows"][0]:
        return _graphs_text(layers)
    lines = [f"| layer, block size | {' | '.join(LAYER_COLUMNS)} |", "|---|" + "---|" * len(LAYER_COLUMNS)]
    for row in layers["rows"]:
        cells = " | ".join(f"{_added(row, key):.2f}" for key in LAYER_COLUMNS.values())
        lines.append(f"| {row['d_in']} to {row['d_out']}, b={row['block_size']} | {cells} |")
    source = (
        f"Milliseconds; {layers['rows'][0]['tokens']:,} tokens in float32; {layers['device']}. The record is "
        "`benchmarks/results/speed_cuda.json`. Larger layers and bfloat16 were not measured."
    )
    return "\n".join([*lines, "", source, ""])


def _graphs_text(layers: dict) -> str:
    """Return the table of a record of CUDA graphs. LoRA has r=32 at width 4096 and beyond, and else r=8."""
    columns = ("LoRA", "LoRA, bfloat16 adapters", "C3A", "C3A in PEFT", "CDVFT", "C3A / roofline")
    lines = [f"| tokens, layer, block size | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for row in layers["rows"]:
        lora = f"lora r={32 if row['d_in'] >= 4096 else 8}"
        names = (lora, f"{lora} {row['precision']}", "c3a", "peft c3a", "cdvft")
        known = row["beyond_frozen_ms"]
        cells = [f"{1000 * _added(row, name):.0f}" if name in known else "" for name in names]
        ratio = row["times_roofline"].get("c3a")
        size = f"{row['tokens']:,}, {row['d_in']} to {row['d_out']}, b={row['block_size']}, {row['precision']}"
        lines.append(f"| {size} | {' | '.join([*cells, '' if ratio is None else f'{ratio:.1f}'])} |")
    source = (
        f"Microseconds of the GPU in CUDA graphs, medians of {layers['rows'][0]['repeats']}; {layers['device']}. LoRA "
        "has r=32 from width 4096 on and r=8 below, with float32 adapters unless the column says otherwise. The "
        f"roofline is the time in which a copy, at {layers['bytes_per_second'] / 1e12:.2f} TB/s, moves as many bytes. "
        "The record, with spread and backends, is `benchmarks/results/speed_cuda.json`."
    )
    return "\n".join([*lines, "", source, ""])


def column_text(column: list[dict]) -> str:
    """Return what was found about the memory column of C3A Table 2."""
    counted = [row for row in column if "gb" in row]
    by_row = {(row["row"], row["adapter_dropout"]): row for row in counted}
    c3a, lora = by_row["base C3A b=768/1", 0.0], by_row["base LoRA r=8", 0.0]
    with_dropout = by_row["base LoRA r=8", 0.1]
    near = [row for row in counted if row is not lora and abs(row["gb"] / row["printed_gb"] - 1) < 0.07]
    return (
        f"The paper prints {c3a['printed_gb']:.2f} GB for C3A b=768 and {lora['printed_gb']:.2f} GB for LoRA r=8. Both "
        "are more than was measured here. With eager attention, as transformers had it in July 2024, when the first "
        f"version appeared, the tensors that a training step keeps add up to {c3a['gb']:.2f} GB for C3A and "
        f"{lora['gb']:.2f} GB for LoRA. If the LoRA adapter has a dropout of {with_dropout['adapter_dropout']}, LoRA "
        f"comes to {with_dropout['gb']:.2f} GB. With this dropout, {len(near)} of "
        f"{len(counted) - 1} sums are within 7 % of the printed figures "
        "([memory_column.md](../benchmarks/results/memory_column.md)). The printed advantage of C3A over LoRA would "
        "therefore come from that dropout: without it, both need the same memory, as measured above.\n"
    )


def readme_text(rows: list[dict], layers: dict) -> str:
    """Return the README's table of tokens per second, and where PEFT's C3A is the faster one."""
    columns = ("LoRA", "C3A", "C3A in PEFT", "CDVFT", "full")
    lines = [f"| model, batch | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    slower = []
    for model, (heading, shown) in SHOWN.items():
        speed = {name: _row(rows, model, label, way)["tokens_per_second"] for name, label, way in shown}
        for name in (name for name in speed if name.startswith("C3A") and not name.endswith("PEFT")):
            other = {kind: next(n for n in speed if n.startswith(kind)) for kind in ("LoRA", "CDVFT", "full")}
            names = (other["LoRA"], name, f"{name} in PEFT", other["CDVFT"], other["full"])
            size = name.removeprefix("C3A ")
            lines.append(f"| {heading}, {size} | {' | '.join(f'{speed[n]:,.0f}' for n in names)} |")
            if speed[f"{name} in PEFT"] > speed[name]:
                theirs, ours = speed[f"{name} in PEFT"], speed[name]
                slower.append(f"on {heading.partition(',')[0]} ({theirs:,.0f} against {ours:,.0f} tokens per second)")
    measured = [r for r in layers["rows"] if {"c3a", "peft c3a"} <= r["beyond_frozen_ms"].keys()]
    float32 = [r for r in measured if (r.get("dtype") or r["precision"]).endswith("float32")]
    lost = [r for r in float32 if _added(r, "peft c3a") < _added(r, "c3a")]
    lines += [
        "",
        f"{_machine(rows[0])}. **PEFT's C3A is faster than ours {', '.join(slower)}, and in {len(lost)} of "
        f"{len(float32)} single layers in float32.** In each of these cases, LoRA is faster than both.",
    ]
    return "\n".join([*lines, ""])


def _added(row: dict, name: str) -> float:
    return row["beyond_frozen_ms"][name]["both"][1]


def read() -> tuple[list[dict], list[dict], dict[str, Any]]:
    """Return the rows of training steps, the rows of the memory column, and the newest record of layers."""
    names = ("training_memory_cuda", "memory_column", "speed_cuda")
    memory, column, speed = (json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8")) for name in names)
    return memory["rows"], column["rows"], speed.get("gpu_time") or speed["layers"]


def main() -> None:
    steps, column, layers = read()
    STEPS.write(steps_text(steps))
    LAYERS.write(layers_text(layers))
    COLUMN.write(column_text(column))
    README.write(readme_text(steps, layers))
    print(steps_text(steps), layers_text(layers), column_text(column), sep="\n")


if __name__ == "__main__":
    main()
