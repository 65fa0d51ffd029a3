"""Fused experts: the weights of all experts of a mixture as one parameter, and how a model multiplies by them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# Attribute of transformers' experts, and of any module that wants to declare it: the order of the matrix's dimensions.
DECLARATION = "is_transposed"
# Classes without the declaration whose shapes do not tell, and whether they multiply by (d_in, d_out).
ORIENTATION = {
    "JetMoeParallelExperts": False,
    "GraniteMoeParallelExperts": False,
    "GraniteMoeHybridParallelExperts": False,
    "GraniteMoeSharedParallelExperts": False,
    "InklingSharedExperts": False,
    "AriaGroupedExpertsGemm": True,
}


def base_name(name: str) -> str:
    """Return a parameter's name in the model without adapters: PEFT inserts ``base_layer`` for each wrapper.

    >>> base_name("mlp.experts.base_layer.base_layer.down_proj")
    'mlp.experts.down_proj'
    """
    return ".".join(part for part in name.split(".") if part != "base_layer")


def expert_parameters(model: Any) -> dict[str, Any]:
    """Return the weights of a model's fused experts by their names in the model without adapters.

    They are in modules with "Expert" in the name of their class. They have three dimensions, the first for the expert,
    or two if experts and rows share one. Routers and biases are left out.
    """
    found = {}
    for module_name, module in model.named_modules():
        kind = type(module).__name__.lower()
        if "expert" not in kind or "router" in kind or "adapter" in kind or hasattr(module, "base_layer"):
            continue
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.dim() in (2, 3) and "bias" not in name and "scale" not in name:
                found[base_name(f"{module_name}.{name}" if module_name else name)] = parameter
    return found


def target_names(names: Iterable[str]) -> list[str]:
    """Return the ends of parameter names, after the number of their layer, sorted and without repetition.

    >>> target_names(["model.layers.0.mlp.experts.down_proj", "model.layers.1.mlp.experts.down_proj"])
    ['mlp.experts.down_proj']
    """
    ends = set()
    for name in names:
        parts = name.split(".")
        numbers = [i for i, part in enumerate(parts) if part.isdigit()]
        ends.add(".".join(parts[numbers[-1] + 1 :] if numbers else parts))
    return sorted(ends)


def is_transposed(module: Any, parameter: str) -> bool | None:
    """Tell whether a module multiplies rows by ``(d_in, d_out)`` matrices, not by the transpose of ``(d_out, d_in)``.

    The module's own declaration decides. Without one, the shapes of ``gate_up_proj`` and ``down_proj`` decide: they fit
    only one order. None if neither decides.
    """
    declared = getattr(module, DECLARATION, None)
    if isinstance(declared, bool):
        return declared
    if type(module).__name__ in ORIENTATION:
        return ORIENTATION[type(module).__name__]
    up: Any = getattr(module, "gate_up_proj", None)
    down: Any = getattr(module, "down_proj", None)
    if parameter in ("gate_up_proj", "down_proj") and getattr(up, "ndim", 0) == 3 and getattr(down, "ndim", 0) == 3:
        (_, rows, columns), (_, down_rows, down_columns) = up.shape, down.shape
        if columns == down_rows and rows == 2 * down_columns:
            return False
        if rows == down_columns and columns == 2 * down_rows:
            return True
    return None
