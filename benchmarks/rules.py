"""Measurement of the dispatch thresholds: when folding is faster than transforms, and when a dense product is."""

import statistics

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from circpeft import C3AConfig, inject, use_backend
from circpeft.benchmarking import time_calls

WIDTHS = {"cpu": (384, 768, 2048), "cuda": (1024, 4096)}
SHARES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 1.6)  # number of tokens divided by the number of rows of the weight
BLOCKS = (2, 4, 8, 16, 32, 64)
ROUNDS = 15


def _layer(width: int, b: int, device: torch.device) -> nn.Module:
    torch.manual_seed(0)
    frozen = nn.Sequential(nn.Linear(width, width, device=device)).requires_grad_(False)
    return inject(frozen, C3AConfig(target_modules=["0"], block_size=b, init_weights=False))


def _compare(layer: nn.Module, backends: tuple[str, str], x: Tensor) -> float:
    """Return the time of the first backend over the second's, forward and backward: the median over paired rounds."""
    g = torch.randn_like(x)

    def step(backend: str) -> None:
        layer.zero_grad()
        x.grad = None
        with use_backend(backend):
            layer(x).backward(g)

    times = time_calls({backend: lambda backend=backend: step(backend) for backend in backends}, ROUNDS, x.device)
    return statistics.median(a / b for a, b in zip(times[backends[0]], times[backends[1]], strict=True))


def fold_tokens(device: torch.device, many_blocks: bool) -> dict:
    """Measure from how many tokens per row of the weight folding is faster than transforms, at every width.

    The layer has one block, or many blocks (of size 64 or less).
    """
    rows = []
    for width in tqdm(WIDTHS[device.type], desc="folding against transforms"):
        b = min(64, width // 6) if many_blocks else width
        layer = _layer(width, b, device)
        for share in SHARES:
            x = torch.randn(max(1, round(share * width)), width, device=device, requires_grad=True)
            rows.append({"width": width, "b": b, "share": share, "ratio": _compare(layer, ("fold", "rfft"), x)})
    faster = [s for s in SHARES if all(row["ratio"] <= 1 for row in rows if row["share"] >= s)]
    return {"threshold": min(faster, default=None), "rows": rows}


def small_block(device: torch.device) -> dict:
    """Measure below which block size a dense product is faster than transforms."""
    width, rows = 768, []
    for b in tqdm(BLOCKS, desc="dense product against transforms"):
        x = torch.randn(2048, width, device=device, requires_grad=True)
        rows.append({"b": b, "ratio": _compare(_layer(width, b, device), ("reference", "rfft"), x)})
    slower = [row["b"] for row in rows if row["ratio"] > 1]
    return {"threshold": min(slower, default=None), "rows": rows}
