"""The thresholds of the dispatch rule, measured again: where folding pays, and where a dense product does."""

import statistics

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from circpeft import C3AConfig, inject, use_backend
from circpeft.benchmarking import turns

WIDTHS = {"cpu": (384, 768, 2048), "cuda": (1024, 4096)}
SHARES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 1.6)  # tokens a row of the weight
BLOCKS = (2, 4, 8, 16, 32, 64)
ROUNDS = 15


def _layer(width: int, b: int, device: torch.device) -> nn.Module:
    torch.manual_seed(0)
    frozen = nn.Sequential(nn.Linear(width, width, device=device)).requires_grad_(False)
    return inject(frozen, C3AConfig(target_modules=["0"], block_size=b, init_weights=False))


def _compare(layer: nn.Module, ways: tuple[str, str], x: Tensor) -> float:
    """How many times as long the first way takes as the second, forward and backward; the median of pairs."""
    g = torch.randn_like(x)

    def once(way: str) -> None:
        layer.zero_grad()
        x.grad = None
        with use_backend(way):
            layer(x).backward(g)

    times = turns({way: lambda way=way: once(way) for way in ways}, ROUNDS, x.device)
    return statistics.median(a / b for a, b in zip(times[ways[0]], times[ways[1]], strict=True))


def fold_tokens(device: torch.device, many: bool) -> dict:
    """Tokens a row of the weight from which folding takes less time than transforms, at every width.

    With one block, or with many (of 64 and less).
    """
    rows = []
    for width in tqdm(WIDTHS[device.type], desc="where folding pays"):
        b = min(64, width // 6) if many else width
        layer = _layer(width, b, device)
        for share in SHARES:
            x = torch.randn(max(1, round(share * width)), width, device=device, requires_grad=True)
            rows.append({"width": width, "b": b, "share": share, "ratio": _compare(layer, ("fold", "rfft"), x)})
    wins = [s for s in SHARES if all(row["ratio"] <= 1 for row in rows if row["share"] >= s)]
    return {"threshold": min(wins, default=None), "rows": rows}


def small_block(device: torch.device) -> dict:
    """Block size below which a dense product takes less time than transforms."""
    width, rows = 768, []
    for b in tqdm(BLOCKS, desc="where a dense product pays"):
        x = torch.randn(2048, width, device=device, requires_grad=True)
        rows.append({"b": b, "ratio": _compare(_layer(width, b, device), ("reference", "rfft"), x)})
    loses = [row["b"] for row in rows if row["ratio"] > 1]
    return {"threshold": min(loses, default=None), "rows": rows}
