"""Fused experts in every architecture of the installed transformers: they are found, and their orientation is known."""

import ast
from pathlib import Path

import pytest
import torch
import transformers
from torch import nn

from circpeft.fused_experts import ORIENTATION, expert_parameters, is_transposed

ROOT = Path(transformers.__file__).parent / "models"
# Experts whose parameters have two dimensions, and so cannot be adapted.
FLAT = {"DbrxExpertGLU"}


def expert_classes() -> list[tuple[str, ast.ClassDef]]:
    """Return the classes of transformers with "Expert" in their name that have parameters of their own."""
    found = []
    for file in sorted(ROOT.glob("*/modeling_*.py")):
        source = file.read_text(encoding="utf-8")
        if "xpert" in source and "nn.Parameter(" in source:
            classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
            found += [(file.parent.name, c) for c in classes if "expert" in c.name.lower()]
    return [(folder, c) for folder, c in found if "nn.Parameter(" in ast.unparse(c)]


def test_the_orientation_of_every_class_is_known():
    classes = expert_classes()
    assert len(classes) > 5
    unknown = []
    for folder, c in classes:
        declared = any("use_experts_implementation" in ast.unparse(decorator) for decorator in c.decorator_list)
        body = ast.unparse(c)
        pair = "self.gate_up_proj = nn.Parameter" in body and "self.down_proj = nn.Parameter" in body
        if not (declared or pair or c.name in ORIENTATION or c.name in FLAT):
            unknown.append(f"{folder}.{c.name}")
    assert not unknown


class NamedExperts(nn.Module):
    """Experts of given shapes."""

    def __init__(self, up: tuple[int, ...], down: tuple[int, ...]) -> None:
        super().__init__()
        self.gate_up_proj, self.down_proj = nn.Parameter(torch.empty(up)), nn.Parameter(torch.empty(down))
        self.gate_up_proj_bias = nn.Parameter(torch.empty(up[0], up[1]))


@pytest.mark.parametrize("hidden", [8, 16, 24])
@pytest.mark.parametrize("inner", [4, 8, 16])
def test_shapes_tell_the_orientation(hidden, inner):
    rows = NamedExperts((3, 2 * inner, hidden), (3, hidden, inner))
    columns = NamedExperts((3, hidden, 2 * inner), (3, inner, hidden))
    for weight in ("gate_up_proj", "down_proj"):
        assert is_transposed(rows, weight) is False
        assert is_transposed(columns, weight) is True
    rows.is_transposed = True  # a declaration comes first
    assert is_transposed(rows, "down_proj") is True
    assert is_transposed(nn.Linear(2, 2), "weight") is None


def test_biases_routers_and_other_modules_are_not_experts():
    class TopKRouterOfExperts(nn.Linear):
        pass

    model = nn.ModuleDict(
        {"a": NamedExperts((2, 8, 4), (2, 4, 4)), "b": nn.Linear(2, 2), "c": TopKRouterOfExperts(2, 2)}
    )
    assert list(expert_parameters(model)) == ["a.gate_up_proj", "a.down_proj"]
