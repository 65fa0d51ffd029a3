"""One adapted layer, forward and backward, beyond the frozen layer: each way of computing beside LoRA and PEFT's C3A.

    .venv/bin/python benchmarks/layer_speed.py

Float32, interleaved in one process; medians of paired differences. Writes benchmarks/results/layer_speed.json. The rule
for folding (`circpeft.ops.dispatch`) comes from these rows: the least tokens a row of the weight at which it wins.
"""

import json
import statistics
import time
from datetime import UTC, datetime

import peft
import torch
from torch import nn

import circpeft
from circpeft import results

RECORD = results.ROOT / "benchmarks" / "results" / "layer_speed.json"
# tokens, d_in, d_out, block size, rounds
SIZES = [
    (64, 384, 384, 384, 60),
    (320, 384, 384, 384, 60),
    (320, 384, 1536, 384, 40),
    (320, 384, 384, 64, 60),
    (256, 768, 768, 768, 30),
    (2048, 768, 768, 768, 15),
    (2048, 768, 768, 128, 15),
    (256, 4096, 4096, 4096, 5),
    (1024, 4096, 4096, 4096, 5),
    (1024, 4096, 4096, 128, 5),
]
WARM = 3


def layer(d_in: int, d_out: int) -> nn.Module:
    """A frozen linear layer, under a name that PEFT can target."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(d_in, d_out)).requires_grad_(False)


def row(tokens: int, d_in: int, d_out: int, b: int, rounds: int) -> dict:
    """Medians in milliseconds: the frozen layer, and what each method adds to it."""
    c3a = circpeft.C3AConfig(target_modules=["0"], block_size=b, init_weights=False)
    theirs = peft.C3AConfig(target_modules=["0"], block_size=b, init_weights="gaussian")
    lora = peft.LoraConfig(target_modules=["0"], r=8)
    made = {name: peft.get_peft_model(layer(d_in, d_out), config) for name, config in
            (("lora r=8", lora), ("c3a", c3a), ("peft c3a", theirs))}  # fmt: skip
    runs = {"frozen": (layer(d_in, d_out), "auto"), "lora r=8": (made["lora r=8"], "auto")}
    runs |= {f"c3a {way}": (made["c3a"], way) for way in ("auto", "fold", *circpeft.available_backends())}
    runs["peft c3a"] = (made["peft c3a"], "auto")
    x, g = torch.randn(tokens, d_in, requires_grad=True), torch.randn(tokens, d_out)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for k in range(rounds + WARM):
        for name, (model, way) in runs.items():
            model.zero_grad()
            x.grad = None
            with circpeft.use_backend(way):
                start = time.perf_counter()
                model(x).backward(g)
                taken = 1000 * (time.perf_counter() - start)
            times[name] += [taken] * (k >= WARM)
    frozen = times.pop("frozen")
    added = {name: [t - f for t, f in zip(of, frozen, strict=True)] for name, of in times.items()}
    quartiles = {name: [round(q, 3) for q in statistics.quantiles(of, n=4)] for name, of in added.items()}
    return {
        "tokens": tokens, "d_in": d_in, "d_out": d_out, "block_size": b, "rounds": rounds,
        "frozen": round(statistics.median(frozen), 3), "beyond frozen, quartiles": quartiles,
    }  # fmt: skip


def main() -> None:
    rows = []
    for sizes in SIZES:
        rows.append(row(*sizes))
        medians = {name: q[1] for name, q in rows[-1]["beyond frozen, quartiles"].items()}
        print(
            *sizes[:4], f"frozen {rows[-1]['frozen']}", *(f"{name} +{ms}" for name, ms in medians.items()), flush=True
        )
    record = {
        "unit": "milliseconds, forward and backward",
        "rows": rows,
        **results.environment(f"CPU, {torch.get_num_threads()} threads"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    results.write_atomically(RECORD, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
