"""The contract of a backend: the functions that its module defines, and a check that names a missing one."""

from types import ModuleType
from typing import Generic, Protocol

import torch
from torch import Tensor


class Backend(Protocol):
    """One way to compute block-circulant products, as a module with these functions (without ``self``).

    Letters: ``t`` tokens, ``m`` by ``n`` blocks of size ``b``. Operands are matrices of one dtype, float32 or float64,
    on one device. Any ``t >= 0`` and ``m, n, b >= 1`` must work; ``x`` and ``g`` may have any strides, ``w`` is
    contiguous. No function has to be differentiable: the operators in `circpeft.ops` see to that.
    """

    FUSED: bool
    """True if the module also has the functions of `FusedBackend`."""

    BUILDS_MATRIX: bool
    """True if `matmul` builds the dense matrix in memory, which the cost model then counts among the moved bytes."""

    def is_available(self, device: torch.device) -> bool:
        """Return whether the backend can be used on a device. Must not import an optional dependency."""
        ...

    def matmul(self, x: Tensor, w: Tensor, layout: str) -> Tensor:
        """Return ``x @ block_circulant(w, layout).T``: ``x: (t, n*b)``, ``w: (m, n, b)`` -> ``(t, m*b)``."""
        ...

    def kernel_grad(self, g: Tensor, x: Tensor, b: int, layout: str) -> Tensor:
        """Return the gradient of `matmul` for ``w``: ``g: (t, m*b)``, ``x: (t, n*b)`` -> ``(m, n, b)``.

        Two calls with the same arguments must give the same bits.
        """
        ...

    def matmul_flops(self, t: int, m: int, n: int, b: int) -> int:
        """Return the FLOPs of `matmul`."""
        ...

    def kernel_grad_flops(self, t: int, m: int, n: int, b: int) -> int:
        """Return the FLOPs of `kernel_grad`."""
        ...


class FusedBackend(Backend, Protocol):
    """A backend that multiplies by the diagonals and adds the base output within the product.

    Then only ``x`` and the parameters are saved for the backward pass. For other backends
    `circpeft.ops.diagonal_circulant_matmul` calls `matmul` and autograd, which saves the intermediate results.
    """

    def diagonal_matmul(
        self,
        x: Tensor,
        w: Tensor,
        layout: str,
        diagonal_in: Tensor | None,
        diagonal_out: Tensor | None,
        base: Tensor | None,
        y: Tensor,
        scale: float,
    ) -> None:
        """Write ``base + scale * diagonal_out * C(w) (diagonal_in * x)`` into ``y``.

        Shapes: ``x: (t, d_in)`` with ``d_in <= n*b``, padded with zeros; ``y, base: (t, d_out)`` with
        ``d_out <= m*b``, surplus outputs dropped. ``x``, ``base`` and ``y`` have any floating-point dtype; ``w`` and
        the diagonals have the dtype to compute in, and are contiguous. ``y`` may be ``base`` itself.
        """
        ...

    def diagonal_matmul_backward(
        self,
        g: Tensor,
        x: Tensor,
        w: Tensor,
        layout: str,
        diagonal_in: Tensor | None,
        diagonal_out: Tensor | None,
        dx: Tensor | None,
        scale: float,
        accumulate: bool,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the gradients of `diagonal_matmul` for ``w`` and both diagonals; write that for ``x`` into ``dx``.

        Shapes: ``g: (t, d_out)``, ``x, dx: (t, d_in)``. A gradient is None where its diagonal is; nothing is computed
        for ``x`` where ``dx`` is None.

        Args:
            accumulate: add the gradient for ``x`` to what ``dx`` holds.
        """
        ...

    def diagonal_backward_flops(
        self,
        t: int,
        m: int,
        n: int,
        b: int,
        with_dx: bool = True,
        with_input: bool = False,
        with_output: bool = False,
    ) -> int:
        """Return the FLOPs of `diagonal_matmul_backward` without the products with diagonals.

        Args:
            with_dx: whether the gradient for ``x`` is computed.
            with_input: whether that for ``diagonal_in`` is computed.
            with_output: whether that for ``diagonal_out`` is computed.
        """
        ...


def members(protocol: type) -> list[str]:
    """Return the names that a protocol asks for.

    >>> members(Backend)
    ['FUSED', 'BUILDS_MATRIX', 'is_available', 'matmul', 'kernel_grad', 'matmul_flops', 'kernel_grad_flops']
    """
    bases = [base for base in reversed(protocol.__mro__) if base not in (Protocol, Generic, object)]
    return [name for base in bases for name in (*base.__annotations__, *vars(base)) if not name.startswith("_")]


def check_backend(module: ModuleType) -> None:
    """Raise TypeError unless a module defines everything that its kind of backend needs."""
    needed = members(FusedBackend if getattr(module, "FUSED", False) else Backend)
    missing = [name for name in needed if not hasattr(module, name)]
    if missing:
        raise TypeError(
            f"backend module {module.__name__!r} lacks {', '.join(missing)}; it must define {', '.join(needed)} "
            f"(see circpeft.ops.backends.protocol)"
        )
