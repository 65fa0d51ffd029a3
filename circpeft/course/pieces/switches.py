"""Layout and conjugate: four combinations of a forward and a backward pass, with gradcheck's verdict."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.fft import irfft, rfft

from ...ops import circulant
from .base import Piece
from .number_texts import short
from .static_panels import add_matrix, row

SIZES = (1, 2, 3, 5, 8)


class Product(torch.autograd.Function):
    """The circulant product by FFT in one layout, with a backward pass for x that may lack the right conjugate."""

    @staticmethod
    def forward(ctx, x: Tensor, w: Tensor, layout: str, conjugate: bool) -> Tensor:
        """Return C(w) x in the layout."""
        ctx.save_for_backward(w)
        ctx.conjugate = conjugate
        spectrum = rfft(w).conj() if layout == "row" else rfft(w)
        return irfft(spectrum * rfft(x), n=len(w))

    @staticmethod
    def backward(ctx, g: Tensor):
        """Return the gradient for x as the switch says."""
        (w,) = ctx.saved_tensors
        spectrum = rfft(w).conj() if ctx.conjugate else rfft(w)
        return irfft(spectrum * rfft(g), n=len(w)), None, None, None


def verdict(kernel: Sequence[float], layout: str, conjugate: bool) -> bool:
    """Return whether `torch.autograd.gradcheck` accepts the backward pass for x.

    >>> verdict([1.0, 2.0, 4.0], "row", False), verdict([1.0, 2.0, 4.0], "row", True)
    (True, False)
    """
    w = torch.tensor(kernel, dtype=torch.float64)
    x = torch.linspace(-1, 1, len(kernel), dtype=torch.float64).requires_grad_()
    return gradcheck(lambda x: Product.apply(x, w, layout, conjugate), x, raise_exception=False)


def switch_numbers(kernel: Sequence[float], layout: str, conjugate: bool) -> dict:
    """Return the matrix of the forward pass, the one that the backward pass implies, and their largest difference."""
    w, eye = torch.tensor(kernel, dtype=torch.float64), torch.eye(len(kernel), dtype=torch.float64)
    forward = circulant(w, layout=layout)
    x = torch.zeros_like(w).requires_grad_()
    y = Product.apply(x, w, layout, conjugate)
    # Row i is the gradient for x of output i, as the backward pass computes it.
    implied = torch.stack([torch.autograd.grad(y, x, g, retain_graph=True)[0] for g in eye])
    error = float((forward - implied).abs().max())
    return {"forward": forward.tolist(), "implied": implied.tolist(), "error": error}


def kernels() -> dict[str, list[float]]:
    """Return one kernel per size, under the size as text."""
    generator = torch.Generator().manual_seed(3)
    return {
        str(b): [round(v, 2) for v in torch.randn(b, generator=generator, dtype=torch.float64).tolist()] for b in SIZES
    }


class Switches(Piece):
    """Choose a layout for the forward pass and a conjugate for the backward pass; see which ones gradcheck accepts.

    Args:
        layout: the layout at the start, "row" or "column".
        conjugate: whether the backward pass for x multiplies by the conjugate of the kernel's spectrum at the start.
        b: the size of the kernel at the start, one of 1, 2, 3, 5 and 8.
    """

    script = "switches"
    title = "Layout and conjugate"
    sentences = (
        "The matrix that the forward pass multiplies by, in {layout} layout with a kernel of size {b}; the matrix "
        "whose transpose the backward pass multiplies by, from {spectrum}; and their difference, at most {error}. "
        "gradcheck {verdict}."
    )

    def __init__(self, layout: str = "row", conjugate: bool = True, b: int = 5):
        if layout not in ("row", "column"):
            raise ValueError(f"layout is {layout!r}; expected 'row' or 'column'")
        if b not in SIZES:
            raise ValueError(f"b is {b}; choices: {', '.join(map(str, SIZES))}")
        drawn = kernels()
        verdicts = {
            size: {
                each: {key: verdict(kernel, each, key == "yes") for key in ("yes", "no")} for each in ("row", "column")
            }
            for size, kernel in drawn.items()
        }
        state = {"layout": layout, "conjugate": conjugate, "size": str(b)}
        super().__init__({"kernels": drawn, "verdicts": verdicts}, state)

    def _numbers(self) -> dict:
        state = self.state
        return switch_numbers(self.data["kernels"][state["size"]], state["layout"], state["conjugate"])

    def _passes(self) -> bool:
        state = self.state
        return self.data["verdicts"][state["size"]][state["layout"]]["yes" if state["conjugate"] else "no"]

    def readings(self) -> dict[str, str | int]:
        """Return the chosen passes, the size of the kernel, the largest difference, and gradcheck's verdict."""
        own = "the conjugate of the kernel's spectrum" if self.state["conjugate"] else "the kernel's spectrum itself"
        chosen = {"layout": self.state["layout"], "b": self.state["size"], "spectrum": own}
        return {**chosen, "error": short(self._numbers()["error"]), "verdict": "passes" if self._passes() else "fails"}

    def figure(self) -> go.Figure:
        """Draw the three matrices as they are now."""
        found = self._numbers()
        verdict_text = f"difference: gradcheck {'passes' if self._passes() else 'FAILS'}"
        panels = row(["matrix of the forward pass", "matrix in the backward pass", verdict_text], width=820)
        forward, implied = torch.tensor(found["forward"]), torch.tensor(found["implied"])
        for column, matrix in enumerate((forward, implied, forward - implied), 1):
            add_matrix(panels, column, matrix, limit=float(forward.abs().max()))
        return panels
