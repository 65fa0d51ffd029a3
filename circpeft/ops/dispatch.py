"""Which way a product is computed: the backends there are, the rule of ``"auto"``, and how to force one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ..suggest import nearest

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
# blocks, whose transforms are cheap, and with many. On two kinds of CPUs folding took 0.93 to 1.05 times as long as the
# transforms at the first threshold, and 0.71 to 1.04 times at the second (the later: benchmarks/results/speed_cpu.json)
FOLD_TOKENS, FOLD_TOKENS_MANY_BLOCKS = 0.5, 0.35
FEW_BLOCKS = 16
# On a GPU, where whole steps of RoBERTa-base and ViT-base were 8 to 10 % faster by it: as many tokens, and numbers in
# the weight, as there (one H100, benchmarks/results/training_memory_cuda.json). With 8,192 tokens, in a layer alone, it
# made no difference, and where that was 3072 wide it took twice as much beside the frozen layer (speed_cuda.json).
GPU_FOLD_TOKENS, GPU_FOLD_NUMBERS = 12288, 768 * 768


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

    Neither "dft" nor "triton" is chosen: on the CPUs and the GPU that they were measured on "rfft" or folding was
    faster (of "triton" in float32; in bfloat16 it has not been measured).
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

    Exact: float32 or float64 throughout, of plain tensors, and neither autocast nor TF32, which would round the sum.
    Where it pays was measured on CPUs and on one GPU; under torch.compile it has to be asked for (`use_backend`).
    """
    forced, dtype, device = _forced[0], weight.dtype, x.device.type
    # A compiled graph would be made anew for every number of tokens that the rule tells apart.
    if forced == "auto" and torch.compiler.is_compiling():
        return False
    if forced != "fold" and (forced != "auto" or not _pays(device, x.numel() // x.shape[-1], weight, blocks)):
        return False
    if type(weight) not in (torch.nn.Parameter, Tensor) or dtype not in (torch.float32, torch.float64):
        return False
    if device == "cuda" and dtype == torch.float32 and tf32_allowed():
        return False
    return x.dtype == dtype and not torch.is_autocast_enabled(device)


def _pays(device: str, tokens: int, weight: Tensor, blocks: int) -> bool:
    if device == "cuda":
        return tokens >= GPU_FOLD_TOKENS and weight.numel() <= GPU_FOLD_NUMBERS
    least = FOLD_TOKENS if blocks <= FEW_BLOCKS else FOLD_TOKENS_MANY_BLOCKS
    return device == "cpu" and tokens >= least * len(weight)


def tf32_allowed() -> bool:
    """Whether a GPU may round the operands of float32 products to ten bits."""
    return torch.backends.cuda.matmul.fp32_precision == "tf32"  # the older getters fail after the newer setters
