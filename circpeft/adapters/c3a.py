"""C3A: the weight change is a block-circulant matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..ops import adapted_linear, block_circulant, diagonal_circulant_matmul, other_layout
from ..ops.block_size import dividing_block_size
from ..ops.checks import check_layout
from ..ops.circulant import is_recorded
from ..ops.delta import delta_weight
from ..ops.scale import c3a_alpha, described
from .checks import check_dropout, check_init_weights, check_summands

C3A_STARTS = ("zero", "xavier_uniform", "kaiming_uniform", "gaussian")


class C3A(nn.Module):
    """A circular convolution adapter: ``ΔW = (alpha / d_in) * C(w)`` with a grid of kernels ``w: (m, n, b)``.

    Source: "Parameter-Efficient Fine-Tuning via Circular Convolution" (arXiv 2407.19342), section 3.2 and, in the
    later version, 3.4. The division by ``d_in`` and the row layout follow the implementation in Hugging Face PEFT.
    ``alpha`` is an addition of this package.

    Args:
        d_in, d_out: features of the adapted layer.
        block_size: ``b``, a common divisor of both; "auto" is the greatest one.
        alpha: scale: a number; "paper" for 1; or "lora" for ``ΔW = C(w) / sqrt(k)`` with ``k = min(m, n)``, at which
            LoRA's learning rates work. `C3AConfig` has "lora" by default.
        layout: "row" (the kernel is the first row, as in the paper) or "column" (the kernel is the first column).
        dropout: dropout probability of the adapter's input during training.
        init_weights: "zero" or True for ``ΔW = 0``; "xavier_uniform" or False, "kaiming_uniform" or "gaussian" for a
            random start, which has the same ``ΔW`` with both named scales.

    Shapes: ``forward: (..., d_in) -> (..., d_out)``; ``d_in * d_out / b`` trainable parameters, float32.

    Raises: ValueError for a block size that does not divide both dimensions, an unknown layout or start, an alpha that
    is neither a finite number nor a named scale, or a dropout outside [0, 1).

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
        alpha: float | str = "paper",
        layout: str = "row",
        dropout: float = 0.0,
        init_weights: bool | str = True,
    ) -> None:
        check_layout(layout)
        b = dividing_block_size(block_size, d_in, d_out)
        super().__init__()
        self.d_in, self.d_out, self.block_size, self.layout = d_in, d_out, b, layout
        self.alpha = c3a_alpha(alpha, d_in, d_out, b)
        # A random start with a named scale has the same ΔW whatever the name.
        self._start_scale = 1 / self.alpha if isinstance(alpha, str) else 1.0
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.kernel = nn.Parameter(torch.empty(d_out // b, d_in // b, b, dtype=torch.float32))
        self.reset_parameters(init_weights)

    @torch.no_grad()
    def reset_parameters(self, init_weights: bool | str = True) -> None:
        """Set the start values by name. Xavier and Kaiming use the layer's fan-in and fan-out, as in PEFT's C3A."""
        start = check_init_weights(init_weights, C3A_STARTS, default_random="xavier_uniform")
        if start == "zero":
            self.kernel.zero_()
        elif start == "gaussian":
            self.kernel.normal_(std=self._start_scale)
        else:
            bound = math.sqrt(6 / (self.d_in + self.d_out)) if start == "xavier_uniform" else math.sqrt(1 / self.d_in)
            self.kernel.uniform_(-bound * self._start_scale, bound * self._start_scale)

    def alpha_of(self, scale: float | str) -> float:
        """Return the ``alpha`` of another scale, by name or number, on this layer."""
        return c3a_alpha(scale, self.d_in, self.d_out, self.block_size)

    @property
    def scaled_kernel(self) -> Tensor:
        """The kernel times the scale, ``alpha / d_in``: scaling the kernel is cheaper than scaling the activations."""
        return self.kernel * (self.alpha / self.d_in)

    def forward(self, x: Tensor, base: Tensor | None = None) -> Tensor:
        """Return ``Δh = x @ ΔW.T`` in the dtype of ``x``, or with a base output ``base + Δh`` in the base's dtype."""
        x = self.dropout(x) if self.dropout.p else x
        return diagonal_circulant_matmul(x, self.kernel, base=base, scale=self.alpha / self.d_in, layout=self.layout)

    def delta_weight(self) -> Tensor:
        """Return ``ΔW: (d_out, d_in)``, built by indexing."""
        if is_recorded(self.kernel):
            return block_circulant(self.scaled_kernel, layout=self.layout)
        return delta_weight(self.kernel, self.layout, self.alpha / self.d_in)

    def adapted_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return ``x @ (weight + ΔW).T + bias``, the output of the adapted linear layer, without dropout."""
        return adapted_linear(x, weight, bias, self.kernel, self.alpha / self.d_in, self.layout, backend="auto")

    @torch.no_grad()
    def set_weighted_sum(self, adapters: Sequence[C3A], weights: Sequence[float]) -> None:
        """Set the kernel so that ``ΔW = sum_i weights[i] ΔW_i`` exactly. The layouts may differ.

        The sum exists because ΔW is linear in the kernel.

        Raises: ValueError if an adapter has another block size, or this one has an alpha of zero.
        """
        check_summands(self, adapters, ("block_size",))
        total = torch.zeros_like(self.kernel)
        for adapter, weight in zip(adapters, weights, strict=True):
            kernel = adapter.kernel if adapter.layout == self.layout else other_layout(adapter.kernel)
            total += (weight * adapter.alpha / self.alpha) * kernel
        self.kernel.copy_(total)

    def extra_repr(self) -> str:
        return f"{self.d_in}, {self.d_out}, block_size={self.block_size}, {described(self)}, layout={self.layout!r}"
