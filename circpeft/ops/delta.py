"""The change ``ΔW`` as a dense matrix, and the gradients of kernel and diagonals from the gradient of ``ΔW``.

All are without autograd. On a GPU, Triton kernels compute float32 and less (`delta_triton`); on CPUs, in float64, and
where Triton is missing, too old or broken, torch does (`delta_torch`).
"""

from typing import overload

import torch
from torch import Tensor

from . import delta_torch, delta_triton
from .precision import compute_dtype


def delta_weight(
    w: Tensor,
    layout: str,
    scale: float = 1.0,
    diagonal_in: Tensor | None = None,
    diagonal_out: Tensor | None = None,
    d_out: int | None = None,
    d_in: int | None = None,
    dtype: torch.dtype | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Return ``weight + scale * diag(diagonal_out) C(w) diag(diagonal_in)`` as a new matrix, without a gradient.

    Formula: ``C(w) = block_circulant(w, layout)``, of which the first ``d_out`` rows and ``d_in`` columns are kept.

    Shapes: ``w: (m, n, b)``, ``diagonal_in: (d_in,)``, ``diagonal_out: (d_out,)``, ``weight: (d_out, d_in)`` ->
    ``(d_out, d_in)``. The sizes default to those of the block-circulant matrix. Computed in the widest dtype of the
    arguments, float32 at least; returned in ``dtype``, by default that of the weight, or of ``w`` without a weight.

    >>> delta_weight(torch.tensor([[[1.0, 2.0]]]), "row", 10.0, weight=torch.eye(2))
    tensor([[11., 20.],
            [20., 11.]])
    """
    m, n, b = w.shape
    d_out, d_in = m * b if d_out is None else d_out, n * b if d_in is None else d_in
    if dtype is None:
        dtype = w.dtype if weight is None else weight.dtype
    if delta_triton.have_kernels(w, diagonal_in, diagonal_out, weight):
        delta = delta_triton.matrix(w, layout, scale, diagonal_in, diagonal_out, d_out, d_in, weight, dtype)
        if delta is not None:
            return delta
    widest = _widest(w, diagonal_in, diagonal_out, weight)
    w, weight = _computable(w, widest), _computable(weight, widest)
    diagonal_in, diagonal_out = _computable(diagonal_in, widest), _computable(diagonal_out, widest)
    delta = delta_torch.matrix(w, layout, scale, diagonal_in, diagonal_out, d_out, d_in, weight)
    return delta if delta.dtype == dtype else delta.to(dtype)


def kernel_from_delta(
    gradient: Tensor,
    m: int,
    n: int,
    b: int,
    layout: str,
    scale: float = 1.0,
    diagonal_in: Tensor | None = None,
    diagonal_out: Tensor | None = None,
) -> Tensor:
    """Return the gradient for ``w`` from the gradient for `delta_weight`, of which this is the transpose.

    Formula, in the column layout: ``dw[i, j, k]`` is the sum of ``scale * diag(diagonal_out) G diag(diagonal_in)``
    along the diagonal ``row - column = k`` (modulo b) of block ``(i, j)``; in the row layout, ``column - row = k``.

    Shapes: ``gradient: (d_out, d_in)`` with ``d_out <= m*b`` and ``d_in <= n*b`` -> ``(m, n, b)``, in the widest dtype
    of the arguments, float32 at least. Sums have a fixed order: deterministic.

    >>> kernel_from_delta(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, 1, 2, "row")
    tensor([[[5., 5.]]])
    """
    if delta_triton.have_kernels(gradient, diagonal_in, diagonal_out):
        dw = delta_triton.kernel_gradient(gradient, m, n, b, layout, scale, diagonal_in, diagonal_out)
        if dw is not None:
            return dw
    widest = _widest(gradient, diagonal_in, diagonal_out)
    gradient = _computable(gradient, widest)
    diagonal_in, diagonal_out = _computable(diagonal_in, widest), _computable(diagonal_out, widest)
    return delta_torch.kernel_gradient(gradient, m, n, b, layout, scale, diagonal_in, diagonal_out)


def diagonals_from_delta(
    gradient: Tensor,
    w: Tensor,
    layout: str,
    scale: float = 1.0,
    diagonal_in: Tensor | None = None,
    diagonal_out: Tensor | None = None,
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients for both diagonals from the gradient for `delta_weight`; None where there is no diagonal.

    Formula: with ``P = scale * G * C(w)``, entry by entry, ``P.T @ diagonal_out`` and ``P @ diagonal_in``. A missing
    diagonal counts as ones.

    Shapes: ``gradient: (d_out, d_in)``, ``w: (m, n, b)`` -> ``(d_in,)`` and ``(d_out,)``, in the widest dtype of the
    arguments, float32 at least. Sums have a fixed order: deterministic.

    >>> diagonals_from_delta(torch.eye(2), torch.tensor([[[2.0, 3.0]]]), "row", 1.0, torch.tensor([1.0, 10.0]))
    (tensor([2., 2.]), None)
    """
    if diagonal_in is None and diagonal_out is None:
        return None, None
    if delta_triton.have_kernels(gradient, w, diagonal_in, diagonal_out):
        gradients = delta_triton.diagonal_gradients(gradient, w, layout, scale, diagonal_in, diagonal_out)
        if gradients is not None:
            return gradients
    widest = _widest(gradient, w, diagonal_in, diagonal_out)
    gradient, w = _computable(gradient, widest), _computable(w, widest)
    diagonal_in, diagonal_out = _computable(diagonal_in, widest), _computable(diagonal_out, widest)
    return delta_torch.diagonal_gradients(gradient, w, layout, scale, diagonal_in, diagonal_out)


def _widest(*tensors: Tensor | None) -> torch.dtype:
    """Return the widest dtype of all tensors, float32 at least."""
    return compute_dtype(*[t.dtype for t in tensors if t is not None])


@overload
def _computable(tensor: Tensor, dtype: torch.dtype) -> Tensor: ...
@overload
def _computable(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None: ...
def _computable(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return a tensor without a gradient, in a dtype."""
    if tensor is not None and torch.is_grad_enabled():
        return tensor.detach().to(dtype)
    return tensor if tensor is None or tensor.dtype == dtype else tensor.to(dtype)
