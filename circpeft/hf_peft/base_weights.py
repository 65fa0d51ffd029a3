"""The weight of a base layer: read it as floats, and replace it.

The layer is a plain linear one, a plain convolution, or a linear one quantised by bitsandbytes or torchao
(`quantized_weights`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ..adapters.convolution import convolution_shape
from .base_forward import Layer, computed_weight
from .caller_warnings import warn_caller
from .quantized_weights import four_bit_state, from_4bit, from_8bit, from_torchao, to_4bit, to_8bit, to_torchao

# Other dtypes (float8, integers) have scales elsewhere. To add to them without the scales would silently be wrong.
PLAIN_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def _kind(layer: Layer) -> str:
    """Return "8bit" or "4bit" (bitsandbytes), "torchao", "plain", or "" for an unsupported layer."""
    for cls in type(layer).__mro__:
        if cls.__module__.split(".")[0] == "bitsandbytes" and cls.__name__ in ("Linear8bitLt", "Linear4bit"):
            return "8bit" if cls.__name__ == "Linear8bitLt" else "4bit"
    weight = getattr(layer, "weight", None)
    if not isinstance(layer, (nn.Linear, Conv1D, nn.Conv2d)) or not isinstance(weight, Tensor):
        return ""
    package = type(weight).__module__.split(".")[0]
    if package == "torchao":
        return "torchao" if isinstance(layer, nn.Linear) else ""
    # Tensor types of other packages also report float32, whatever they hold.
    is_torch_tensor = package == "torch" or nn.Parameter in type(weight).__mro__
    return "plain" if is_torch_tensor and weight.dtype in PLAIN_DTYPES else ""


def linear_shape(layer: Layer, name: str) -> tuple[int, int]:
    """Return ``(d_in, d_out)`` of a supported layer: nn.Linear (also quantised), transformers' Conv1D, or nn.Conv2d.

    For a convolution, they are the size of a patch in one group and the number of output channels.

    Raises: TypeError for any other layer, with the layer's name, its type and the type of its weight, and for a layer
    whose weight is computed, by pruning or weight_norm for example: ``ΔW`` could not be added to it.
    """
    if _kind(layer):
        if (computed := computed_weight(layer)) is not None:
            raise TypeError(
                f"layer {name!r} ({type(layer).__name__}) cannot be adapted, because its weight is computed by "
                f"{computed}, or leave the layer out with exclude_modules"
            )
        if isinstance(layer, nn.Conv2d):
            return convolution_shape(layer)
        return tuple(layer.weight.shape) if isinstance(layer, Conv1D) else (layer.in_features, layer.out_features)
    weights = [getattr(layer, key, None) for key in ("weight", "qweight")]
    weight = next((weight for weight in weights if isinstance(weight, Tensor)), None)
    details = "" if weight is None else f" with {weight.dtype} weights"
    if weight is not None and not type(weight).__module__.startswith("torch."):
        details += f" ({type(weight).__name__})"
    raise TypeError(
        f"layer {name!r} is a {type(layer).__name__}{details}; circpeft adapts nn.Linear, nn.Conv2d and transformers' "
        f"Conv1D with floating-point weights, and nn.Linear quantised by bitsandbytes or torchao: name such layers in "
        f"target_modules, or leave this one out with exclude_modules"
    )


def is_quantized(layer: Layer) -> bool:
    """Tell whether a layer is a linear layer of bitsandbytes or torchao. `float_layer` makes it a plain one."""
    return _kind(layer) in ("8bit", "4bit", "torchao")


@torch.no_grad()
def float_weight(layer: Layer) -> Tensor:
    """Return the weight as a plain floating-point tensor in the layer's own shape. A plain layer's data is not copied.

    Raises: TypeError for an unsupported layer; ValueError for a quantised weight that cannot be dequantised.
    """
    kind = _kind(layer)
    if not kind:
        raise TypeError(f"a {type(layer).__name__} has no weight that can be read as floating-point numbers")
    weight = layer.weight
    if kind == "8bit" and weight.dtype == torch.int8:
        return from_8bit(layer)
    if kind == "4bit" and four_bit_state(layer) is not None:
        return from_4bit(layer)
    if kind == "torchao":
        return from_torchao(weight)
    numbers: Tensor = weight.detach()
    return numbers


@torch.no_grad()
def stored_weight(layer: Layer, weight: Tensor, name: str) -> nn.Parameter:
    """Return a new parameter with ``weight`` in the layer's storage format and on its device. The layer is unchanged.

    For a quantised layer, the weight is quantised with the same settings, which rounds it.

    Raises: TypeError for an unsupported layer; ValueError, with the layer's name, if its scheme cannot be repeated.
    """
    kind, old = _kind(layer), layer.weight
    if not kind:
        linear_shape(layer, name)
    # In the old order of memory, such as that of channels_last.
    order = torch.channels_last if old.dim() == 4 and not old.is_contiguous() else torch.contiguous_format
    weight = weight.detach().to(old.device).contiguous(memory_format=order)
    if kind == "8bit":
        return to_8bit(old, weight)
    if kind == "4bit":
        return to_4bit(layer, weight)
    if kind == "torchao":
        repeated = to_torchao(old, weight.to(old.dtype))
        if repeated is None:
            raise ValueError(
                f"layer {name!r} is quantised by torchao ({type(old).__name__}), which cannot take a merged weight; "
                f"circpeft.merge(model, dtype=torch.bfloat16) merges into plain float layers instead"
            )
        return nn.Parameter(repeated, requires_grad=old.requires_grad)
    return nn.Parameter(weight.to(old.dtype), requires_grad=old.requires_grad)


@torch.no_grad()
def set_weight(layer: Layer, parameter: Any) -> None:
    """Replace the layer's weight by a parameter from `stored_weight`, or by an earlier weight of the layer.

    The parameter is moved to the device of the present weight. An earlier weight restores the earlier outputs bit for
    bit.
    """
    old, kind = layer.weight, _kind(layer)
    if parameter.device != old.device:
        moved = parameter.to(old.device)  # the types of bitsandbytes move their scales, too
        parameter = moved if isinstance(moved, nn.Parameter) else nn.Parameter(moved, parameter.requires_grad)
    if kind == "8bit" and parameter is not old:
        # Since the first forward pass the layer's state has the scales. They go back to their weight, from which the
        # next forward pass takes them.
        if old.dtype == torch.int8 and old.CB is None:
            old.CB, old.SCB = layer.state.CB, layer.state.SCB
        layer.state.reset_grads()
    if kind == "4bit":
        old.quant_state = four_bit_state(layer)
        layer.quant_state = parameter.quant_state
    layer.weight = parameter


@torch.no_grad()
def float_layer(layer: Layer, dtype: torch.dtype) -> nn.Module:
    """Return a new plain layer in ``dtype`` with the layer's weight and bias: Conv1D for a Conv1D, else nn.Linear.

    Raises: what `float_weight` raises.
    """
    weight = float_weight(layer)
    with torch.device("meta"):  # takes no memory and draws no random numbers
        if isinstance(layer, Conv1D):
            plain: nn.Module = Conv1D(weight.shape[1], weight.shape[0])
        else:
            plain = nn.Linear(weight.shape[1], weight.shape[0], bias=layer.bias is not None)
    plain.weight = nn.Parameter(weight.to(dtype, copy=True), layer.weight.requires_grad)
    if layer.bias is not None:
        plain.bias = nn.Parameter(layer.bias.detach().to(dtype, copy=True), layer.bias.requires_grad)
    return plain.train(layer.training)


def keep_trainable(layer: Layer, name: str) -> None:
    """Prepare a base layer for training through it. Warn if its input gets no gradient."""
    if _kind(layer) == "4bit":
        # On a CPU with AVX512-BF16, an evaluation repacks the codes for inference, and later training fails.
        layer.support_avx512bf16_for_cpu = False
    weight = layer.weight
    if getattr(weight, "act_quant_kwargs", None) is not None or getattr(weight, "activation_quantization", None):
        warn_caller(
            f"layer {name!r} is quantised together with its input ({type(weight).__name__}): torchao passes no "
            f"gradient through it, so earlier layers learn only through the adapters; for training, quantise only the "
            f"weights"
        )
