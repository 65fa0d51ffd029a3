"""Which way a product is computed: the backends there are, the rule of ``"auto"``, and how to force one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from .checks import nearest

# Best first. Each is a module with matmul, kernel_grad and their FLOPs, imported on first use.
BACKENDS = {
    "rfft": "circpeft.ops.rfft",
    "dft": "circpeft.ops.dft",
    "triton": "circpeft.ops.fused_triton",
    "reference": "circpeft.ops.reference",
}
# What can be forced: a backend, which also keeps adapted layers from folding, or folding wherever it is exact.
CHOICES = ("auto", *BACKENDS, "fold")
# Below this block size a dense product is cheaper than transforms on a CPU (two cores, float32, 2048 tokens).
SMALL_BLOCK = 8
# From this many tokens a row of the weight on, adding ΔW to it costs less than the transforms that it saves: with few
# blocks, whose transforms are cheap, and with many (benchmarks/results/speed_cpu.json).
FOLD_TOKENS, FOLD_TOKENS_MANY_BLOCKS = 0.5, 0.35
FEW_BLOCKS = 16


def _choice(name: str, where: str) -> str:
    if name not in CHOICES:
        raise ValueError(f"unknown backend {name!r} in {where}; {nearest(name, CHOICES)}")
    return name


_forced = [_choice(os.environ.get("CIRCPEFT_BACKEND", "auto"), "CIRCPEFT_BACKEND")]


def available_backends(device: str | torch.device = "cpu") -> list[str]:
    """Names of the backends usable on a device, each for every shape and dtype, best first.

    "triton" is for GPUs; for a CPU only in Triton's interpreter (``TRITON_INTERPRET=1``), which is for tests.

    Raises: RuntimeError (from torch) for a device that does not parse.

    >>> available_backends("cpu")
    ['rfft', 'dft', 'reference']
    """
    on_gpu, interpreted = torch.device(device).type == "cuda", os.environ.get("TRITON_INTERPRET") == "1"
    return [name for name in BACKENDS if name != "triton" or on_gpu or interpreted]


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Force what ``backend="auto"`` and the adapted layers take, inside a ``with`` block.

    Args: ``name``: a backend (adapted layers then do not fold), "fold" (they do wherever that is exact), or "auto", the
    rule. Outside of any block the environment variable ``CIRCPEFT_BACKEND`` is read once, at import.

    Raises: ValueError for an unknown name.

    >>> with use_backend("reference"):
    ...     resolve_backend("auto", 768, torch.device("cpu"))
    'reference'
    """
    before, _forced[0] = _forced[0], _choice(name, "use_backend")
    try:
        yield
    finally:
        _forced[0] = before


def resolve_backend(backend: str, b: int, device: torch.device) -> str:
    """Concrete backend for a request: the dispatch rule of ``backend="auto"``.

    "dft" was never faster on the CPUs that it was measured on, and "triton" has not been measured: neither is chosen.
    """
    if backend == "auto" and _forced[0] in BACKENDS:
        return _forced[0]
    if backend == "auto":
        return "reference" if b < SMALL_BLOCK else "rfft"
    if backend not in available_backends(device):
        raise ValueError(f"unknown backend {backend!r}; {nearest(backend, ['auto', *available_backends(device)])}")
    return backend


def folds(x: Tensor, weight: Tensor, blocks: int = 1) -> bool:
    """Whether an adapted layer adds ``ΔW`` of so many blocks to its weight for a call: where it is exact, and pays.

    Exact: float32 or float64 throughout, of plain tensors, and no autocast, which would round the sum. Whether it pays
    was measured on CPUs only; elsewhere, and under torch.compile, it has to be asked for (`use_backend`).
    """
    forced, dtype = _forced[0], weight.dtype
    # A compiled graph would be made anew for every number of tokens that the rule tells apart.
    if forced == "auto" and (torch.compiler.is_compiling() or x.device.type != "cpu"):
        return False
    least = FOLD_TOKENS if blocks <= FEW_BLOCKS else FOLD_TOKENS_MANY_BLOCKS
    if forced != "fold" and (forced != "auto" or x.numel() < least * x.shape[-1] * len(weight)):
        return False
    if type(weight) not in (torch.nn.Parameter, Tensor) or dtype not in (torch.float32, torch.float64):
        return False
    return x.dtype == dtype and not torch.is_autocast_enabled(x.device.type)
