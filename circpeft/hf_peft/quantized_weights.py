"""Quantised weights of bitsandbytes and torchao: read as floats, and floats quantised with the same settings.

Neither package is imported without a layer that it has quantised.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from .base_forward import Layer

# Tensor type of torchao -> the settings that the tensor keeps. Other types keep too few to quantise again.
TORCHAO_SCHEMES = {
    "Int8Tensor": ("act_quant_kwargs", "act_quant_scale", "act_quant_zero_point", "reduce_range"),
    "Float8Tensor": ("mm_config", "kernel_preference", "act_quant_kwargs"),
}


def from_8bit(layer: Layer) -> Tensor:
    """Return the weight of an 8-bit layer of bitsandbytes as floats.

    Raises: ValueError for a weight without scales.
    """
    from bitsandbytes.functional import int8_vectorwise_dequant

    weight = layer.weight
    # The first forward pass moves the scales from the weight to the layer's state.
    scales = weight.SCB if weight.SCB is not None else layer.state.SCB
    if scales is None:
        raise ValueError("an 8-bit layer of bitsandbytes has lost the scales of its weight; load the model again")
    numbers: Tensor = int8_vectorwise_dequant(weight.detach(), scales.to(weight.device))
    return numbers


def to_8bit(old: Any, weight: Tensor) -> nn.Parameter:
    """Return a parameter of bitsandbytes with ``weight``, quantised if the old parameter is."""
    from bitsandbytes.functional import int8_vectorwise_quant
    from bitsandbytes.nn import Int8Params

    options = {"requires_grad": old.requires_grad, "has_fp16_weights": old.has_fp16_weights}
    if old.dtype != torch.int8:  # not quantised yet, or only in the forward pass
        unchanged: nn.Parameter = Int8Params(weight.to(old.dtype), **options)
        return unchanged
    codes, scales, _ = int8_vectorwise_quant(weight.to(torch.float16))
    quantised: nn.Parameter = Int8Params(codes, CB=codes, SCB=scales, **options)
    return quantised


def four_bit_state(layer: Layer) -> Any:
    """Return the quantisation state of a 4-bit layer; None if the layer is not quantised yet."""
    # Sharded training loses the state of the weight. The layer keeps a second reference.
    return getattr(layer.weight, "quant_state", None) or layer.quant_state


def _four_bit_codes(layer: Layer) -> tuple[Tensor, Any]:
    """Return the codes and the quantisation state of a 4-bit layer, in the usual order of bitsandbytes."""
    codes, state = layer.weight.detach(), four_bit_state(layer)
    if getattr(state, "packing_format_for_cpu", False):
        # An evaluation on a CPU with AVX512-BF16 reorders the codes in place. Dequantised in that order they are
        # noise, without an error. The inverse changes the state, hence the copy.
        from bitsandbytes.functional import _convert_weight_packed_for_cpu_inverse

        codes, state = _convert_weight_packed_for_cpu_inverse(codes, copy.deepcopy(state))
        if state.absmax.dim() == 2:  # without double quantisation the scales stay transposed (0.50.2)
            state.absmax = state.absmax.T.flatten().float()
    return codes, state


def from_4bit(layer: Layer) -> Tensor:
    """Return the weight of a 4-bit layer of bitsandbytes as floats."""
    from bitsandbytes.functional import dequantize_4bit

    numbers: Tensor = dequantize_4bit(*_four_bit_codes(layer))
    return numbers


def to_4bit(layer: Layer, weight: Tensor) -> nn.Parameter:
    """Return a parameter of bitsandbytes with ``weight``, quantised with the settings of a 4-bit layer."""
    from bitsandbytes.functional import quantize_4bit
    from bitsandbytes.nn import Params4bit

    old = layer.weight
    if four_bit_state(layer) is None:  # not quantised yet
        kept = ("blocksize", "compress_statistics", "quant_type", "quant_storage", "module")
        options = {key: getattr(old, key) for key in kept}
        unchanged: nn.Parameter = Params4bit(weight.to(old.dtype), requires_grad=old.requires_grad, **options)
        return unchanged
    # The state has the settings of the codes. The parameter loses its settings when a sharded one is gathered.
    codes, state = _four_bit_codes(layer)
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


def from_torchao(weight: Any) -> Tensor:
    """Return a weight of torchao as floats.

    Raises: ValueError for a type that cannot be dequantised, or that also scales the input.
    """
    if type(weight).dequantize is Tensor.dequantize:
        raise ValueError(f"a layer quantised by torchao to {type(weight).__name__} cannot be dequantised")
    if getattr(weight, "act_pre_scale", None) is not None:
        raise ValueError(
            f"a layer quantised by torchao to {type(weight).__name__} scales its input before its weight, "
            f"so the weight without that scale is not the layer's"
        )
    numbers: Tensor = weight.dequantize().detach()
    return numbers


def to_torchao(old: Any, weight: Tensor) -> Tensor | None:
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
