"""Measuring fairly: calls in turn within one process, differences in pairs, memory by the allocator's own account."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from peft import C3AConfig as PeftC3AConfig
from peft import FourierFTConfig, LoraConfig, get_peft_model
from torch import Tensor, nn

from .hf_peft import C3AConfig, CDVFTConfig
from .ops import available_backends, use_backend
from .profiling import count_saved_bytes

WARM = 2


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@dataclass
class Case:
    """One thing to measure: a model, its input, and how this package's products are computed meanwhile."""

    model: nn.Module
    x: Tensor
    backend: str = "auto"
    times: dict[str, list[float]] = field(default_factory=lambda: {"forward": [], "backward": [], "both": []})

    def once(self, g: Tensor, keep: bool) -> None:
        """One forward and backward pass, timed; gradients are dropped and parameters moved outside of the time."""
        self.model.zero_grad()
        self.x.grad = None
        with torch.no_grad():  # nothing that was computed from a parameter may be of use again
            for p in self.model.parameters():
                if p.requires_grad:
                    p.mul_(1.001)
        with use_backend(self.backend):
            start = _now(g.device)
            y = self.model(self.x)
            middle = _now(g.device)
            y.backward(g)
            end = _now(g.device)
        if keep:
            for name, taken in (("forward", middle - start), ("backward", end - middle), ("both", end - start)):
                self.times[name].append(1000 * taken)


def in_turn(cases: dict[str, Case], g: Tensor, rounds: int) -> None:
    """Time every case once a round, after `WARM` rounds that do not count; the times are kept on the cases."""
    for k in range(rounds + WARM):
        for case in cases.values():
            case.once(g, keep=k >= WARM)


def turns(calls: dict[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Milliseconds of every call, one after the other in each round, after `WARM` rounds that do not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for k in range(rounds + WARM):
        for name, call in calls.items():
            start = _now(device)
            call()
            taken = 1000 * (_now(device) - start)
            times[name] += [taken] * (k >= WARM)
    return times


def quartiles(values: Iterable[float]) -> list[float]:
    """First quartile, median and third, rounded to microseconds where the values are milliseconds.

    >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0])
    [1.5, 3.0, 4.5]
    """
    return [round(q, 3) for q in statistics.quantiles(values, n=4)]


def beyond(case: Case, base: Case) -> dict[str, list[float]]:
    """Quartiles of what a case takes longer than the base case of the same round, in milliseconds."""
    pairs = {name: zip(case.times[name], base.times[name], strict=True) for name in case.times}
    return {name: quartiles([a - b for a, b in both]) for name, both in pairs.items()}


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Drop what C++ code writes to standard error: the profiler tells of each start and stop, at any log level."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def peak_bytes(call: Callable[[], object], device: str | torch.device = "cpu") -> int:
    """Most bytes that tensors held at any one time of a call, beyond what was held before it.

    What a library of matrix products or transforms takes for itself is not seen on a CPU.

    >>> 16000 <= peak_bytes(lambda: torch.ones(1000, dtype=torch.float64) + 1) < 17000  # the number 1 is a tensor too
    True
    """
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with _quiet_libraries(), torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        call()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def frozen_layer(d_in: int, d_out: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> nn.Module:
    """A frozen linear layer, under a name that PEFT can target."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(d_in, d_out, dtype=dtype, device=device)).requires_grad_(False)


def layer_cases(
    tokens: int, d_in: int, d_out: int, b: int, dtype: torch.dtype = torch.float32, device: str = "cpu", r: int = 8
) -> dict[str, Case]:
    """The frozen layer alone, LoRA, PEFT's C3A and FourierFT, and this package's methods by every backend.

    C3A (PEFT's and ours) and CDVFT have block size ``b``; FourierFT has as many coefficients as C3A.
    """
    one = {"target_modules": ["0"]}
    configs = {
        f"lora r={r}": LoraConfig(r=r, **one),
        "peft c3a": PeftC3AConfig(block_size=b, init_weights="gaussian", **one),
        "peft fourierft": FourierFTConfig(n_frequency=d_in * d_out // b, scaling=1.0, **one),
        "c3a": C3AConfig(block_size=b, init_weights=False, **one),
        "cdvft": CDVFTConfig(block_size=b, init_weights=False, **one),
    }
    torch.manual_seed(1)
    x = torch.randn(tokens, d_in, dtype=dtype, device=device, requires_grad=True)
    cases = {"frozen": Case(frozen_layer(d_in, d_out, dtype, device), x)}
    for name, config in configs.items():
        model = get_peft_model(frozen_layer(d_in, d_out, dtype, device), config)
        cases[name] = Case(model, x)
        ways = {"c3a": ["fold", *available_backends(device)], "cdvft": available_backends(device)}.get(name, [])
        cases |= {f"{name} {way}": Case(model, x, way) for way in ways}
    return cases


def memory_of(case: Case, g: Tensor) -> dict[str, int]:
    """Bytes that a forward pass keeps, and the peak of a forward and backward pass beside input and parameters.

    The results themselves, output and gradients, are in the peak.
    """

    def step() -> None:
        case.model(case.x).backward(g)

    case.model.zero_grad()
    case.x.grad = None
    with use_backend(case.backend):
        saved = count_saved_bytes(case.model, case.x)
        peak = peak_bytes(step, g.device)
    return {"saved_bytes": saved, "peak_bytes": peak}
