"""The block-circulant product and its kernel gradient as formulas of torch functions, which torch can transform.

The operators use them where they have no rule of their own: under `torch.func.vmap` with a batch of both operands, and
under `torch.func.functionalize`. Unlike a backend, a formula keeps every transform in memory. The conjugate of a
transform is the transform with reversed index; torch can batch a reversal, but not the conjugate of a tensor.
"""

import torch
from torch import Tensor

from .circulant import other_layout
from .precision import compute_dtype, without_autocast


def _rfft(t: Tensor) -> Tensor:
    t_hat: Tensor = torch.fft.rfft(t.contiguous())  # on a CPU, torch 2.5 cannot transform expanded tensors
    return t_hat


def matmul(x: Tensor, w: Tensor, layout: str) -> Tensor:
    """Return `circpeft.ops.block_circular_matmul` by real transforms, in the dtype of ``x``."""
    (_, n, b), dtype = w.shape, compute_dtype(x.dtype, w.dtype)
    w = w if layout == "column" else other_layout(w)
    with without_autocast(x.device):
        x_hat, w_hat = _rfft(x.unflatten(-1, (n, b)).to(dtype)), _rfft(w.to(dtype))
        y: Tensor = torch.fft.irfft(torch.einsum("...nf,mnf->...mf", x_hat, w_hat), n=b).flatten(-2).to(x.dtype)
    return y


def kernel_grad(g: Tensor, x: Tensor, b: int, dtype: torch.dtype, layout: str) -> Tensor:
    """Return `circpeft.ops.block_circular_kernel_grad` by real transforms, in the given dtype."""
    g, x = (t.unflatten(-1, (t.shape[-1] // b, b)).to(compute_dtype(g.dtype, x.dtype, dtype)) for t in (g, x))
    g, x = (g, other_layout(x)) if layout == "column" else (other_layout(g), x)
    with without_autocast(x.device):
        total = torch.einsum("...mf,...nf->mnf", _rfft(g), _rfft(x))
        dw: Tensor = torch.fft.irfft(total, n=b).to(dtype)
    return dw
