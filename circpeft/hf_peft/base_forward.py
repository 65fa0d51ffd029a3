"""Compare the forward pass of a base layer with that of its class in torch: can ``ΔW`` be added to the layer's weight?

``base(x) + x @ ΔW.T`` is the output of a layer with the weight ``W + ΔW`` only if the layer uses its weight as
nn.Linear (for a convolution: nn.Conv2d) does. A layer that quantises or scales its input can have an adapter beside it,
but ``ΔW`` is not a change of its weight.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm
from transformers.pytorch_utils import Conv1D

from .offload import hooks_of_accelerate, onloaded, only_moves

# Methods that compute the output of a layer.
FORWARDS = ("forward", "_conv_forward")
# For each hook of torch: what it does, which of its attributes names the tensor, and how to make that a parameter.
WEIGHT_HOOKS = {
    prune.BasePruningMethod: ("pruning", "_tensor_name", "torch.nn.utils.prune.remove(layer, 'weight')"),
    WeightNorm: ("weight_norm", "name", "torch.nn.utils.remove_weight_norm(layer)"),
    SpectralNorm: ("spectral_norm", "name", "torch.nn.utils.remove_spectral_norm(layer)"),
}
# The largest relative error of the output that rounding explains: fake quantisation to 8 bits makes a larger one.
ROUNDING = {torch.float16: 0.03, torch.bfloat16: 0.03}

# A linear layer of torch or of another library. Its attributes depend on the library, so it has no common type.
Layer = Any


def computed_weight(layer: Layer) -> str | None:
    """Return what computes a layer's weight from other tensors, and how to undo it; None for a plain parameter."""
    if parametrize.is_parametrized(layer, "weight"):
        kinds = ", ".join(type(kind).__name__ for kind in layer.parametrizations["weight"])
        remove = "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')"
        return f"the parametrization {kinds}: make it a parameter with {remove}"
    for hook in layer._forward_pre_hooks.values():
        for cls, (what, attribute, remove) in WEIGHT_HOOKS.items():
            if isinstance(hook, cls) and getattr(hook, attribute, None) == "weight":
                return f"{what}: make it a parameter with {remove}"
    return None if "weight" in layer._parameters else "code of the layer: make it a parameter"


def merge_obstacle(layer: nn.Module) -> str | None:
    """Return why ``ΔW`` cannot be added to a layer's weight; None if it can.

    A layer with a forward or with hooks of its own is called once with random numbers and another weight. It passes if
    its output is that of nn.Linear, Conv1D or nn.Conv2d up to rounding.
    """
    if (computed := computed_weight(layer)) is not None:
        return f"its weight is computed by {computed}"
    library_class = _library_class(layer)
    reasons = []
    own = [name for name in FORWARDS if getattr(type(layer), name, None) is not getattr(library_class, name, None)]
    if own or type(layer).__call__ is not nn.Module.__call__:
        reasons.append(f"{type(layer).__name__} has a forward of its own")
    replaced = _replaced_forward(layer)
    if replaced:
        reasons.append("its forward was replaced")
    if layer._forward_hooks or layer._forward_pre_hooks:
        reasons.append("it has forward hooks")
    if not reasons:
        return None
    reason = " and ".join(reasons)
    if replaced and hooks_of_accelerate(layer):
        return f"{reason} by a hook of accelerate, or before accelerate added its hook"
    try:
        gap, rounding = _gap(layer, library_class, replaced)
    except Exception as error:  # the layer's own code can raise any error; the message quotes it
        return f"{reason}, which cannot be compared with {library_class.__name__} ({type(error).__name__}: {error})"
    if gap <= rounding:
        return None
    return f"{reason}: for the same weight, its output differs from that of {library_class.__name__} by {gap:.1%}"


def _library_class(layer: nn.Module) -> type[nn.Module]:
    """Return the class whose forward is known: nn.Linear, Conv1D, nn.Conv2d, or a linear layer of bitsandbytes."""
    known = (nn.Linear, Conv1D, nn.Conv2d)
    return next(c for c in type(layer).__mro__ if c in known or c.__module__.split(".")[0] == "bitsandbytes")


def _replaced_forward(layer: nn.Module) -> bool:
    forward = layer.__dict__.get("forward")
    if forward is not None and hooks_of_accelerate(layer) and only_moves(layer):
        forward = layer.__dict__.get("_old_forward")  # accelerate keeps the forward that it wraps
    return forward is not None and getattr(forward, "__func__", None) is not type(layer).forward


@torch.no_grad()
def _gap(layer: Layer, library_class: type[nn.Module], in_place: bool) -> tuple[float, float]:
    """Return the relative difference of the layer's output from that of its library class, and what rounding explains.

    Both get the same random input and weight. A replaced forward refers to the layer itself, so the layer is called
    ``in_place``. Otherwise a copy is called, because forward hooks and fake quantisation may change their state.
    """
    with onloaded(layer), torch.random.fork_rng([layer.weight.device] if layer.weight.is_cuda else []):
        torch.manual_seed(0)
        probe = layer if in_place else _copy(layer)
        weight, training = probe.weight, probe.training
        plain = weight.is_floating_point() and type(weight.data) is torch.Tensor
        try:
            probe.eval()
            if plain:
                noise = torch.randn_like(weight) * weight.float().std(correction=0).clamp_min(1e-3).to(weight.dtype)
                probe.weight = nn.Parameter(weight + noise, weight.requires_grad)
            dtype = weight.dtype if plain else torch.float32
            x = torch.randn(_probe_shape(layer), dtype=dtype, device=weight.device)
            try:
                output = probe(x.clone())
            except Exception:  # some linear layers take only rows, without a further dimension; others raise again
                if isinstance(layer, nn.Conv2d):
                    raise
                x = x.flatten(0, 1)
                output = probe(x.clone())
            if isinstance(layer, nn.Conv2d):  # whose forward calls another method of the layer
                expected = nn.Conv2d._conv_forward(probe, x, probe.weight, probe.bias)
            else:
                expected = library_class.forward(probe, x)
            if output.shape != expected.shape:
                raise ValueError(f"the output has shape {tuple(output.shape)} instead of {tuple(expected.shape)}")
            gap = (output - expected).double().norm() / expected.double().norm()
            return float(gap.nan_to_num(torch.inf)), ROUNDING.get(dtype, 1e-3)
        finally:
            probe.weight = weight
            probe.train(training)


def _probe_shape(layer: Layer) -> tuple[int, ...]:
    """Return the shape of an input for a layer; for a convolution, one that moves its window at least once."""
    if isinstance(layer, nn.Conv2d):
        windows = zip(layer.kernel_size, layer.dilation, layer.stride, strict=True)
        padding = max(layer._reversed_padding_repeated_twice)
        return 2, layer.in_channels, *(padding + d * (k - 1) + 1 + s for k, d, s in windows)
    return 2, 3, layer.weight.shape[0] if isinstance(layer, Conv1D) else layer.in_features


def _copy(layer: Layer) -> Layer:
    """Copy a layer in float32 or better, without accelerate's hooks, which would load the old weight."""
    hook = layer.__dict__.get("_hf_hook")
    other = copy.deepcopy(layer, {} if hook is None else {id(hook): hook})
    if hook is not None:
        for name in ("_hf_hook", "_old_forward", "forward"):
            other.__dict__.pop(name, None)
    return other.float() if other.weight.dtype in ROUNDING else other
