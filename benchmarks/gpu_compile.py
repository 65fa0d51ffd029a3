"""Compile the Triton kernels of many layers in several processes. Triton keeps them on disk, so that others find them.

Kernels are compiled for each size of a layer. One after the other, this would take most of the time of a measurement.
"""

import os
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import torch
from gpu_cases import OURS, Size, forced, our_ways
from gpu_layers import passes_of
from gpu_timing import recorded

# Kernels are the same for every number of tokens that is a multiple of 16.
TOKENS = 256
MOST_PROCESSES = 8


def tasks_of(sizes: Iterable[Size], methods: Iterable[str] = OURS, every_r: bool = False) -> list[tuple[Size, str]]:
    """Return each size and way whose kernels are to be compiled, once; the arguments are those of `our_ways`."""
    few_tokens = dict.fromkeys(replace(size, tokens=TOKENS) for size in sizes)
    return [
        (size, name) for size in few_tokens for name, way in our_ways(size, methods, every_r).items()
        if way.backend not in ("auto", "rfft") and not way.apart
    ]  # fmt: skip


def compile_way(size: Size, name: str, device: str) -> tuple[float, dict[str, str]]:
    """Run a way once. Return the seconds that it took, and its error."""
    failed: dict[str, str] = {}
    started = time.perf_counter()
    way = our_ways(size, every_r=True)[name]
    with recorded(failed, f"{size}: {name}"), forced(way):
        for _, call in passes_of({name: way}, size, torch.device(device), failed).values():
            call()
    return round(time.perf_counter() - started, 1), failed


def compile_row(tasks: list[tuple[Size, str]], device: torch.device, processes: int | None = None) -> dict:
    """Compile the kernels of all tasks; return a row of a record.

    Args:
        processes: by default one per core, up to `MOST_PROCESSES`, on a GPU, and none but this one on a CPU.
    """
    if processes is None:
        processes = min(MOST_PROCESSES, os.cpu_count() or 1) if device.type == "cuda" else 0
    arguments = zip(*((size, name, str(device)) for size, name in tasks), strict=True)
    if processes:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            done = list(pool.map(compile_way, *arguments))
    else:
        done = list(map(compile_way, *arguments))
    ways = [[str(size), name, seconds] for (size, name), (seconds, _) in zip(tasks, done, strict=True)]
    return {"ways": ways, "failed": {name: error for _, failed in done for name, error in failed.items()}}
