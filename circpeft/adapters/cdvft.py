"""CDVFT: the weight change is a product of alternating diagonal and circulant factors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from ..ops import adapted_linear, block_circulant, diagonal_circulant_matmul
from ..ops.block_size import padding_block_size
from ..ops.circulant import is_recorded
from ..ops.delta import delta_weight
from ..ops.scale import cdvft_alpha, described
from .checks import check_dropout, check_init_weights, check_summands

CDVFT_STARTS = ("zero", "gaussian")


class CDVFT(nn.Module):
    """An adapter of circulant and diagonal factors: ``ΔW = alpha * A_{2m-1} C_{2m-2} ... A_3 C_2 A_1``.

    Source: "Parameter-Efficient Fine-Tuning with Circulant and Diagonal Vectors" (arXiv 2505.00580): Eq. 3 and 4 for
    the product, Eq. 8 for the circulant factors (column layout), Eq. 12 for blocks. If ``b`` does not divide a
    dimension, the vector is padded with zeros to the next multiple, and surplus outputs are dropped. The first
    circulant factor is rectangular, all others are square.

    Args:
        d_in, d_out: features of the adapted layer.
        block_size: ``b`` (the paper's p); "auto" is ``min(d_in, d_out)``.
        num_factors: an odd number, the paper's 2m-1; 1 (a single diagonal) needs ``d_in == d_out``.
        alpha: scale (Eq. 4): a number; "paper" for 1; or "lora" for ``1 / sqrt(k)``, with k blocks along the shorter
            side, at which LoRA's learning rates work. `CDVFTConfig` has "lora" by default.
        dropout: dropout probability of the adapter's input during training.
        init_weights: "zero" or True for ``ΔW = 0``: the first circulant is zero, diagonals are one, further circulants
            the identity. Only one factor is zero, because with two every gradient would be zero. "gaussian" or False
            for random values in every factor. Both named scales give the same random ``ΔW``: the first circulant
            differs.

    Shapes: ``forward: (..., d_in) -> (..., d_out)``. Parameters are float32: ``diagonals[0]: (d_in,)``, all further
    diagonals ``(d_out,)``; ``kernels[0]: (ceil(d_out/b), ceil(d_in/b), b)``, all further kernels
    ``(ceil(d_out/b), ceil(d_out/b), b)``. The parameters are named ``diagonal_0``, ``kernel_0``, ``diagonal_1``, ...

    Raises: ValueError for an even num_factors, a block size below one or above both dimensions, an unknown start, an
    alpha that is neither a finite number nor a named scale, or a dropout outside [0, 1).

    >>> adapter = CDVFT(6, 4, block_size=4, init_weights="gaussian")
    >>> [tuple(p.shape) for p in adapter.parameters()]
    [(6,), (4,), (1, 2, 4)]
    >>> x = torch.randn(3, 6)
    >>> torch.allclose(adapter(x), x @ adapter.delta_weight().T, atol=1e-5)
    True
    """

    diagonal_0: nn.Parameter
    diagonal_1: nn.Parameter
    kernel_0: nn.Parameter

    def __init__(
        self,
        d_in: int,
        d_out: int,
        block_size: int | str = "auto",
        num_factors: int = 3,
        alpha: float | str = "paper",
        dropout: float = 0.0,
        init_weights: bool | str = True,
    ) -> None:
        whole = isinstance(num_factors, Integral) and not isinstance(num_factors, bool)
        if not whole or num_factors < 1 or num_factors % 2 == 0:
            raise ValueError(f"num_factors must be odd (diagonals outermost), e.g. 3 or 5; got {num_factors!r}")
        if num_factors == 1 and d_in != d_out:
            raise ValueError(f"num_factors=1 is a diagonal and needs d_in == d_out, got {d_in} and {d_out}; use 3")
        b = padding_block_size(block_size, d_in, d_out)
        super().__init__()
        self.d_in, self.d_out, self.block_size, self.num_factors = d_in, d_out, b, int(num_factors)
        self.alpha = cdvft_alpha(alpha, d_in, d_out, b)
        # A random start with a named scale has the same ΔW whatever the name.
        self._start_scale = 1 / self.alpha if isinstance(alpha, str) else 1.0
        self.dropout = nn.Dropout(check_dropout(dropout))
        m, n, further = math.ceil(d_out / b), math.ceil(d_in / b), num_factors // 2
        widths = [d_in] + [d_out] * further
        grids = [(m, n if j == 0 else m, b) for j in range(further)]
        # Not in a ParameterList: PEFT and transformers lose the adapter's name in the keys of nested modules.
        for j, width in enumerate(widths):
            self.register_parameter(f"diagonal_{j}", nn.Parameter(torch.empty(width, dtype=torch.float32)))
        for j, grid in enumerate(grids):
            self.register_parameter(f"kernel_{j}", nn.Parameter(torch.empty(grid, dtype=torch.float32)))
        self.reset_parameters(init_weights)

    @property
    def diagonals(self) -> list[nn.Parameter]:
        """The diagonal factors ``A_1, A_3, ...``, from the input to the output."""
        return [getattr(self, f"diagonal_{j}") for j in range(self.num_factors // 2 + 1)]

    @property
    def kernels(self) -> list[nn.Parameter]:
        """The kernels of the circulant factors ``C_2, C_4, ...``, from the input to the output."""
        return [getattr(self, f"kernel_{j}") for j in range(self.num_factors // 2)]

    @torch.no_grad()
    def reset_parameters(self, init_weights: bool | str = True) -> None:
        """Set the start values by name, as the class describes them."""
        start = check_init_weights(init_weights, CDVFT_STARTS, default_random="gaussian")
        for diagonal in self.diagonals:
            diagonal.normal_() if start == "gaussian" else diagonal.fill_(1.0)
        for kernel in self.kernels:
            m, n, b = kernel.shape
            if start == "gaussian":
                kernel.normal_(std=1 / math.sqrt(n * b))  # keeps the norm of the vector it multiplies
            else:
                kernel.zero_()
                kernel[range(min(m, n)), range(min(m, n)), 0] = 1.0
        first = self.kernels[0] if self.kernels else self.diagonals[0]
        first.zero_() if start == "zero" else first.mul_(self._start_scale)

    def alpha_of(self, scale: float | str) -> float:
        """Return the ``alpha`` of another scale, by name or number, on this layer."""
        return cdvft_alpha(scale, self.d_in, self.d_out, self.block_size)

    def forward(self, x: Tensor, base: Tensor | None = None) -> Tensor:
        """Return ``Δh = x @ ΔW.T`` in the dtype of ``x``, or with a base output ``base + Δh`` in the base's dtype.

        The factors are applied from right to left (Eq. 5 to 7).
        """
        first, *further = self.diagonals
        y = self.dropout(x) if self.dropout.p else x
        if not further:
            y = y * (first if self.alpha == 1 else self.alpha * first)
            return y.to(x.dtype) if base is None else (base + y).to(base.dtype)
        for j, (kernel, diagonal) in enumerate(zip(self.kernels, further, strict=True)):
            last = j == len(further) - 1
            scale = self.alpha if last else 1.0
            y = diagonal_circulant_matmul(y, kernel, None if j else first, diagonal, base if last else None, scale)
        return y

    def adapted_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return ``x @ (weight + ΔW).T + bias``, the output of the adapted linear layer, without dropout."""
        if self.num_factors != 3:
            y: Tensor = self(x, linear(x, weight, bias))
            return y
        first, last = self.diagonal_0, self.diagonal_1
        return adapted_linear(x, weight, bias, self.kernel_0, self.alpha, "column", first, last, "auto")

    def delta_weight(self) -> Tensor:
        """Return ``ΔW: (d_out, d_in)``, the product of the factors as dense matrices (Eq. 3)."""
        first, *further = self.diagonals
        if not further:
            return self.alpha * torch.diag(first)
        if len(further) == 1 and not is_recorded(*self.parameters()):
            diagonals = first, further[0]
            return delta_weight(self.kernels[0], "column", self.alpha, *diagonals, self.d_out, self.d_in)
        delta: Tensor | None = None
        for kernel, diagonal in zip(self.kernels, further, strict=True):
            width = self.d_in if delta is None else self.d_out
            factor = block_circulant(kernel, layout="column")[: self.d_out, :width]
            # The first product is with a diagonal matrix, so that scaling the columns is enough.
            delta = diagonal[:, None] * (factor * first if delta is None else factor @ delta)
        assert delta is not None  # there is a circulant factor
        return self.alpha * delta

    @torch.no_grad()
    def set_weighted_sum(self, adapters: Sequence[CDVFT], weights: Sequence[float]) -> None:
        """Set the factors so that ``ΔW = sum_i weights[i] ΔW_i`` exactly, if at most one factor differs.

        ΔW is linear in each single factor, so the factors that differ are summed. In general, a sum of products is not
        a product of as many factors.

        Raises: ValueError if more than one factor differs, if an adapter has another block size or number of factors,
        or if this one has an alpha of zero.
        """
        check_summands(self, adapters, ("block_size", "num_factors"))
        factors = [dict(adapter.named_parameters()) for adapter in adapters]
        differing = [name for name in factors[0] if any(not torch.equal(f[name], factors[0][name]) for f in factors)]
        if len(differing) > 1:
            raise ValueError(
                f"the weighted sum of these CDVFT adapters is not a product of {self.num_factors} factors: they differ "
                f"in {', '.join(differing)}, and the sum is exact only if one factor differs; "
                f"activate them together instead: model.base_model.set_adapter([...]) adds their outputs"
            )
        summed_name = differing[0] if differing else next(reversed(factors[0]))
        scales = [weight * adapter.alpha / self.alpha for adapter, weight in zip(adapters, weights, strict=True)]
        summed, *others = [scale * f[summed_name] for scale, f in zip(scales, factors, strict=True)]
        summed = sum(others, summed)
        for name, parameter in self.named_parameters():
            parameter.copy_(summed if name == summed_name else factors[0][name])

    def extra_repr(self) -> str:
        sizes = f"{self.d_in}, {self.d_out}, block_size={self.block_size}"
        return f"{sizes}, num_factors={self.num_factors}, {described(self)}"
