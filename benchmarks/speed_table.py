"""The README's table of speed, from benchmarks/results/speed_cpu.json, which benchmarks/speed.py writes; it calls this.

.venv/bin/python benchmarks/speed_table.py
"""

import json

import readme

from circpeft import results

RECORD = results.ROOT / "benchmarks" / "results" / "speed_cpu.json"
PART = readme.Part("speed")


def readme_text(record: dict) -> str:
    """The README's part: a row a layer, and whole training steps below."""
    about = record["layers"]
    lines = [
        "| tokens, layer, block size | frozen layer | LoRA r=8 | CDVFT | C3A | C3A in PEFT | PEFT / ours |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in about["rows"]:
        added = {name: of["both"][1] for name, of in row["beyond_frozen_ms"].items()}
        told = [f"{added[name]:+.1f}" for name in ("lora r=8", "cdvft", "c3a", "peft c3a")]
        size = f"{row['tokens']}, {row['d_in']} to {row['d_out']}, {row['block_size']}"
        ratio = added["peft c3a"] / added["c3a"]
        lines.append(f"| {size} | {row['frozen_ms']['both'][1]:.1f} | {' | '.join(told)} | {ratio:.1f} |")
    steps = [
        f"{row['model']}: "
        + ", ".join(
            f"{name} {of[1]:+.1f} %" for name, of in row["percent_over_lora"].items() if not name.startswith("lora")
        )
        for row in record["steps"]["rows"]
    ]
    lines += ["", "Milliseconds, medians. A whole training step, over LoRA's: " + "; ".join(steps) + "."]
    lines.append(
        f"{about['device']}; torch {about['versions']['torch']}, peft {about['versions']['peft']}; record, with "
        "spread, memory and commit: `benchmarks/results/speed_cpu.json`."
    )
    return "\n".join([*lines, ""])


def main() -> None:
    text = readme_text(json.loads(RECORD.read_text(encoding="utf-8")))
    PART.put(text)
    print(text)


if __name__ == "__main__":
    main()
