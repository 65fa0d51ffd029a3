"""The weight of a base layer: read it as floats, and replace it.

The layer is a plain linear one, a plain convolution, or a linear one quantised by bitsandbytes or torchao. Neither
package is imported without such a layer.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ..adapters.convolution import convolution_shape
from .base_forward import Layer, computed_weight

# Other dtypes (float8, integers) have scales elsewhere. To add to them without the scales would silently be wrong.
PLAIN_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Tensor type of torchao -> the settings that the tensor keeps. Other types keep too few to quantise again.
TORCHAO_SCHEMES = {
    "Int8Tensor": ("act_quant_kwargs", "act_quant_scale", "act_quant_zero_point", "reduce_range"),
    "Float8Tensor": ("mm_config", "kernel_preference", "act_quant_kwargs"),
}


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


def _four_bit_state(layer: Layer) -> Any:
    # Sharded training loses the state of the weight. The layer keeps a second reference.
    return getattr(layer.weight, "quant_state", None) or layer.quant_state


def _four_bit(layer: Layer) -> tuple[Tensor, Any]:
    """Return the codes and the quantisation state of a 4-bit layer, in the usual order of bitsandbytes."""
    codes, state = layer.weight.detach(), _four_bit_state(layer)
    if getattr(state, "packing_format_for_cpu", False):
        # An evaluation on a CPU with AVX512-BF16 reorders the codes in place. Dequantised in that order they are
        # noise, without an error. The inverse changes the state, hence the copy.
        from bitsandbytes.functional import _convert_weight_packed_for_cpu_inverse

        codes, state = _convert_weight_packed_for_cpu_inverse(codes, copy.deepcopy(state))
        if state.absmax.dim() == 2:  # without double quantisation the scales stay transposed (0.50.2)
            state.absmax = state.absmax.T.flatten().float()
    return codes, state


@torch.no_grad()
def float_weight(layer: Layer) -> Tensor:
    """Return the weight as a plain floating-point tensor in the layer's own shape. A plain layer's data is not copied.

    Raises: TypeError for an unsupported layer; ValueError for a quantised weight that cannot be dequantised.
    """
    kind = _kind(layer)
    if not kind:
        raise TypeError(f"a {type(layer).__name__} has no weight that can be read as floating-point numbers")
    weight = layer.weight
    numbers: Tensor
    if kind == "8bit" and weight.dtype == torch.int8:
        from bitsandbytes.functional import int8_vectorwise_dequant

        # The first forward pass moves the scales from the weight to the layer's state.
        scales = weight.SCB if weight.SCB is not None else layer.state.SCB
        if scales is None:
            raise ValueError("an 8-bit layer of bitsandbytes has lost the scales of its weight; load the model again")
        numbers = int8_vectorwise_dequant(weight.detach(), scales.to(weight.device))
        return numbers
    if kind == "4bit" and _four_bit_state(layer) is not None:
        from bitsandbytes.functional import dequantize_4bit

        numbers = dequantize_4bit(*_four_bit(layer))
        return numbers
    if kind == "torchao":
        if type(weight).dequantize is Tensor.dequantize:
            raise ValueError(f"a layer quantised by torchao to {type(weight).__name__} cannot be dequantised")
        if getattr(weight, "act_pre_scale", None) is not None:
            raise ValueError(
                f"a layer quantised by torchao to {type(weight).__name__} scales its input before its weight, "
                f"so the weight without that scale is not the layer's"
            )
        weight = weight.dequantize()
    numbers = weight.detach()
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
        from bitsandbytes.functional import int8_vectorwise_quant
        from bitsandbytes.nn import Int8Params

        options = {"requires_grad": old.requires_grad, "has_fp16_weights": old.has_fp16_weights}
        if old.dtype != torch.int8:  # not quantised yet, or only in the forward pass
            unchanged: nn.Parameter = Int8Params(weight.to(old.dtype), **options)
            return unchanged
        codes, scales, _ = int8_vectorwise_quant(weight.to(torch.float16))
        quantised: nn.Parameter = Int8Params(codes, CB=codes, SCB=scales, **options)
        return quantised
    if kind == "4bit":
        return _in_4_bit_format(layer, weight)
    if kind == "torchao":
        repeated = _in_torchao_format(old, weight.to(old.dtype))
        if repeated is None:
            raise ValueError(
                f"layer {name!r} is quantised by torchao ({type(old).__name__}), which cannot take a merged weight; "
                f"circpeft.merge(model, dtype=torch.bfloat16) merges into plain float layers instead"
            )
        return nn.Parameter(repeated, requires_grad=old.requires_grad)
    return nn.Parameter(weight.to(old.dtype), requires_grad=old.requires_grad)


def _in_4_bit_format(layer: Layer, weight: Tensor) -> nn.Parameter:
    from bitsandbytes.functional import quantize_4bit
    from bitsandbytes.nn import Params4bit

    old = layer.weight
    if _four_bit_state(layer) is None:  # not quantised yet
        kept = ("blocksize", "compress_statistics", "quant_type", "quant_storage", "module")
        options = {key: getattr(old, key) for key in kept}
        unchanged: nn.Parameter = Params4bit(weight.to(old.dtype), requires_grad=old.requires_grad, **options)
        return unchanged
    # The state has the settings of the codes. The parameter loses its settings when a sharded one is gathered.
    codes, state = _four_bit(layer)
    settings = {"blocksize": state.blocksize, "quant_type": state.quant_type, "quant_storage": codes.dtype}
    new, new_state = quantize_4bit(weight, compress_statistics=state.nested, **settings)
    new_state.dtype = state.dtype  # the dtype of the dequantised weight; the sum is in float32
    quantised: nn.Parameter = Params4bit(
        new,
        requires_grad=old.requires_grad,
        quant_state=new_state,
        compress_statistics=state.nested,
        bnb_quantized=True,
        **settings,
    )
    return quantised


def _in_torchao_format(old: Any, weight: Tensor) -> Tensor | None:
    """Quantise ``weight`` by the scheme of ``old``. Return None if the tensor does not keep its whole scheme."""
    scheme, scale = TORCHAO_SCHEMES.get(type(old).__name__), getattr(old, "act_pre_scale", None)
    zero_point = getattr(old, "zero_point", None)
    if scheme is None or scale is not None or (zero_point is not None and zero_point.any()):
        return None
    from torchao.quantization import PerGroup, PerRow, PerTensor

    (rows, columns), (d_out, d_in) = old.block_size, old.shape
    if rows == 1:
        granularity = PerRow() if columns == d_in else PerGroup(columns)
    elif (rows, columns) == (d_out, d_in):
        granularity = PerTensor()
    else:
        return None
    options = {key: getattr(old, key) for key in scheme if hasattr(old, key)}
    if type(old).__name__ == "Float8Tensor":
        options["float8_dtype"] = old.qdata.dtype
    quantised: Tensor = type(old).from_hp(weight, granularity=granularity, **options)
    return quantised


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
        old.quant_state = _four_bit_state(layer)
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
        warnings.warn(
            f"layer {name!r} is quantised together with its input ({type(weight).__name__}): torchao passes no "
            f"gradient through it, so earlier layers learn only through the adapters; for training, quantise only the "
            f"weights",
            stacklevel=2,
        )
