"""Fair measurements: calls in turn within one process, paired differences, and memory as the allocator counts it."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import C3AConfig as PeftC3AConfig
from peft import FourierFTConfig, LoraConfig, get_peft_model
from torch import Tensor, nn

from .hf_peft import C3AConfig, CDVFTConfig
from .ops import available_backends, use_backend
from .profiling import count_saved_bytes

WARM_UP_ROUNDS = 2


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@dataclass
class Case:
    """A case to measure: a model, its input, and the backend of this package's products."""

    model: nn.Module
    x: Tensor
    backend: str = "auto"
    times: dict[str, list[float]] = field(default_factory=lambda: {"forward": [], "backward": [], "both": []})

    def once(self, g: Tensor, keep: bool) -> None:
        """Time one forward and one backward pass. Before it, gradients are dropped and parameters changed."""
        self.model.zero_grad()
        self.x.grad = None
        with torch.no_grad():  # so that no result of an earlier pass can be reused
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


def time_cases(cases: dict[str, Case], g: Tensor, rounds: int) -> None:
    """Time every case once per round, after `WARM_UP_ROUNDS` rounds that are dropped. The cases keep their times."""
    for k in range(rounds + WARM_UP_ROUNDS):
        for case in cases.values():
            case.once(g, keep=k >= WARM_UP_ROUNDS)


def time_calls(calls: dict[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Return the milliseconds of each call, one after the other per round, without the first `WARM_UP_ROUNDS`."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for k in range(rounds + WARM_UP_ROUNDS):
        for name, call in calls.items():
            start = _now(device)
            call()
            taken = 1000 * (_now(device) - start)
            times[name] += [taken] * (k >= WARM_UP_ROUNDS)
    return times


def quartiles(values: Iterable[float]) -> list[float]:
    """Return first quartile, median and third quartile, with three decimals: microseconds if values are milliseconds.

    >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0])
    [1.5, 3.0, 4.5]
    """
    return [round(q, 3) for q in statistics.quantiles(values, n=4)]


def added_times(case: Case, base: Case) -> dict[str, list[float]]:
    """Return the quartiles of the milliseconds that a case takes beyond the base case of the same round."""
    pairs = {name: zip(case.times[name], base.times[name], strict=True) for name in case.times}
    return {name: quartiles([a - b for a, b in both]) for name, both in pairs.items()}


@contextmanager
def cpp_errors_dropped() -> Iterator[None]:
    """Drop what C++ code writes to standard error. The profiler reports each start and stop at any log level."""
    sys.stderr.flush()
    standard_error = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(standard_error, 2)
        os.close(standard_error)


def peak_bytes(call: Callable[[], object], device: str | torch.device = "cpu") -> int:
    """Return the peak of the bytes that tensors hold during a call, beyond those held before it.

    On a CPU, the workspace of libraries for matrix products and transforms is not counted.

    >>> 16000 <= peak_bytes(lambda: torch.ones(1000, dtype=torch.float64) + 1) < 17000  # the number 1 is a tensor, too
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
    with cpp_errors_dropped(), torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        call()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def frozen_layer(d_in: int, d_out: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> nn.Module:
    """Return a frozen linear layer with a name that PEFT can target."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(d_in, d_out, dtype=dtype, device=device)).requires_grad_(False)


def layer_cases(
    tokens: int, d_in: int, d_out: int, b: int, dtype: torch.dtype = torch.float32, device: str = "cpu", r: int = 8
) -> dict[str, Case]:
    """Return the cases: only the frozen layer, LoRA, PEFT's C3A and FourierFT, and circpeft's methods by each backend.

    C3A (of PEFT and of circpeft) and CDVFT have block size ``b``. FourierFT has as many coefficients as C3A.
    """
    target: dict[str, Any] = {"target_modules": ["0"]}
    configs = {
        f"lora r={r}": LoraConfig(r=r, **target),
        "peft c3a": PeftC3AConfig(block_size=b, init_weights="gaussian", **target),
        "peft fourierft": FourierFTConfig(n_frequency=d_in * d_out // b, scaling=1.0, **target),
        "c3a": C3AConfig(block_size=b, init_weights=False, **target),
        "cdvft": CDVFTConfig(block_size=b, init_weights=False, **target),
    }
    torch.manual_seed(1)
    x = torch.randn(tokens, d_in, dtype=dtype, device=device, requires_grad=True)
    cases = {"frozen": Case(frozen_layer(d_in, d_out, dtype, device), x)}
    for name, config in configs.items():
        model = get_peft_model(frozen_layer(d_in, d_out, dtype, device), config)
        cases[name] = Case(model, x)
        backends = {"c3a": ["fold", *available_backends(device)], "cdvft": available_backends(device)}.get(name, [])
        cases |= {f"{name} {backend}": Case(model, x, backend) for backend in backends}
    return cases


def memory_of(case: Case, g: Tensor) -> dict[str, int]:
    """Return the bytes that a forward pass saves, and the peak of a forward and backward pass.

    Input and parameters are not counted in the peak. The output and the gradients are.
    """

    def step() -> None:
        case.model(case.x).backward(g)

    case.model.zero_grad()
    case.x.grad = None
    with use_backend(case.backend):
        saved = count_saved_bytes(case.model, case.x)
        peak = peak_bytes(step, g.device)
    return {"saved_bytes": saved, "peak_bytes": peak}
