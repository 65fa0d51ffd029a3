"""The network of the piece "clusters live" in PyTorch, from the same random numbers as in the browser."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...adapters import C3A

WIDTH, BLOCK, CLASSES, PER_CLASS = 64, 32, 8, 30
SIDE, REACH = 40, 1.7  # cells of the plane, from -REACH to REACH
MASK = 0xFFFFFFFF


def uniform_numbers(seed: int) -> Iterator[float]:
    """Yield uniform numbers in [0, 1), the same ones for a seed (mulberry32, which needs only 32-bit integers).

    >>> next(uniform_numbers(0)) == next(uniform_numbers(0))
    True
    """
    state = seed & MASK
    while True:
        state = (state + 0x6D2B79F5) & MASK
        t = (state ^ (state >> 15)) * (state | 1) & MASK
        t ^= (t + ((t ^ (t >> 7)) * (t | 61) & MASK)) & MASK
        yield (t ^ (t >> 14)) / 4294967296


def normal_numbers(uniform: Iterator[float]) -> Iterator[float]:
    """Yield standard normal numbers, each from two uniform ones."""
    while True:
        yield math.sqrt(-2 * math.log(1 - next(uniform))) * math.cos(2 * math.pi * next(uniform))


def cloud(seed: int, noise: float) -> Tensor:
    """Return the points of a seed, (240, 2): 30 around each of eight centres on the unit circle."""
    normal = normal_numbers(uniform_numbers(seed))
    angles = [2 * math.pi * (i // PER_CLASS) / CLASSES for i in range(CLASSES * PER_CLASS)]
    points = [[math.cos(a) + noise * next(normal), math.sin(a) + noise * next(normal)] for a in angles]
    return torch.tensor(points, dtype=torch.float64)


class LowRank(nn.Module):
    """A layer that computes B A x."""

    def __init__(self, A: Tensor, B: Tensor):
        super().__init__()
        self.A, self.B = nn.Parameter(A), nn.Parameter(B)

    def forward(self, x: Tensor) -> Tensor:
        """Return B A x for each row x."""
        return x @ self.A.T @ self.B.T


def _dense(uniform: Iterator[float]) -> nn.Module:
    # Without the usual start, which would take numbers from the notebook's own random generator.
    layer = nn.utils.skip_init(nn.Linear, WIDTH, WIDTH, bias=False, dtype=torch.float64)
    layer.weight.data = _start(uniform, WIDTH**-0.5, WIDTH, WIDTH)
    return layer


def _c3a(uniform: Iterator[float]) -> nn.Module:
    layer = C3A(WIDTH, WIDTH, BLOCK, alpha=float(WIDTH)).double()
    layer.kernel.data = _start(uniform, WIDTH**-0.5, WIDTH // BLOCK, WIDTH // BLOCK, BLOCK)
    return layer


def _low_rank(rank: int) -> Callable[[Iterator[float]], nn.Module]:
    def make(uniform: Iterator[float]) -> nn.Module:
        normal = normal_numbers(uniform)
        A = torch.tensor([next(normal) for _ in range(rank * WIDTH)], dtype=torch.float64).view(rank, WIDTH)
        B = torch.tensor([next(normal) for _ in range(rank * WIDTH)], dtype=torch.float64).view(WIDTH, rank)
        return LowRank(A / math.sqrt(3 * WIDTH), B / math.sqrt(rank))

    return make


MIDDLE: dict[str, Callable[[Iterator[float]], nn.Module]] = {
    "dense": _dense,
    "C3A": _c3a,
    "rank 1": _low_rank(1),
    "rank 2": _low_rank(2),
    "identity": lambda uniform: nn.Identity(),
}


def _start(uniform: Iterator[float], bound: float, *shape: int) -> Tensor:
    values = [bound * (2 * next(uniform) - 1) for _ in range(math.prod(shape))]
    return torch.tensor(values, dtype=torch.float64).view(shape)


class Network(nn.Module):
    """``x -> relu(x W1 + b1) -> relu(M h + b2) -> h W3 + b3``, with its start drawn from a seed."""

    def __init__(self, middle: str, seed: int):
        super().__init__()
        uniform = uniform_numbers(1000 + seed)
        self.W1 = nn.Parameter(_start(uniform, 2**-0.5, 2, WIDTH))
        self.b1 = nn.Parameter(_start(uniform, 2**-0.5, WIDTH))
        self.b2 = nn.Parameter(_start(uniform, WIDTH**-0.5, WIDTH))
        self.W3 = nn.Parameter(_start(uniform, WIDTH**-0.5, WIDTH, CLASSES))
        self.b3 = nn.Parameter(_start(uniform, WIDTH**-0.5, CLASSES))
        self.middle = MIDDLE[middle](uniform)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (points, 8)."""
        h = torch.relu(x @ self.W1 + self.b1)
        return torch.relu(self.middle(h) + self.b2) @ self.W3 + self.b3


def plane_axis() -> Tensor:
    """Return the coordinates of the cells of the plane, along each axis."""
    return -REACH + (torch.arange(SIDE, dtype=torch.float64) + 0.5) * 2 * REACH / SIDE


def train(middle: str, rate: float, seed: int, noise: float, epochs: int) -> dict:
    """Train as the browser does. Return the points, the loss and accuracy before each epoch, and the final regions."""
    points, labels = cloud(seed, noise), torch.arange(CLASSES).repeat_interleave(PER_CLASS)
    model = Network(middle, seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    losses, accuracies = [], []
    for _ in range(epochs):
        logits = model(points)
        loss = cross_entropy(logits, labels)
        losses.append(loss.item())
        accuracies.append((logits.argmax(-1) == labels).double().mean().item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    axis = plane_axis()
    plane = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).view(-1, 2)
    with torch.no_grad():
        regions = model(plane).argmax(-1).view(SIDE, SIDE)
    return {"points": points.tolist(), "loss": losses, "accuracy": accuracies, "regions": regions.tolist()}
