"""Measure the Python and dispatch time of an adapted layer: a forward call minus its base layer and its operator.

    .venv/bin/python benchmarks/dispatch.py

Uses tiny tensors and one thread, and takes the best of several rounds. Writes benchmarks/results/dispatch.json.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import torch

import circpeft
from circpeft import files, results
from circpeft.ops import diagonal_circulant_matmul

RECORD = results.ROOT / "benchmarks" / "results" / "dispatch.json"
WIDTH, CALLS, ROUNDS = 16, 2000, 9


def microseconds(call: Callable[[], object]) -> float:
    """Return the microseconds of one call: the best of several rounds, as other load only adds time."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        best = min(best, time.perf_counter() - start)
    return best / CALLS * 1e6


def row(config: type, grad: bool) -> dict:
    """Return the times of the layer, its base layer and the operator, and what remains for Python and dispatch."""
    layer = circpeft.inject(torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH)), config(target_modules=["0"]))[0]
    x, base = torch.randn(1, WIDTH), torch.randn(1, WIDTH)
    w, *diagonals = sorted(next(iter(layer.adapters.values())).parameters(), key=lambda p: -p.dim())
    with torch.set_grad_enabled(grad):
        times = {
            "layer": microseconds(lambda: layer(x)),
            "base": microseconds(lambda: layer.base_layer(x)),
            "operator": microseconds(lambda: diagonal_circulant_matmul(x, w, *(diagonals or (None, None)), base)),
        }
    remaining = times["layer"] - times["base"] - times["operator"]
    return {"config": config.__name__, "gradient": grad, **times, "python_and_dispatch": remaining}


def main() -> None:
    torch.set_num_threads(1)
    rows = [row(config, grad) for config in (circpeft.C3AConfig, circpeft.CDVFTConfig) for grad in (False, True)]
    for values in rows:
        print("  ".join(f"{k} {v:.1f} us" if isinstance(v, float) else str(v) for k, v in values.items()))
    record = {
        "unit": "microseconds per forward call",
        "rows": rows,
        **results.environment(f"CPU, {torch.get_num_threads()} thread"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    files.write_atomically(RECORD, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
