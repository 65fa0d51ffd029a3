"""The circulant product with the gradients that C3A prints, for comparisons with the right ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.fft import irfft, rfft


def correlate(w: Tensor, x: Tensor) -> Tensor:
    """Return C(w) x for the circulant with first row w. Shapes: w (d,) or (..., d), x (..., d)."""
    return irfft(rfft(w).conj() * rfft(x), n=x.shape[-1])


class PrintedProduct(torch.autograd.Function):
    """The product C(w) x in row layout, with the printed gradient for x, and the right or the printed one for w."""

    @staticmethod
    def forward(ctx, x: Tensor, w: Tensor, printed_dw: bool) -> Tensor:
        """Return C(w) x. Shapes: x (..., d), w (d,)."""
        ctx.save_for_backward(x, w)
        ctx.printed_dw = printed_dw
        return correlate(w, x)

    @staticmethod
    def backward(ctx, g: Tensor):
        """Return C(w) g for x, where C(w)^T g is right, and for w C(g) x or, as printed, C(x) g."""
        x, w = ctx.saved_tensors
        dw = correlate(x, g) if ctx.printed_dw else correlate(g, x)
        return correlate(w, g), dw.reshape(-1, len(w)).sum(0), None
