"""Measure host time: what Python and dispatch take on each call of an adapted layer, beyond the frozen layer.

    .venv/bin/python benchmarks/dispatch.py

Tiny tensors on a CPU with one thread, so that the products themselves cost next to nothing. On a GPU, the time until
the kernels are launched has the same causes; their launches are not in these figures. LoRA of PEFT is in the same run.
Each figure is the best of many short windows, in rotated order, because other load on the machine only adds time.
Prints the microseconds, writes benchmarks/results/dispatch.json, and the table of docs/speed.md from it.
"""

import argparse
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import torch
from page_parts import Part, device_text
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from circpeft import C3AConfig, CDVFTConfig, files, results, use_backend

RECORD = results.ROOT / "benchmarks" / "results" / "dispatch.json"
TOKENS = 8
# (width, block size): one block, and grids of four by four.
SIZES = [(64, 64), (64, 16), (128, 32)]
CALLS = 3  # of one window: far less than the time slice of a busy machine
BACKENDS = ("auto", "rfft")
PAGE = Part("calls", "docs/speed.md")


def layers(width: int, b: int) -> dict[str, nn.Module]:
    """Return the frozen layer, and the same layer with each adapter."""
    torch.manual_seed(0)
    base, target = nn.Linear(width, width).requires_grad_(False), {"target_modules": ["0"]}
    configs = {
        "lora r=8": LoraConfig(r=8, **target),
        "c3a": C3AConfig(block_size=b, init_weights=False, **target),
        "cdvft": CDVFTConfig(block_size=b, init_weights=False, **target),
    }
    return {"frozen": base} | {n: inject_adapter_in_model(c, nn.Sequential(base))[0] for n, c in configs.items()}


def best_times(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the microseconds of each call: the best window of all rounds."""
    best, order = dict.fromkeys(calls, float("inf")), list(calls)
    for _ in range(rounds):
        order.append(order.pop(0))
        for name in order:
            call = calls[name]
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            best[name] = min(best[name], time.perf_counter() - start)
    return {name: seconds / CALLS * 1e6 for name, seconds in best.items()}


def row(width: int, b: int, backend: str, rounds: int) -> dict:
    """Return the times of one size with one backend: of the frozen layer, and what each adapter adds."""
    x, g = torch.randn(TOKENS, width, requires_grad=True), torch.randn(TOKENS, width)
    of_size = layers(width, b)
    calls = {
        "forward": {name: lambda layer=layer: layer(x) for name, layer in of_size.items()},
        "both": {name: lambda layer=layer: layer(x).backward(g) for name, layer in of_size.items()},
    }
    values: dict = {"width": width, "block_size": b, "tokens": TOKENS, "backend": backend}
    with use_backend(backend):
        for part, of_part in calls.items():
            times = best_times(of_part, rounds)
            frozen = times.pop("frozen")
            values[part] = {"frozen": round(frozen, 1)} | {name: round(t - frozen, 1) for name, t in times.items()}
    return values


def page_text(record: dict) -> str:
    """Return the table of docs/speed.md: what each adapter adds to the frozen layer."""
    lines = ["| width, block size | backend | frozen layer | LoRA r=8 | C3A | CDVFT |", "|---|---|---|---|---|---|"]
    for row in record["rows"]:
        cells = []
        for name in ("frozen", "lora r=8", "c3a", "cdvft"):
            sign = "" if name == "frozen" else "+"
            cells.append(" / ".join(f"{row[part][name]:{sign}.0f}" for part in ("forward", "both")))
        lines.append(f"| {row['width']}, {row['block_size']} | `{row['backend']}` | {' | '.join(cells)} |")
    source = f"{device_text(record['device'])}; torch {record['versions']['torch']}, peft {record['versions']['peft']}"
    note = f"Microseconds, forward / forward and backward, {TOKENS} tokens; {source}. The record is"
    return "\n".join([*lines, "", f"{note} `benchmarks/results/dispatch.json`.", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure host time, and record it.")
    parser.add_argument("--rounds", type=int, default=2000, help="windows of each case")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    rows = []
    for width, b in SIZES:
        for backend in BACKENDS:
            rows.append(row(width, b, backend, rounds))
            for part in ("forward", "both"):
                frozen, *added = rows[-1][part].items()
                listing = ", ".join(f"{name} {us:+.0f}" for name, us in added)
                print(f"{width} wide, b={b}, {backend}, {part}: frozen {frozen[1]:.0f} us; beyond it {listing}")
    record = {
        "unit": "microseconds per call beyond the frozen layer; forward pass, and forward and backward pass",
        "rows": rows,
        **results.environment(f"CPU, {torch.get_num_threads()} thread"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    files.write_atomically(RECORD, json.dumps(record, indent=1) + "\n")
    PAGE.write(page_text(record))


if __name__ == "__main__":
    main()
