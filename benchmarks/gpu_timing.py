"""Time on a GPU and time of the host, apart: CUDA graphs between events, wall time of eager calls, and profiles.

Calls that are compared are measured in turn. Each repeat starts with another call, so that no call is always the first
after a pause, or always follows the same one. On a CPU the same functions measure wall time, which is for trials.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor

from circpeft.benchmarking import cpp_errors_dropped

REPEATS = 7
WARM_UPS = 3
# Before each timed replay, this many bytes are overwritten: more than the cache of any GPU holds.
FLUSHED_BYTES = 256 * 1024 * 1024


def spread(values: Iterable[float], digits: int = 4) -> list[float]:
    """Return minimum, median and maximum."""
    values = list(values)
    return [round(v, digits) for v in (min(values), statistics.median(values), max(values))]


def rotated(names: list[str], k: int) -> list[str]:
    """Return the names in the order of repeat ``k``, which starts with name ``k``."""
    k %= max(1, len(names))
    return names[k:] + names[:k]


@contextmanager
def recorded(failed: dict[str, str], name: str) -> Iterator[None]:
    """Record an error of a ``with`` block under a name, and go on: one failed case does not end a measurement."""
    try:
        yield
    except Exception as error:  # a library or a driver may fail in any way
        first_line = (str(error).splitlines() or [""])[0]
        failed[name] = f"{type(error).__name__}: {first_line[:300]}"


def in_turn(
    measures: dict[str, Callable[[], float]], failed: dict[str, str], repeats: int = REPEATS
) -> dict[str, list[float]]:
    """Return the values of each measure, in rotated order; one that fails is recorded, and left out."""
    values: dict[str, list[float]] = {name: [] for name in measures}
    for k in range(repeats):
        for name in rotated(list(measures), k):
            if name not in failed:
                with recorded(failed, name):
                    values[name].append(measures[name]())
    return {name: of_case for name, of_case in values.items() if name not in failed}


def beyond(values: dict[str, list[float]], base: str) -> dict[str, list[float]]:
    """Return the `spread` of what each case adds to the base case of the same repeat."""
    others = (name for name in values if name != base)
    return {name: spread(a - b for a, b in zip(values[name], values[base], strict=True)) for name in others}


def synchronize(device: torch.device) -> None:
    """Wait until the GPU has finished; on a CPU there is nothing to wait for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def captured(
    call: Callable[[], list[Tensor]], device: torch.device, change: Callable[[], None]
) -> Callable[[], list[Tensor]]:
    """Capture a call in a CUDA graph; return a function that replays it. On a CPU, return the call itself.

    ``change`` is called before the capture, so that the graph computes what earlier calls may have kept.

    Raises: the errors of the call, and of torch where a graph cannot capture it.
    """
    if device.type != "cuda":
        return call
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    change()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = call()

    def replay() -> list[Tensor]:
        graph.replay()
        return results

    return replay


@lru_cache(maxsize=1)
def _flushed(device: torch.device) -> Tensor:
    return torch.empty(FLUSHED_BYTES, dtype=torch.int8, device=device)


def gpu_milliseconds(replay: Callable[[], object], device: torch.device, count: int) -> float:
    """Return the median milliseconds of some replays, each with an empty cache, as the GPU's events measure them."""
    if device.type != "cuda":
        return wall_milliseconds(replay, device, count)
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(count)]
    for start, end in events:
        _flushed(device).zero_()
        start.record()
        replay()
        end.record()
    synchronize(device)
    return statistics.median(start.elapsed_time(end) for start, end in events)


def wall_milliseconds(call: Callable[[], object], device: torch.device, count: int) -> float:
    """Return the milliseconds of a call, as the mean of some in a row; the GPU has finished at both ends."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(count):
        call()
    synchronize(device)
    return 1000 * (time.perf_counter() - start) / count


def copy_bandwidth(device: torch.device, megabytes: int = 1024) -> float:
    """Return the bytes per second that a copy reads and writes; the fastest of `REPEATS`."""
    source = torch.ones(megabytes * 1024 * 1024, dtype=torch.int8, device=device)
    target = torch.empty_like(source)
    replay = captured(lambda: [target.copy_(source)], device, lambda: None)
    best = min(gpu_milliseconds(replay, device, 5) for _ in range(REPEATS))
    return 2 * source.nbytes / best * 1000


def kernels_of(call: Callable[[], object], device: torch.device, passes: int = 5) -> list[tuple[str, float, float]]:
    """Return name, launches and microseconds per call of every kernel, the slowest first; on a CPU, of operators."""
    on_gpu = device.type == "cuda"
    activity = torch.profiler.ProfilerActivity.CUDA if on_gpu else torch.profiler.ProfilerActivity.CPU
    call()
    with cpp_errors_dropped(), torch.profiler.profile(activities=[activity]) as profile:
        for _ in range(passes):
            call()
        synchronize(device)
    rows = [
        (e.key, e.count / passes, round((e.self_device_time_total if on_gpu else e.self_cpu_time_total) / passes, 2))
        for e in profile.key_averages()
    ]
    return sorted(rows, key=lambda row: -row[2])


def busy_milliseconds(kernels: list[tuple[str, float, float]]) -> float:
    """Return the milliseconds per call for which a GPU computes or copies."""
    return round(sum(microseconds for _, _, microseconds in kernels) / 1000, 3)
