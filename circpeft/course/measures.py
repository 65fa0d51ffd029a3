"""Small measurements that several notebooks make: relative errors, shortest times, and counted operations."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def relative_error(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Return |got - expected| / |expected| in the L2 norm, without gradients.

    >>> relative_error(torch.tensor([0.0, 4.0]), torch.tensor([0.0, 2.0]))
    1.0
    """
    return float((torch.linalg.norm(got - expected) / torch.linalg.norm(expected)).detach())


def shortest_time(function: Callable[[], Any], repeats: int = 7) -> float:
    """Return the shortest time of several runs in milliseconds, after one run that is not counted."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def counted_flops(function: Callable[[], Any]) -> int:
    """Return the FLOPs of a call, with those of circpeft's products, FFTs included.

    >>> counted_flops(lambda: torch.ones(2, 3) @ torch.ones(3, 5))
    60
    """
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()
