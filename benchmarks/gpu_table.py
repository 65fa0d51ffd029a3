"""The README's part on a GPU, from what training_memory.py and memory_column.py have recorded.

.venv/bin/python benchmarks/gpu_table.py
"""

import json

import readme

from circpeft import results

RECORDS = results.ROOT / "benchmarks" / "results"
PART = readme.Part("gpu")
# Model -> heading, and the rows that are shown: name, label, way. "auto" takes "fold" for C3A there now, in float32.
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


def readme_text(rows: list[dict], column: list[dict], layers: dict) -> str:
    """A table of memory and speed, layers alone, and what is found of the paper's memory column."""
    lines = ["| model, batch | method | GB | tokens a second |", "|---|---|---|---|"]
    for model, (heading, shown) in SHOWN.items():
        for name, label, way in shown:
            # The first row of a label is that of query and value, as the others beside it.
            row = next(r for r in rows if (r["model"], r["label"], r["backend"]) == (model, label, way))
            lines.append(f"| {heading} | {name} | {row['peak_bytes'] / 1e9:.2f} | {row['tokens_per_second']:,.0f} |")
            heading = ""
    used = ", ".join(f"{name} {row['versions'][name]}" for name in ("torch", "transformers", "peft"))
    lines += [
        "",
        f"{row['device']}, one run; {used}; every method, other ways to compute ours, and the record: "
        "`benchmarks/results/training_memory_cuda.md`.",
        "",
        f"One layer alone, {layers['rows'][0]['tokens']:,} tokens in float32, milliseconds beyond the frozen layer: "
        f"{'; '.join(map(_layer, layers['rows']))} (`benchmarks/results/speed_cuda.json`; larger layers and bfloat16 "
        "were not reached).",
    ]
    counted = [row for row in column if "gb" in row]
    of = {(row["row"], row["adapter_dropout"]): row for row in counted}
    c3a, lora, dropped = of["base C3A b=768/1", 0.0], of["base LoRA r=8", 0.0], of["base LoRA r=8", 0.1]
    near = [row for row in counted if row is not lora and abs(row["gb"] / row["printed_gb"] - 1) < 0.07]
    lines += [
        "",
        f"C3A Table 2 prints more: {c3a['printed_gb']:.2f} GB for C3A b=768, {lora['printed_gb']:.2f} for LoRA r=8. "
        f"What a step keeps with the eager attention of its time comes to {c3a['gb']:.2f} and {lora['gb']:.2f}; LoRA "
        f"to {dropped['gb']:.2f} if it has a dropout of {dropped['adapter_dropout']} of its own. So {len(near)} "
        f"of {len(counted) - 1} sums are within 7 % of the print (`benchmarks/results/memory_column.md`). The printed "
        "advantage of C3A over LoRA would be that dropout's: without one both keep the same, as measured above.",
    ]
    return "\n".join([*lines, ""])


def _layer(row: dict) -> str:
    took = {name: of["both"][1] for name, of in row["beyond_frozen_ms"].items()}
    shown = {"LoRA r=8": "lora r=8", "C3A": "c3a", "C3A in PEFT": "peft c3a", "CDVFT": "cdvft"}
    told = ", ".join(f"{name} {took[key]:.2f}" for name, key in shown.items())
    return f"{row['d_in']} to {row['d_out']}, b={row['block_size']}: {told}"


def read() -> tuple[list[dict], list[dict], dict]:
    """The records, as `readme_text` takes them."""
    names = ("training_memory_cuda", "memory_column", "speed_cuda")
    memory, column, speed = (json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8")) for name in names)
    return memory["rows"], column["rows"], speed["layers"]


def main() -> None:
    text = readme_text(*read())
    PART.put(text)
    print(text)


if __name__ == "__main__":
    main()
