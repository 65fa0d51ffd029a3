"""The tables of speed on a CPU in docs/speed.md and the README, from benchmarks/results/speed_cpu.json.

    .venv/bin/python benchmarks/speed_table.py

benchmarks/speed.py, which writes the record, calls this at its end.
"""

import json

from page_parts import Part

from circpeft import results

RECORD = results.ROOT / "benchmarks" / "results" / "speed_cpu.json"
LAYERS = Part("layers", "docs/speed.md")
STEPS = Part("steps", "docs/speed.md")
README = Part("speed-cpu", "README.md")


def layers_text(record: dict) -> str:
    """Return a table of single layers: one row per layer, then the machine and the versions."""
    layers = record["layers"]
    lines = [
        "| tokens, layer, block size | frozen layer | LoRA r=8 | CDVFT | C3A | C3A in PEFT | PEFT's C3A / ours |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in layers["rows"]:
        median = {name: added["both"][1] for name, added in row["beyond_frozen_ms"].items()}
        cells = [f"{median[name]:+.1f}" for name in ("lora r=8", "cdvft", "c3a", "peft c3a")]
        size = f"{row['tokens']}, {row['d_in']} to {row['d_out']}, {row['block_size']}"
        ratio = median["peft c3a"] / median["c3a"]
        lines.append(f"| {size} | {row['frozen_ms']['both'][1]:.1f} | {' | '.join(cells)} | {ratio:.1f} |")
    return "\n".join([*lines, "", f"Medians in milliseconds. {_source(layers)}", ""])


def steps_text(record: dict) -> str:
    """Return a table of whole training steps, in percent over LoRA's."""
    steps = record["steps"]
    lines = ["| model, batch | block size of C3A | C3A | CDVFT | C3A in PEFT |", "|---|---|---|---|---|"]
    for row in steps["rows"]:
        median = {name: percent[1] for name, percent in row["percent_over_lora"].items()}
        c3a = next(name for name in median if name.startswith("c3a b="))
        cells = [f"{median[name]:+.1f} %" for name in (c3a, "cdvft", f"peft {c3a}")]
        lines.append(f"| {row['model'].partition(', b =')[0]} | {c3a.partition('=')[2]} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Medians. {_source(steps)}", ""])


def _source(part: dict) -> str:
    return (
        f"{part['device']}; torch {part['versions']['torch']}, peft {part['versions']['peft']}. The record, with "
        "spread, memory and commit, is `benchmarks/results/speed_cpu.json`."
    )


def main() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    LAYERS.write(layers_text(record))
    STEPS.write(steps_text(record))
    README.write(steps_text(record))
    print(layers_text(record), steps_text(record), sep="\n")


if __name__ == "__main__":
    main()
