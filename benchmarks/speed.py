"""Measure speed and memory of adapted layers, whole training steps and merging, beside LoRA and PEFT's methods.

    make bench                                            # on the CPU: about 20 minutes on two idle cores
    .venv/bin/python benchmarks/speed.py --device cuda    # on a GPU
    .venv/bin/python benchmarks/speed.py --only layers,rules

Everything that is compared runs in turn in one process. Times are quartiles of paired differences. Prints each row and
writes benchmarks/results/speed_<device>.json. The part "rules" measures the thresholds of `circpeft.ops.dispatch` again
and prints them beside those in use.
"""

import argparse
import json
import os
from datetime import UTC, datetime

import speed_table
import torch
from rules import fold_tokens, small_block
from steps import merging, whole_steps
from tqdm.auto import tqdm

from circpeft import files, results
from circpeft.benchmarking import added_times, layer_cases, memory_of, quartiles, time_calls, time_cases
from circpeft.course.reference_answers import least_bytes
from circpeft.ops import dispatch

# (tokens, d_in, d_out, block size of C3A, rounds). At block size d / 2r = 48 or 256, C3A has as many parameters as
# LoRA with r = 8.
CPU_SIZES = [
    (320, 384, 384, 384, 40),  # MiniLM
    (320, 384, 1536, 384, 20),
    (1024, 768, 768, 768, 15),  # RoBERTa-base, 8 x 128 tokens
    (1024, 768, 768, 48, 15),
    (2048, 768, 768, 768, 15),
    (2048, 768, 768, 128, 15),
    (1576, 768, 3072, 768, 9),  # ViT-base, 8 images
    (256, 4096, 4096, 4096, 5),  # LLaMA2-7B
    (1024, 4096, 4096, 4096, 7),
    (1024, 4096, 4096, 128, 7),
    (1024, 4096, 4096, 256, 7),
    (512, 4096, 11008, 256, 3),
]
CUDA_SIZES = [
    (8192, 768, 768, 768, 50),
    (8192, 768, 768, 48, 50),
    (8192, 1024, 1024, 1024, 50),
    (8192, 3072, 3072, 64, 30),
    (4096, 4096, 4096, 4096, 30),
    (8192, 4096, 4096, 4096, 30),
    (8192, 4096, 4096, 256, 30),
    (8192, 4096, 11008, 256, 20),
]


def bandwidth(device: torch.device) -> float:
    """Return the bytes per second that a copy of 256 MB reads and writes."""
    source = torch.ones(64 * 1024 * 1024, device=device)
    target = torch.empty_like(source)
    milliseconds = time_calls({"copy": lambda: target.copy_(source)}, 10, device)["copy"]
    return 2 * source.nbytes / min(milliseconds) * 1000


def layer_row(tokens, d_in, d_out, b, rounds, dtype, device, bytes_per_second) -> dict:
    """Measure one layer with every adapter and backend: what each adds to the frozen layer."""
    cases = layer_cases(tokens, d_in, d_out, b, dtype, device.type)
    slow = [n for n in cases if n in ("peft fourierft", "c3a reference", "cdvft reference") and d_in * d_out > 2**20]
    for name in slow:  # their dense matrices would take most of the time
        del cases[name]
    g = torch.randn(tokens, d_out, dtype=dtype, device=device)
    time_cases(cases, g, rounds)
    frozen = cases["frozen"]
    return {
        "tokens": tokens, "d_in": d_in, "d_out": d_out, "block_size": b, "dtype": str(dtype), "rounds": rounds,
        "floor_ms": 1000 * least_bytes(tokens, d_in, d_out, dtype.itemsize) / bytes_per_second,
        "frozen_ms": {part: quartiles(times) for part, times in frozen.times.items()},
        "beyond_frozen_ms": {name: added_times(case, frozen) for name, case in cases.items() if name != "frozen"},
        "bytes": {name: memory_of(case, g) for name, case in cases.items()},
    }  # fmt: skip


def print_row(row: dict) -> None:
    """Print the medians of a row."""
    medians = {name: quartiles_of["both"][1] for name, quartiles_of in row["beyond_frozen_ms"].items()}
    added = ", ".join(f"{name} {ms:+.2f}" for name, ms in medians.items())
    size = f"{row['tokens']} x {row['d_in']} x {row['d_out']}, b={row['block_size']}, {row['dtype']}"
    ratio = medians["c3a"] / row["floor_ms"]
    tqdm.write(
        f"{size}: frozen {row['frozen_ms']['both'][1]:.2f} ms; added ms: {added}; c3a adds {ratio:.1f} times the floor"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure speed and memory, and record them.")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parts = ("layers", "steps", "merging", "rules")
    parser.add_argument(
        "--only",
        default=",".join(parts),
        help=f"parts to measure, from {', '.join(parts)}; the others stay as recorded",
    )
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    if unknown := set(chosen) - set(parts):
        parser.error(f"unknown part of --only: {', '.join(sorted(unknown))}; choices: {', '.join(parts)}")
    device = torch.device(arguments.device)
    path = results.ROOT / "benchmarks" / "results" / f"speed_{device.type}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    provenance = {"load_before": os.getloadavg(), "started": datetime.now(UTC).isoformat(timespec="seconds")}
    provenance |= results.environment(name)

    def keep(part: str, measured: dict) -> None:  # after each row, so that an interrupted measurement loses nothing
        record[part] = {**provenance, **measured}
        files.write_atomically(path, json.dumps(record, indent=1) + "\n")

    if "layers" in chosen:
        bytes_per_second, rows = bandwidth(device), []
        sizes, dtypes = (CPU_SIZES, [torch.float32])
        if device.type == "cuda":
            sizes, dtypes = CUDA_SIZES, [torch.float32, torch.bfloat16]
        for dtype in dtypes:
            for size in tqdm(sizes, desc=f"layers, {dtype}"):
                rows.append(layer_row(*size, dtype, device, bytes_per_second))
                print_row(rows[-1])
                keep("layers", {"bytes_per_second": bytes_per_second, "rows": rows})
    if "steps" in chosen:
        keep("steps", {"rows": whole_steps(device)})
    if "merging" in chosen:
        keep("merging", {"rows": merging(device)})
    if "rules" in chosen:
        thresholds = {"FOLD_TOKENS": fold_tokens(device, many_blocks=False)}
        thresholds |= {"FOLD_TOKENS_MANY_BLOCKS": fold_tokens(device, many_blocks=True)}
        thresholds |= {"SMALL_BLOCK": small_block(device)}
        for name, measured in thresholds.items():
            tqdm.write(f"{name}: in use {getattr(dispatch, name)}, measured {measured['threshold']}")
        keep("rules", thresholds)
    print(f"Written to {path.relative_to(results.ROOT)}")
    if path == speed_table.RECORD:
        speed_table.main()


if __name__ == "__main__":
    main()
