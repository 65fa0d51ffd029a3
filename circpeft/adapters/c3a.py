"""C3A: the weight change is a block-circulant matrix."""

import math
from numbers import Real

import torch
from torch import Tensor, nn

from ..ops import block_circulant, block_circular_matmul
from ..ops.checks import check_layout, nearest
from .block_size import dividing_block_size

C3A_STARTS = ("zero", "xavier_uniform", "kaiming_uniform", "gaussian")


class C3A(nn.Module):
    """Circular convolution adaptation: ``ΔW = (alpha / d_in) * C(w)`` with a grid of kernels ``w: (m, n, b)``.

    Source: "Parameter-Efficient Fine-Tuning via Circular Convolution" (arXiv 2407.19342), section 3.2 and 3.4. The
    division by ``d_in`` and the row layout are those of its implementation in Hugging Face PEFT; ``alpha`` is ours.

    Args:
        d_in, d_out: features of the adapted layer.
        block_size: ``b``, a common divisor of both; "auto" is their greatest.
        alpha: scale.
        layout: "row" (the paper: the kernel is the first row) or "column" (the kernel is the first column).
        dropout: probability for the adapter's input, in training.
        init_weights: "zero" or True: ``ΔW = 0``; False or "xavier_uniform", "kaiming_uniform", "gaussian": random.

    Shapes: ``forward: (..., d_in) -> (..., d_out)``; ``d_in * d_out / b`` trainable parameters, float32.

    Raises: ValueError for a block size that does not divide, an unknown layout or start, an alpha that is not a finite
    number, or a dropout outside [0, 1).

    >>> adapter = C3A(768, 3072, block_size=768, init_weights="gaussian")
    >>> adapter.kernel.shape
    torch.Size([4, 1, 768])
    >>> x = torch.randn(2, 5, 768)
    >>> torch.allclose(adapter(x), x @ adapter.delta_weight().T, atol=1e-6)
    True
    """

    def __init__(
        self,
        d_in: int,
        d_out: int,
        block_size: int | str = "auto",
        alpha: float = 1.0,
        layout: str = "row",
        dropout: float = 0.0,
        init_weights: bool | str = True,
    ) -> None:
        check_layout(layout)
        b = dividing_block_size(block_size, d_in, d_out)
        super().__init__()
        self.d_in, self.d_out, self.block_size, self.layout = d_in, d_out, b, layout
        self.alpha = check_alpha(alpha)
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.kernel = nn.Parameter(torch.empty(d_out // b, d_in // b, b, dtype=torch.float32))
        self.reset_parameters(init_weights)

    @torch.no_grad()
    def reset_parameters(self, init_weights: bool | str = True) -> None:
        """Start values, by name. The fans of Xavier and Kaiming are those of the layer, as in PEFT's C3A."""
        start = {True: "zero", False: "xavier_uniform"}.get(init_weights, init_weights)
        if start not in C3A_STARTS:
            raise ValueError(f"unknown init_weights {init_weights!r}; {nearest(start, C3A_STARTS)}")
        if start == "zero":
            self.kernel.zero_()
        elif start == "gaussian":
            self.kernel.normal_()
        else:
            bound = math.sqrt(6 / (self.d_in + self.d_out)) if start == "xavier_uniform" else math.sqrt(1 / self.d_in)
            self.kernel.uniform_(-bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """``Δh = x @ ΔW.T``, in the dtype of ``x``."""
        w = self.kernel * (self.alpha / self.d_in)
        return block_circular_matmul(self.dropout(x), w, layout=self.layout)

    def delta_weight(self) -> Tensor:
        """``ΔW: (d_out, d_in)``, built by indexing."""
        return block_circulant(self.kernel * (self.alpha / self.d_in), layout=self.layout)

    def extra_repr(self) -> str:
        return f"{self.d_in}, {self.d_out}, block_size={self.block_size}, alpha={self.alpha}, layout={self.layout!r}"


def check_alpha(alpha: float) -> float:
    """The scale, or ValueError for one that is not a finite number."""
    if isinstance(alpha, bool) or not isinstance(alpha, Real) or not math.isfinite(alpha):
        raise ValueError(f"alpha must be a finite number, got {alpha!r}")
    return float(alpha)


def check_dropout(dropout: float) -> float:
    """The dropout probability, or ValueError outside [0, 1)."""
    if not 0.0 <= dropout < 1.0:
        raise ValueError(f"dropout must be in [0, 1), got {dropout!r}")
    return float(dropout)
