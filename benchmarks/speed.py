"""Measure speed and memory of adapted layers, whole training steps and merging, beside LoRA and PEFT's methods.

    make bench                                            # on the CPU: about 20 minutes on two idle cores
    .venv/bin/python benchmarks/speed.py --device cuda    # on a GPU
    .venv/bin/python benchmarks/speed.py --only layers,rules

Everything that is compared runs in turn in one process. Times on a CPU are quartiles of paired differences. On a GPU
there are two times of a layer, each with minimum, median and maximum: the GPU's own, of passes in CUDA graphs, beside
the time in which a copy would move as many bytes; and the host's, of eager calls with a few tokens. Prints each row and
writes benchmarks/results/speed_<device>.json. The part "rules" measures the thresholds of `circpeft.ops.dispatch` again
and prints them beside those in use.
"""

import argparse
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import gpu_print
import gpu_timing
import speed_table
import torch
from gpu_cases import Size, all_ways
from gpu_layers import HOST_SIZES, gpu_row, host_row
from rules import fold_tokens, small_block
from steps import merging, whole_steps
from tqdm.auto import tqdm

from circpeft import files, results
from circpeft.benchmarking import added_times, layer_cases, memory_of, quartiles, time_cases
from circpeft.course.exercise_sets.nb11 import least_bytes
from circpeft.ops import dispatch

# What the names of LoRA mean in a record of a GPU.
LORA_ADAPTERS = {"lora r=8": "float32, as in PEFT", "lora r=8 bfloat16": "bfloat16, by autocast_adapter_dtype=False"}
LORA_ADAPTERS |= {name.replace("r=8", "r=32"): text for name, text in LORA_ADAPTERS.items()}
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
# At width 4096, all block sizes of the papers' experiments on LLaMA2-7B; 11008 is the width of its MLP.
CUDA_SIZES = [
    *(Size(2048, 4096, 4096, b, "bfloat16") for b in (32, 64, 128, 4096)),
    Size(8192, 4096, 4096, 128, "bfloat16"),
    *(Size(2048, 4096, 11008, b, "bfloat16") for b in (32, 64, 128)),
    Size(2048, 11008, 4096, 128, "bfloat16"),
    *(Size(16384, 768, 768, 768, precision) for precision in ("autocast", "bfloat16")),
    *(Size(8192, 768, 768, b, "float32") for b in (768, 48)),
    Size(8192, 1024, 1024, 1024, "float32"),
    *(Size(8192, 3072, 3072, b, "float32") for b in (64, 3072)),
]
PARTS = {
    "cpu": ("layers", "steps", "merging", "rules"),
    "cuda": ("gpu_time", "host_time", "steps", "merging", "rules"),
}


def layer_row(tokens, d_in, d_out, b, rounds, bytes_per_second) -> dict:
    """Measure one layer on the CPU with every adapter and backend: what each adds to the frozen layer."""
    cases, dtype = layer_cases(tokens, d_in, d_out, b), torch.float32
    if d_in * d_out > 2**20:  # dense matrices would take most of the time
        slow = ("fourierft", "reference", "dense")
        cases = {name: case for name, case in cases.items() if not name.endswith(slow)}
    g = torch.randn(tokens, d_out)
    time_cases(cases, g, rounds)
    frozen = cases["frozen"]
    return {
        "tokens": tokens, "d_in": d_in, "d_out": d_out, "block_size": b, "dtype": str(dtype), "rounds": rounds,
        "floor_ms": 1000 * least_bytes(tokens, d_in, d_out, dtype.itemsize) / bytes_per_second,
        "frozen_ms": {part: quartiles(times) for part, times in frozen.times.items()},
        "beyond_frozen_ms": {name: added_times(case, frozen) for name, case in cases.items() if name != "frozen"},
        "bytes": {name: memory_of(case, g) for name, case in cases.items()},
    }  # fmt: skip


def cpu_layers(keep: Callable[[dict], None]) -> None:
    """Measure single layers on the CPU."""
    bytes_per_second, rows = gpu_timing.copy_bandwidth(torch.device("cpu"), 256), []
    for size in tqdm(CPU_SIZES, desc="layers"):
        rows.append(layer_row(*size, bytes_per_second))
        print_row(rows[-1])
        keep({"bytes_per_second": bytes_per_second, "rows": rows})


def gpu_time(keep: Callable[[dict], None], sizes: list[Size] = CUDA_SIZES, device: str = "cuda") -> None:
    """Measure the GPU time of single layers, and record the bandwidth of copies for the roofline."""
    on, rows = torch.device(device), []
    bytes_per_second = gpu_timing.copy_bandwidth(on)
    for size in tqdm(sizes, desc="GPU time of layers"):
        rows.append(gpu_row(size, all_ways(size), on, bytes_per_second))
        tqdm.write(gpu_print.layer_line(rows[-1]))
        keep({"bytes_per_second": bytes_per_second, "lora_adapters": LORA_ADAPTERS, "rows": rows})


def host_time(keep: Callable[[dict], None], sizes: list[Size] = HOST_SIZES, device: str = "cuda") -> None:
    """Measure the host time of single layers."""
    rows = []
    for size in tqdm(sizes, desc="host time of layers"):
        rows.append(host_row(size, all_ways(size), torch.device(device)))
        tqdm.write(gpu_print.host_line(rows[-1]))
        keep({"lora_adapters": LORA_ADAPTERS, "rows": rows})


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
    names = sorted({name for parts in PARTS.values() for name in parts})
    parser.add_argument(
        "--only", help=f"parts to measure, from {', '.join(names)}; the others stay as recorded (default: all)"
    )
    arguments = parser.parse_args()
    parts = PARTS[arguments.device]
    chosen = arguments.only.split(",") if arguments.only else parts
    if unknown := set(chosen) - set(parts):
        parser.error(
            f"unknown part of --only for {arguments.device}: {', '.join(sorted(unknown))}; choices: {', '.join(parts)}"
        )
    device = torch.device(arguments.device)
    path = results.ROOT / "benchmarks" / "results" / f"speed_{device.type}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    provenance = {"load_before": os.getloadavg(), "started": datetime.now(UTC).isoformat(timespec="seconds")}
    provenance |= results.environment(name)

    def keep(part: str, measured: dict) -> None:  # after each row, so that an interrupted measurement loses nothing
        record[part] = {**provenance, **measured}
        files.write_atomically(path, json.dumps(record, indent=1) + "\n")

    for part, measure in (("layers", cpu_layers), ("gpu_time", gpu_time), ("host_time", host_time)):
        if part in chosen:
            measure(partial(keep, part))
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
