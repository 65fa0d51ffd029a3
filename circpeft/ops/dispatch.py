"""The choice of how a product is computed: the rule of ``"auto"``, ways to force a backend, and when to fold."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from .backends import BACKENDS, get_backend, unknown_backend
from .precision import tf32_allowed

# For smaller blocks the dense product is faster than transforms. Measured on a CPU: two cores, float32, 2048 tokens.
SMALL_BLOCK = 8

# Thresholds of folding on a CPU, as the number of tokens divided by the number of rows of the weight. From there on,
# adding ΔW to the weight costs less than the transforms that it saves. Transforms of up to FEW_BLOCKS blocks are cheap,
# so their threshold is higher.
# Measured on two kinds of CPUs: at the first threshold, folding took 0.93 to 1.05 times as long as the transforms; at
# the second, 0.71 to 1.04 times. benchmarks/results/speed_cpu.json has the later measurement.
FOLD_TOKENS, FOLD_TOKENS_MANY_BLOCKS = 0.5, 0.35
FEW_BLOCKS = 16

# Thresholds of folding on a GPU: at least this many tokens, and at most this many entries of the weight.
# They are the sizes at which it was measured to help: training steps of RoBERTa-base and ViT-base were 8 to 10 % faster
# on one H100 (benchmarks/results/training_memory_cuda.json). For a single layer with 8,192 tokens it made no
# difference; for a layer of width 3072, the time beside the frozen layer doubled (benchmarks/results/speed_cuda.json).
GPU_FOLD_TOKENS, GPU_FOLD_NUMBERS = 12288, 768 * 768


def choices() -> tuple[str, ...]:
    """Return the names that `use_backend` and ``CIRCPEFT_BACKEND`` take.

    "auto" is the rule. A backend also keeps adapted layers from folding. "fold" makes them fold whenever it is exact.

    >>> choices()[:2], choices()[-1]
    (('auto', 'rfft'), 'fold')
    """
    return ("auto", *BACKENDS, "fold")


def _checked_choice(name: str, where: str) -> str:
    if name not in choices():
        raise ValueError(unknown_backend(name, choices(), f" in {where}"))
    return name


_forced = [_checked_choice(os.environ.get("CIRCPEFT_BACKEND", "auto"), "CIRCPEFT_BACKEND")]


def available_backends(device: str | torch.device = "cpu") -> list[str]:
    """Return the names of the backends usable on a device, best first; each takes every shape and dtype.

    Some leave sizes that do not suit them to "rfft". "leaf" does so unless the block size ``b`` has a good factor: an
    even number from 8 to 64, with ``b / factor`` equal to 1 or a multiple of 4.

    Raises: RuntimeError (from torch) for a device that does not parse.

    >>> available_backends("cpu")[0]
    'rfft'
    """
    device = torch.device(device)
    return [name for name in BACKENDS if get_backend(name).is_available(device)]


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Force what ``backend="auto"`` and the adapted layers use, inside a ``with`` block.

    Outside of such a block the environment variable ``CIRCPEFT_BACKEND`` decides. It is read once, when this module is
    imported.

    Args:
        name: a backend (adapted layers then do not fold); "fold" (they fold whenever it is exact); or "auto", the rule.

    Raises: ValueError for an unknown name.

    >>> with use_backend("reference"):
    ...     resolve_backend("auto", 768, torch.device("cpu"))
    'reference'
    """
    before, _forced[0] = _forced[0], _checked_choice(name, "use_backend")
    try:
        yield
    finally:
        _forced[0] = before


def forced_backend() -> str:
    """Return what `use_backend` or ``CIRCPEFT_BACKEND`` forces here; "auto" for nothing.

    >>> with use_backend("fold"):
    ...     forced_backend()
    'fold'
    """
    return _forced[0]


@torch.compiler.assume_constant_result
def _is_usable(name: str, device: torch.device) -> bool:
    return name in BACKENDS and get_backend(name).is_available(device)


def resolve_backend(backend: str, b: int, device: torch.device) -> str:
    """Return the backend for a request: the dispatch rule of ``backend="auto"``, or the name itself.

    "auto" takes the forced backend if there is one, "reference" for blocks below `SMALL_BLOCK`, and else "rfft". It
    does not choose "leaf", which is slower on CPUs and has not been measured on a GPU.

    Raises: ValueError for a name that is unknown, or that is not available on the device.

    >>> resolve_backend("auto", 4, torch.device("cpu")), resolve_backend("auto", 768, torch.device("cpu"))
    ('reference', 'rfft')
    """
    if backend == "auto" and _forced[0] in BACKENDS:
        return _forced[0]
    if backend == "auto":
        return "reference" if b < SMALL_BLOCK else "rfft"
    if not _is_usable(backend, device):
        raise ValueError(unknown_backend(backend, ["auto", *available_backends(device)]))
    return backend


def folds(x: Tensor, weight: Tensor, blocks: int = 1) -> bool:
    """Return whether an adapted layer adds ``ΔW`` to its weight for this call: only where it is exact, and faster.

    It is exact for plain tensors in float32 or float64 throughout, without autocast and without TF32, which would round
    the sum. Where it is faster was measured on CPUs and on one GPU. Under torch.compile it has to be asked for, with
    ``use_backend("fold")``.

    Args:
        x: the layer's input; all of its dimensions but the last count as tokens.
        weight: the frozen weight.
        blocks: the number of blocks of ΔW.

    >>> weight = torch.nn.Parameter(torch.zeros(32, 32))
    >>> folds(torch.zeros(512, 32), weight), folds(torch.zeros(4, 32), weight)
    (True, False)
    """
    forced, dtype, device = _forced[0], weight.dtype, x.device.type
    # The rule depends on the number of tokens, so that a compiled graph would be recompiled for every other number.
    if forced == "auto" and torch.compiler.is_compiling():
        return False
    tokens = x.numel() // x.shape[-1]
    if forced != "fold" and (forced != "auto" or not _is_faster_folded(device, tokens, weight, blocks)):
        return False
    if type(weight) not in (torch.nn.Parameter, Tensor) or dtype not in (torch.float32, torch.float64):
        return False
    if device == "cuda" and dtype == torch.float32 and tf32_allowed():
        return False
    return x.dtype == dtype and not torch.is_autocast_enabled(device)


def _is_faster_folded(device: str, tokens: int, weight: Tensor, blocks: int) -> bool:
    if device == "cuda":
        return tokens >= GPU_FOLD_TOKENS and weight.numel() <= GPU_FOLD_NUMBERS
    least = FOLD_TOKENS if blocks <= FEW_BLOCKS else FOLD_TOKENS_MANY_BLOCKS
    return device == "cpu" and tokens >= least * len(weight)
