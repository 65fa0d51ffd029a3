"""The choice of how a product is computed: the rules of ``"auto"``, ways to force a backend, and when to fold."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from .backends import BACKENDS, get_backend, unknown_backend
from .precision import HALVES, tf32_allowed
from .transforms import assume_constant_result

# For smaller blocks the dense product is faster than transforms. Measured on a CPU: two cores, float32, 2048 tokens.
SMALL_BLOCK = 8

# Thresholds of folding on a CPU, as the number of tokens divided by the number of rows of the weight. From there on,
# adding ΔW to the weight costs less than the transforms that it saves. Transforms of up to FEW_BLOCKS blocks are cheap,
# so their threshold is higher.
# Measured on two kinds of CPUs: at the first threshold, folding took 0.93 to 1.05 times as long as the transforms; at
# the second, 0.71 to 1.04 times. benchmarks/results/speed_cpu.json has the later measurement.
FOLD_TOKENS, FOLD_TOKENS_MANY_BLOCKS = 0.5, 0.35
FEW_BLOCKS = 16

# The largest weight, in entries, that a layer on a CPU folds for any number of tokens. The calls of torch take longer
# than the work there, and folding needs the fewest. benchmarks/dispatch.py measures them.
TINY_WEIGHT = 128 * 128

# The rules on a GPU are from a model of the bytes that are moved, for GPUs such as H100 and H200. They have not been
# measured yet; benchmarks/gpu_settle.py does that.
# Up to this width, building ΔW costs less than transforms of all tokens.
NARROW = 1024


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


@assume_constant_result
def _is_usable(name: str, device: torch.device) -> bool:
    return name in BACKENDS and get_backend(name).is_available(device)


def resolve_backend(
    backend: str, b: int, device: torch.device, dtype: torch.dtype = torch.float32, width: int = 0
) -> str:
    """Return the backend for a request: the dispatch rule of ``backend="auto"``, or the name itself.

    "auto" takes the forced backend if there is one, or else what `automatic_backend` returns.

    Args:
        b: the block size.
        device, dtype: those of the input.
        width: the larger of the numbers of inputs and outputs.

    Raises: ValueError for a name that is unknown, or that is not available on the device.

    >>> resolve_backend("auto", 4, torch.device("cpu")), resolve_backend("auto", 768, torch.device("cpu"))
    ('reference', 'rfft')
    """
    if backend == "auto":
        forced = _forced[0]
        return forced if forced in BACKENDS else automatic_backend(b, device.type, dtype, width)
    if not _is_usable(backend, device):
        raise ValueError(unknown_backend(backend, ["auto", *available_backends(device)]))
    return backend


def has_tensor_cores(device: str, dtype: torch.dtype) -> bool:
    """Return whether dense products of a dtype are much cheaper than the bytes that they read.

    That is so on a GPU in half precision, and in float32 if TF32 is allowed.

    >>> has_tensor_cores("cuda", torch.bfloat16), has_tensor_cores("cpu", torch.bfloat16)
    (True, False)
    """
    return device == "cuda" and (dtype in HALVES or dtype == torch.float32 and tf32_allowed())


def automatic_backend(b: int, device: str, dtype: torch.dtype, width: int) -> str:
    """Return the backend that "auto" takes for a product that is not folded.

    Where dense products are cheap (`has_tensor_cores`): "dense" up to a width of `NARROW`, and "leaf" for wider layers.
    Elsewhere, and on CPUs: "reference" for blocks below `SMALL_BLOCK`, and "rfft" for larger ones.

    >>> [automatic_backend(128, "cuda", torch.bfloat16, width) for width in (768, 4096)]
    ['dense', 'leaf']
    >>> automatic_backend(128, "cpu", torch.bfloat16, 4096), automatic_backend(128, "cuda", torch.float64, 4096)
    ('rfft', 'rfft')
    """
    if has_tensor_cores(device, dtype):
        return "dense" if width <= NARROW else "leaf"
    return "reference" if b < SMALL_BLOCK else "rfft"


class Layer(NamedTuple):
    """What the rule for an adapted linear layer depends on: its input, its weight and its kernels, and settings."""

    tokens: int
    device: str
    dtypes: tuple[torch.dtype, torch.dtype, torch.dtype]
    weight: torch.Size
    kernels: tuple[int, ...]
    has_diagonals: bool
    forced: str
    autocast: bool
    tf32: bool


def layer_way(layer: Layer) -> str:
    """Return how an adapted linear layer is computed: "fold", or the backend of the product beside the frozen one.

    >>> dtypes, weight, kernels = (torch.float32,) * 3, torch.Size([768, 768]), torch.Size([1, 1, 768])
    >>> [layer_way(Layer(tokens, "cpu", dtypes, weight, kernels, False, "auto", False, False)) for tokens in (4, 512)]
    ['rfft', 'fold']
    """
    (m, n, b), (d_out, d_in) = layer.kernels, layer.weight
    if len(set(layer.dtypes)) == 1 and _folds(layer, m * n):
        return "fold"
    if layer.forced in BACKENDS:
        return layer.forced
    return automatic_backend(b, layer.device, layer.dtypes[0], max(d_in, d_out))


def folds(x: Tensor, weight: Tensor, blocks: int = 1, has_diagonals: bool = False) -> bool:
    """Return whether an adapted layer adds ``ΔW`` to its weight for this call: only where it is exact, and faster.

    It is exact for plain tensors in float32 or float64 throughout, without autocast and without TF32, which would round
    the sum. Where it is faster was measured on CPUs; on a GPU it follows from the bytes that are moved. Under
    torch.compile it has to be asked for, with ``use_backend("fold")``.

    Args:
        x: the layer's input; all of its dimensions but the last count as tokens.
        weight: the frozen weight.
        blocks: the number of blocks of ΔW.
        has_diagonals: ΔW is multiplied by diagonals.

    >>> weight = torch.nn.Parameter(torch.zeros(768, 768))
    >>> folds(torch.zeros(512, 768), weight), folds(torch.zeros(4, 768), weight)
    (True, False)
    """
    forced, device = _forced[0], x.device.type
    # The rule depends on the number of tokens, so that a compiled graph would be recompiled for every other number.
    if forced == "auto" and torch.compiler.is_compiling():
        return False
    if type(weight) not in (torch.nn.Parameter, Tensor) or x.dtype != weight.dtype:
        return False
    if forced != "fold" and device not in ("cpu", "cuda"):  # torch cannot be asked for autocast on every device
        return False
    settings = torch.is_autocast_enabled(device), device == "cuda" and tf32_allowed()
    dtypes = (x.dtype, weight.dtype, weight.dtype)
    return _folds(
        Layer(x.numel() // x.shape[-1], device, dtypes, weight.shape, (), has_diagonals, forced, *settings), blocks
    )


def _folds(layer: Layer, blocks: int) -> bool:
    dtype = layer.dtypes[0]
    if dtype not in (torch.float32, torch.float64) or layer.autocast or dtype == torch.float32 and layer.tf32:
        return False
    if layer.forced != "auto":
        return layer.forced == "fold"
    if layer.device == "cuda":
        return max(layer.weight) <= NARROW
    least = FOLD_TOKENS if blocks <= FEW_BLOCKS else FOLD_TOKENS_MANY_BLOCKS
    # Diagonals have gradients of their own, for which transforms are faster than one more dense product.
    many = layer.tokens >= least * layer.weight[0] and not layer.has_diagonals
    return layer.device == "cpu" and (many or layer.weight.numel() <= TINY_WEIGHT)
