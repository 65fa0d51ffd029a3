"""Adapters of two-dimensional convolutions.

A convolution multiplies every patch of its input by its weight, seen as the matrix
``(out_channels, channels * kh * kw)`` with the channels of one group. ``ΔW`` changes this matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from ..ops.convolution import Window, adapted_conv2d
from ..ops.precision import without_autocast
from .c3a import C3A
from .cdvft import CDVFT

if TYPE_CHECKING:

    class _Inner(nn.Module):
        """What the other base of the classes below has."""

        d_in: int
        d_out: int
        dropout: nn.Dropout

        def delta_weight(self) -> Tensor: ...

else:
    _Inner = object


class Convolution(_Inner):
    """The part that `ConvolutionC3A` and `ConvolutionCDVFT` share; `for_convolution` makes them.

    Formula: ``Δh = conv2d(x, ΔW reshaped to the layer's weight)``, which without groups is ``ΔW @ unfold(x)``.

    Shapes: ``x: (batch, channels, height, width)``, or one image without the batch; ``ΔW: (d_out, d_in)`` with
    ``d_in = channels / groups * kh * kw`` and ``d_out = out_channels``.
    """

    layer: str
    window: Window
    # What is added at the borders before the convolution pads with zeros: left, right, top, bottom; and how.
    borders: list[int]
    border_mode: str

    def _terms(self) -> tuple[Tensor, float, str, Tensor | None, Tensor | None] | None:
        """Return kernel, scale, layout and diagonals, if ``ΔW`` has only one circulant factor."""
        raise NotImplementedError

    def forward(self, x: Tensor, base: Tensor | None = None) -> Tensor:
        """Return ``Δh`` in the dtype of ``x``, or with a base output ``base + Δh`` in the base's dtype.

        Raises: ValueError for a base output of another size: the layer pads or moves in a way of its own.
        """
        x = self.dropout(x) if self.dropout.p else x
        if base is None:
            return self._convolved(x, None, None)
        y = self._convolved(x.to(base.dtype), None, None)
        if y.shape != base.shape:
            raise ValueError(
                f"{self.layer} has an output of shape {tuple(base.shape)}, but its padding, stride and dilation give "
                f"{tuple(y.shape)}: its forward differs from that of nn.Conv2d; leave it out with exclude_modules"
            )
        return base + y

    def adapted_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the output of the adapted convolution, without dropout. ``weight`` and ``x`` have one dtype."""
        return self._convolved(x, weight, bias)

    def _convolved(self, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        x = pad(x, self.borders, self.border_mode) if self.borders else x
        images = x if x.dim() == 4 else x[None]
        if (terms := self._terms()) is not None:
            y = adapted_conv2d(images, weight, bias, terms[0], self.window, *terms[1:])
        else:
            channels = images.shape[1] // self.window.groups
            delta = self.delta_weight().reshape(self.d_out, channels, *self.window.size)
            changed = (delta if weight is None else weight + delta).to(images.dtype)
            with without_autocast(x.device):
                y = conv2d(images, changed, bias, *self.window[1:])
        return y if x.dim() == 4 else y[0]


class ConvolutionC3A(Convolution, C3A):
    """C3A on a convolution."""

    def _terms(self) -> tuple[Tensor, float, str, Tensor | None, Tensor | None] | None:
        return self.kernel, self.alpha / self.d_in, self.layout, None, None


class ConvolutionCDVFT(Convolution, CDVFT):
    """CDVFT on a convolution."""

    def _terms(self) -> tuple[Tensor, float, str, Tensor | None, Tensor | None] | None:
        if self.num_factors != 3:
            return None
        return self.kernel_0, self.alpha, "column", self.diagonal_0, self.diagonal_1


_OF_CONVOLUTION: dict[type, Any] = {C3A: ConvolutionC3A, CDVFT: ConvolutionCDVFT}


def convolution_shape(layer: nn.Conv2d) -> tuple[int, int]:
    """Return ``(d_in, d_out)`` of a convolution: the size of a patch in one group, and the number of output channels.

    >>> convolution_shape(nn.Conv2d(6, 10, (3, 5), groups=2))
    (45, 10)
    """
    kh, kw = layer.kernel_size
    return layer.in_channels // layer.groups * kh * kw, layer.out_channels


def for_convolution(adapter: Any, layer: nn.Conv2d, name: str = "") -> ConvolutionC3A | ConvolutionCDVFT:
    """Have an adapter of a convolution's matrix take images, and return it. It is changed in place.

    The names of its parameters stay, and so does ``delta_weight``.

    Args:
        adapter: a `C3A` or a `CDVFT` with the sizes of `convolution_shape`.
        layer: the convolution, whose padding, stride, dilation and groups it takes.
        name: name of the layer for errors.

    Raises: TypeError for another module; ValueError for other sizes.

    >>> import torch
    >>> layer = nn.Conv2d(4, 8, 3, padding=1)
    >>> adapter = for_convolution(C3A(*convolution_shape(layer), init_weights="gaussian"), layer)
    >>> x = torch.randn(2, 4, 5, 5)
    >>> patches = nn.functional.unfold(x, 3, padding=1)
    >>> torch.allclose(adapter(x).flatten(2), adapter.delta_weight() @ patches, atol=1e-5)
    True
    """
    if type(adapter) not in _OF_CONVOLUTION:
        raise TypeError(f"expected a C3A or a CDVFT, got {type(adapter).__name__}")
    if (adapter.d_in, adapter.d_out) != convolution_shape(layer):
        d_in, d_out = convolution_shape(layer)
        raise ValueError(f"expected an adapter with d_in={d_in} and d_out={d_out}, got {adapter.d_in}, {adapter.d_out}")
    adapter.__class__ = _OF_CONVOLUTION[type(adapter)]
    left, right, top, bottom = layer._reversed_padding_repeated_twice
    zeros = layer.padding_mode == "zeros"
    inside = zeros and left == right and top == bottom
    kh, kw = layer.kernel_size
    sizes: dict[str, Any] = {"stride": layer.stride, "dilation": layer.dilation, "groups": layer.groups}
    adapter.window = Window((kh, kw), padding=(top, left) if inside else (0, 0), **sizes)
    adapter.borders = [] if inside or not any((left, right, top, bottom)) else [left, right, top, bottom]
    adapter.border_mode = "constant" if zeros else layer.padding_mode
    adapter.layer = f"layer {name!r} ({type(layer).__name__})"
    made: ConvolutionC3A | ConvolutionCDVFT = adapter
    return made
