"""The backends: several ways to compute a block-circulant product, one module each.

``backend="auto"`` takes one of them by the rule `circpeft.ops.dispatch.automatic_backend`. On CPUs, and on GPUs in
exact float32 and in float64:

- "reference" for blocks smaller than `circpeft.ops.dispatch.SMALL_BLOCK`, where the dense product is cheaper,
- "rfft" for all others.

On GPUs in half precision or with TF32:

- "dense" for narrow layers;
- "leaf" for wide ones.

To add a backend: write a module with the functions of `Backend` (and of `FusedBackend`, if it has them), and add one
line to `BACKENDS`. The dispatch, the operators, the FLOP counters, the cost model and the tests then know it.
A module is imported on first use.
"""

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any

from ...suggest import nearest
from .protocol import Backend, FusedBackend, check_backend

# Name -> module, best first.
BACKENDS = {
    "rfft": "circpeft.ops.backends.rfft",
    "leaf": "circpeft.ops.backends.leaf",
    "dense": "circpeft.ops.backends.dense",
    "reference": "circpeft.ops.backends.reference",
}
# Name of a removed backend -> the one that replaced it.
REPLACED = {"dft": "leaf", "triton": "leaf"}


@cache
def _load(module_name: str) -> Backend:
    module = import_module(module_name)
    check_backend(module)
    backend: Any = module
    loaded: Backend = backend
    return loaded


def get_backend(name: str) -> Backend:
    """Return a backend by its name in `BACKENDS`; its module is imported the first time.

    Raises: KeyError for an unknown name (`circpeft.ops.dispatch.resolve_backend` checks the names that users give);
    TypeError for a module that lacks a member of the protocol.

    >>> get_backend("rfft").__name__
    'circpeft.ops.backends.rfft'
    """
    return _load(BACKENDS[name])


def get_fused_backend(name: str) -> FusedBackend | None:
    """Return a backend that has the product with diagonals in one function; None for a backend that has not.

    >>> get_fused_backend("reference") is None
    True
    """
    return as_fused(name) if get_backend(name).FUSED else None


def as_fused(name: str) -> FusedBackend:
    """Return a backend by its name, which is known to be that of a fused one.

    >>> as_fused("rfft").FUSED
    True
    """
    backend: Any = get_backend(name)
    fused: FusedBackend = backend
    return fused


def unknown_backend(name: object, names: Iterable[str], where: str = "") -> str:
    """Return the error message for a name that is not among the given ones.

    >>> unknown_backend("dft", BACKENDS, " in use_backend")
    "backend 'dft' in use_backend was replaced by 'leaf'; choices: rfft, leaf, dense, reference"
    >>> unknown_backend("fft", BACKENDS)
    "unknown backend 'fft'; did you mean 'rfft'? (choices: rfft, leaf, dense, reference)"
    """
    if str(name) in REPLACED:
        return f"backend {name!r}{where} was replaced by {REPLACED[str(name)]!r}; choices: {', '.join(names)}"
    return f"unknown backend {name!r}{where}; {nearest(name, names)}"


__all__ = ["BACKENDS", "Backend", "FusedBackend", "as_fused", "get_backend", "get_fused_backend", "unknown_backend"]
