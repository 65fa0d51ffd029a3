"""The backends: several ways to compute a block-circulant product, one module each.

``backend="auto"`` takes one of two (the rule is `circpeft.ops.dispatch.resolve_backend`):

- "reference" for blocks smaller than `circpeft.ops.dispatch.SMALL_BLOCK`, where the dense product is cheaper;
- "rfft" for all others.

"leaf", "dft" and "triton" are used only when asked for by name, or forced by `circpeft.use_backend` or
``CIRCPEFT_BACKEND``.

To add a backend: write a module with the functions of `Backend` (and of `FusedBackend`, if it has them), and add one
line to `BACKENDS`. The dispatch, the operators, the FLOP counters, the cost model and the tests then know it.
A module is imported on first use.
"""

from functools import cache
from importlib import import_module

from .protocol import Backend, FusedBackend, check_backend

# Name -> module, best first.
BACKENDS = {
    "rfft": "circpeft.ops.backends.rfft",
    "leaf": "circpeft.ops.backends.leaf",
    "dft": "circpeft.ops.backends.dft",
    "triton": "circpeft.ops.backends.fused_triton",
    "reference": "circpeft.ops.backends.reference",
}


@cache
def _load(module_name: str) -> Backend:
    module = import_module(module_name)
    check_backend(module)
    return module


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
    backend = get_backend(name)
    return backend if backend.FUSED else None


__all__ = ["BACKENDS", "Backend", "FusedBackend", "get_backend", "get_fused_backend"]
