"""C3A: the weight change is a block-circulant matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor, nn

from ..ops import adapted_linear, block_circulant, diagonal_circulant_matmul, other_layout
from ..ops.block_size import dividing_block_size
from ..ops.checks import check_layout
from ..suggest import nearest

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
        start = (
            {True: "zero", False: "xavier_uniform"}.get(init_weights, init_weights)
            if isinstance(init_weights, bool)
            else init_weights
        )
        if start not in C3A_STARTS:
            raise ValueError(f"unknown init_weights {init_weights!r}; {nearest(start, C3A_STARTS)}")
        if start == "zero":
            self.kernel.zero_()
        elif start == "gaussian":
            self.kernel.normal_()
        else:
            bound = math.sqrt(6 / (self.d_in + self.d_out)) if start == "xavier_uniform" else math.sqrt(1 / self.d_in)
            self.kernel.uniform_(-bound, bound)

    @property
    def scaled_kernel(self) -> Tensor:
        """The kernel of ``ΔW``: with the scale, which goes with it and not with the activations."""
        return self.kernel * (self.alpha / self.d_in)

    def forward(self, x: Tensor, base: Tensor | None = None) -> Tensor:
        """``Δh = x @ ΔW.T``, in the dtype of ``x``; with a base output ``base + Δh``, in that one's dtype."""
        x = self.dropout(x) if self.dropout.p else x
        return diagonal_circulant_matmul(x, self.kernel, base=base, scale=self.alpha / self.d_in, layout=self.layout)

    def delta_weight(self) -> Tensor:
        """``ΔW: (d_out, d_in)``, built by indexing."""
        return block_circulant(self.scaled_kernel, layout=self.layout)

    def folded_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """``x @ (weight + ΔW).T + bias`` in one product, for the layer that this adapts; without dropout."""
        return adapted_linear(x, weight, bias, self.kernel, scale=self.alpha / self.d_in, layout=self.layout)

    @torch.no_grad()
    def set_weighted_sum(self, adapters: Sequence[C3A], weights: Sequence[float]) -> None:
        """``ΔW = sum_i weights[i] ΔW_i``, exactly: ΔW is linear in the kernel. The layouts may differ.

        Raises: ValueError for block sizes that are not this one's, or an alpha of zero.
        """
        check_summands(self, adapters, ("block_size",))
        total = torch.zeros_like(self.kernel)
        for adapter, weight in zip(adapters, weights, strict=True):
            kernel = adapter.kernel if adapter.layout == self.layout else other_layout(adapter.kernel)
            total += (weight * adapter.alpha / self.alpha) * kernel
        self.kernel.copy_(total)

    def extra_repr(self) -> str:
        return f"{self.d_in}, {self.d_out}, block_size={self.block_size}, alpha={self.alpha}, layout={self.layout!r}"


def check_alpha(alpha: float) -> float:
    """The scale, or ValueError for one that is not a finite number."""
    if isinstance(alpha, bool) or not isinstance(alpha, Real) or not math.isfinite(alpha):
        raise ValueError(f"alpha must be a finite number, got {alpha!r}")
    return float(alpha)


def check_dropout(dropout: float) -> float:
    """The dropout probability, or ValueError outside [0, 1)."""
    if not isinstance(dropout, Real) or not 0.0 <= dropout < 1.0:
        raise ValueError(f"dropout must be in [0, 1), got {dropout!r}")
    return float(dropout)


def check_summands(own: nn.Module, adapters: Sequence, same: tuple[str, ...]) -> None:
    """ValueError where adapters differ from ``own`` in an attribute that a sum needs to be equal."""
    for name in same:
        values = [getattr(adapter, name) for adapter in adapters]
        if any(value != getattr(own, name) for value in values):
            found = ", ".join(str(value) for value in values)
            raise ValueError(
                f"a weighted sum of {type(own).__name__} adapters needs one {name}, they have {found}; "
                f"activate them together instead: model.base_model.set_adapter([...]) adds their outputs"
            )
    if own.alpha == 0:
        raise ValueError("alpha=0 makes ΔW zero whatever the parameters; a sum needs another alpha")
