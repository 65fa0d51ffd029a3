"""Measure one adapted layer in every way: GPU time beside the bytes that it moves, host time, and kernels."""

import gc
from collections.abc import Callable

import gpu_timing
import launches
import torch
from gpu_cases import OURS, Size, Way, autocast, change, chosen_backend, forced, model_of, tf32, trained
from gpu_timing import beyond, captured, in_turn, recorded, spread
from torch import Tensor, nn

# Replays and eager calls that are timed per repeat.
REPLAYS, HOST_CALLS = 20, 100
# Tokens of the layer whose host time is measured: the GPU has so little to do that it waits for the host.
HOST_TOKENS = 8
HOST_SIZES = [Size(HOST_TOKENS, 4096, 4096, 128, "bfloat16"), Size(HOST_TOKENS, 768, 768, 48, "float32")]


def one_pass(model: nn.Module, x: Tensor, g: Tensor, precision: str) -> Callable[[], list[Tensor]]:
    """Return a forward and backward pass as a call; it returns the gradients of input and parameters."""
    wanted = [x, *trained(model)]

    def run() -> list[Tensor]:
        with tf32(precision == "tf32"):
            with autocast(precision, x.device):
                y = model(x)
            return list(torch.autograd.grad(y, wanted, g))

    return run


def passes_of(
    ways: dict[str, Way], size: Size, device: torch.device, failed: dict[str, str]
) -> dict[str, tuple[nn.Module, Callable]]:
    """Return the model of every way, and its forward and backward pass. All have the same input.

    The error of a model that cannot be built is recorded in ``failed``.
    """
    x, built, passes = size.inputs(device), {}, {}
    with autocast(size.precision, device), torch.no_grad():
        g = torch.randn_like(model_of(Way(), size, device, built)(x))
    for name, way in ways.items():
        with recorded(failed, name):
            model = model_of(way, size, device, built)
            passes[name] = model, one_pass(model, x, g, size.precision)
    return passes


def gpu_row(
    size: Size, ways: dict[str, Way], device: torch.device, bytes_per_second: float, repeats: int = gpu_timing.REPEATS
) -> dict:
    """Measure the GPU time of a layer in every way: what each adds to the frozen layer, forward and backward.

    Returns: a row of a record. Times are minimum, median and maximum in milliseconds. "times_roofline" is the median
    over the time in which a copy would move as many bytes. "auto" has the backend that "auto" took. "difference" is the
    largest relative L2 difference between the gradients of a way of C3A or CDVFT and those of "rfft". "failed" and
    "uncounted" have errors.
    """
    failed: dict[str, str] = {}
    replays, chosen = {}, {}
    for name, (model, call) in passes_of(ways, size, device, failed).items():
        with recorded(failed, name), forced(ways[name]):
            if name in OURS:
                chosen[name] = chosen_backend(call)
            replays[name] = captured(call, device, lambda model=model: change(model))

    def timer(name: str) -> Callable[[], float]:
        def measure() -> float:
            with forced(ways[name]):
                return gpu_timing.gpu_milliseconds(replays[name], device, REPLAYS if repeats > 1 else 1)

        return measure

    times = in_turn({name: timer(name) for name in replays}, failed, repeats)
    differences = _differences(replays, ways, failed)
    if "frozen" not in times:
        raise RuntimeError(f"the frozen layer failed: {failed['frozen']}")
    added = beyond(times, "frozen")
    uncounted: dict[str, str] = {}
    moved = moved_bytes(size, ways, uncounted)
    moved |= {name: moved.get(f"{name} {backend}") for name, backend in chosen.items()}
    row = {
        "tokens": size.tokens, "d_in": size.d_in, "d_out": size.d_out, "block_size": size.b,
        "precision": size.precision, "repeats": repeats, "frozen_ms": {"both": spread(times["frozen"])},
        "beyond_frozen_ms": {name: {"both": ms} for name, ms in added.items()}, "beyond_frozen_bytes": moved,
        "times_roofline": {
            name: round(ms[1] / 1000 / (moved[name] / bytes_per_second), 2)
            for name, ms in added.items() if moved.get(name)
        },
        "auto": chosen, "difference": differences, "failed": failed, "uncounted": uncounted,
    }  # fmt: skip
    replays.clear()
    free(device)
    return row


def _differences(replays: dict[str, Callable], ways: dict[str, Way], failed: dict[str, str]) -> dict[str, float]:
    """Return how far the gradients of each of our ways are from those of "rfft", which share its parameters."""
    found = {}
    for method in OURS:
        reference = f"{method} rfft"
        for name in [n for n in replays if n.split()[0] == method and n not in (reference, *failed)]:
            with recorded(failed, name):
                pairs = []
                for each in (name, reference):
                    with forced(ways[each]):
                        pairs.append([t.double() for t in replays[each]()])
                errors = [float((a - b).norm() / b.norm()) for a, b in zip(*pairs, strict=True)]
                found[name] = float(f"{max(errors):.1e}")
    return found


def moved_bytes(size: Size, ways: dict[str, Way], uncounted: dict[str, str]) -> dict[str, int]:
    """Return the bytes that each way reads and writes beyond the frozen layer, counted without a GPU.

    Under autocast, nothing can be counted: tensors without values do not know it. ``uncounted`` takes errors.
    """
    if size.precision == "autocast":
        return {}
    return {name: count.bytes for name, count in launches.beyond_frozen(size, ways, uncounted).items()}


def host_row(size: Size, ways: dict[str, Way], device: torch.device, repeats: int = gpu_timing.REPEATS) -> dict:
    """Measure the host time of a layer in every way, in microseconds per eager forward and backward pass.

    It consists of Python, autograd and launches. The parameters change before each repeat.
    """
    failed: dict[str, str] = {}
    calls = passes_of(ways, size, device, failed)

    def timer(name: str) -> Callable[[], float]:
        model, call = calls[name]

        def measure() -> float:
            change(model)
            with forced(ways[name]):
                call()
                return 1000 * gpu_timing.wall_milliseconds(call, device, HOST_CALLS if repeats > 1 else 1)

        return measure

    times = in_turn({name: timer(name) for name in calls}, failed, repeats)
    return {
        "tokens": size.tokens, "d_in": size.d_in, "d_out": size.d_out, "block_size": size.b,
        "precision": size.precision, "repeats": repeats,
        "host_us": {name: spread(us, 1) for name, us in times.items()}, "failed": failed,
    }  # fmt: skip


def kernel_rows(size: Size, ways: dict[str, Way], device: torch.device) -> dict:
    """Return the slowest 25 kernels of each way, with launches and microseconds per forward and backward pass."""
    found: dict[str, list] = {}
    failed: dict[str, str] = {}
    for name, (_, call) in passes_of(ways, size, device, failed).items():
        with recorded(failed, name), forced(ways[name]):
            kernels = gpu_timing.kernels_of(call, device)
            found[name] = [[kernel[:100], count, us] for kernel, count, us in kernels[:25]]
    return {"size": str(size), "kernels": found, "failed": failed}


def free(device: torch.device) -> None:
    """Return the memory of dropped models and graphs to the GPU."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
