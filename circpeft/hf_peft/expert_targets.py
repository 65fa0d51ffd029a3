"""The parameters that ``target_parameters`` names, and the experts that a config leaves out."""

from __future__ import annotations

from copy import copy
from typing import Any, NamedTuple

from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.constants import INCLUDE_LINEAR_LAYERS_SHORTHAND
from torch import nn

from ..fused_experts import DECLARATION, base_name, expert_parameters, is_transposed, target_names
from ..suggest import nearest
from .base_weights import PLAIN_DTYPES
from .caller_warnings import warn_caller
from .targets import is_target, layers_of, named_experts


class ExpertShape(NamedTuple):
    """The sizes of a fused weight: of its experts, and of each expert's matrix as the model multiplies by it."""

    num_experts: int
    d_in: int
    d_out: int
    transposed: bool


def expert_shape(module: nn.Module, parameter: str, name: str) -> ExpertShape:
    """Return the sizes of a fused weight of experts, given its module, its name there and its full name.

    Raises: TypeError for a parameter that is not three-dimensional, or is an integer or quantised weight; ValueError if
    it is not known which of its dimensions is the input.
    """
    weight = module._parameters.get(parameter)
    if weight is None:
        raise TypeError(
            f"target parameter {name!r} is not a plain parameter of its {type(module).__name__}: another method or a "
            f"parametrization has replaced it"
        )
    if weight.dim() != 3:
        hint = (
            "name linear layers in target_modules" if weight.dim() == 2 else "choose parameters with three dimensions"
        )
        raise TypeError(
            f"target parameter {name!r} has {weight.dim()} dimensions, shape {tuple(weight.shape)}; target_parameters "
            f"takes the fused weights of experts, of shape (experts, rows, columns): {hint}"
        )
    package = type(weight).__module__.split(".")[0]
    if weight.dtype not in PLAIN_DTYPES or not (package == "torch" or nn.Parameter in type(weight).__mro__):
        raise TypeError(
            f"target parameter {name!r} has {weight.dtype} values ({type(weight).__name__}); target_parameters takes "
            f"floating-point weights; load the model without quantising its experts, or leave this parameter out"
        )
    transposed = is_transposed(module, parameter)
    if transposed is None:
        raise ValueError(
            f"target parameter {name!r} has shape {tuple(weight.shape)}, and it is not known whether its matrices are "
            f"(d_in, d_out) or (d_out, d_in); set {DECLARATION} = True for the first, False for the second, on its "
            f"module of type {type(module).__name__}"
        )
    experts, rows, columns = weight.shape
    return ExpertShape(experts, *((rows, columns) if transposed else (columns, rows)), transposed)


def _holders(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the modules outside adapters by name, adapted ones as they are in the base model."""
    return [(name, m.get_base_layer() if isinstance(m, BaseTunerLayer) else m) for name, m in layers_of(model)]


def targeted_parameters(config: Any, model: nn.Module) -> dict[str, list[str]]:
    """Return the modules that hold parameters of ``target_parameters``, each with the names of those parameters.

    A target is a parameter's full name or its end. ``exclude_modules`` and ``layers_to_transform`` leave out parameters
    as they leave out modules.

    Raises: ValueError for a target that matches no parameter, with the nearest one that does.
    """
    targets = list(config.target_parameters or ())
    if not targets:
        return {}
    matched: dict[str, list[str]] = {}
    found: set[str] = set()
    for module_name, module in _holders(model):
        for parameter in module._parameters:
            key = f"{module_name}.{parameter}"
            named = {target for target in targets if f".{key}".endswith(f".{target}")}
            if named:
                found |= named
                one = copy(config)
                one.target_modules = named
                if is_target(one, key):
                    matched.setdefault(module_name, []).append(parameter)
    for target in targets:
        if target not in found:
            raise ValueError(f"target parameter {target!r} matches no parameter; {_hint(model, target)}")
    if not matched:
        raise ValueError(
            f"target_parameters={targets!r} match only parameters that exclude_modules or other fields skip"
        )
    return matched


def _hint(model: nn.Module, target: str) -> str:
    if target in model._parameters:
        return "it belongs to the outermost module, which cannot be replaced: put that module into another one"
    if any(f".{name}".endswith(f".{target}") for name, _ in layers_of(model)):
        return "it is the name of a layer: name it in target_modules"
    three = [f"{n}.{p}" for n, m in _holders(model) for p, v in m._parameters.items() if v is not None and v.dim() == 3]
    return nearest(target, target_names(three)) if three else "this model has no parameter with three dimensions"


def experts_left_out(config: Any, model: nn.Module) -> dict[str, int]:
    """Return the experts' weights that a config does not adapt, each with its number of elements."""
    adapted = {base_name(f"{n}.{p}") for n, names in targeted_parameters(config, model).items() for p in names}
    return {name: p.numel() for name, p in expert_parameters(model).items() if name not in adapted}


def _own_parameters(layer: BaseTunerLayer) -> list[nn.Parameter]:
    base = {id(p) for p in layer.get_base_layer().parameters()}
    return [p for p in layer.parameters() if id(p) not in base]


def describe_left_out(model: nn.Module, left_out: dict[str, int]) -> str:
    """Describe experts' weights that are left out: their names, their share, and how to adapt them."""
    two_dimensional = {target_names([name])[0] for name, p in expert_parameters(model).items() if p.dim() != 3}
    ends = target_names(left_out)
    fused = [end for end in ends if end not in two_dimensional]
    flat = [end for end in ends if end in two_dimensional]
    adapters = sum(p.numel() for m in model.modules() if isinstance(m, BaseTunerLayer) for p in _own_parameters(m))
    share = sum(left_out.values()) / (sum(p.numel() for p in model.parameters()) - adapters)
    text = f"the experts' weights ({', '.join([*fused, *flat])}), {share:.1%} of the model, stay frozen"
    if fused:
        text += f"; to adapt them, write target_parameters={fused!r}"
    if flat:
        text += f"; {', '.join(flat)} cannot be adapted, because experts and rows share a dimension"
    return text


def unadapted_experts(model: nn.Module) -> dict[str, int]:
    """Return the experts' weights that neither train nor have an adapter, each with its number of elements.

    The names are the ends that ``target_parameters`` takes; the elements are summed over the layers. Adapters of PEFT's
    other methods count, too.
    """
    adapted = set()
    for name, module in model.named_modules():
        weights = [module.parameter_name] if hasattr(module, "parameter_name") else getattr(module, "shapes", ())
        if isinstance(module, BaseTunerLayer):
            adapted |= {base_name(f"{name}.{weight}") for weight in weights}
    frozen = {n: p for n, p in expert_parameters(model).items() if n not in adapted and not p.requires_grad}
    ends = {name: target_names([name])[0] for name in frozen}
    return {end: sum(p.numel() for n, p in frozen.items() if ends[n] == end) for end in sorted(set(ends.values()))}


def warn_of_experts(targets: Any, model: nn.Module, left_out: dict[str, int]) -> None:
    """Warn if ``target_modules`` sounds as if it adapted experts' weights that are left out."""
    if not left_out or not targets:
        return
    if isinstance(targets, str):
        if targets.lower() == INCLUDE_LINEAR_LAYERS_SHORTHAND:
            text = describe_left_out(model, left_out)
            warn_caller(f"all-linear adapts only linear layers; {text}")
        return
    named = {
        target: tuple(end for end in ends if any(name.endswith(end) for name in left_out))
        for target, ends in named_experts(model, targets).items()
    }
    chosen = {name: size for name, size in left_out.items() if name.endswith(sum(named.values(), ()))}
    if chosen:
        names = ", ".join(repr(target) for target, ends in sorted(named.items()) if ends)
        text = describe_left_out(model, chosen)
        warn_caller(f"target_modules names layers, but the experts' {names} are parameters: {text}")
