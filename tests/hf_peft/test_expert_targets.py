"""Which parameters are experts, which cannot be adapted, and what a warning says about those that are left out."""

import copy
import warnings

import pytest
import torch
from torch import nn

import circpeft

from .moe_models import (
    KINDS,
    adapted,
    config,
    experts_of,
    layers,
    moe,
)


class Projections(nn.Module):
    """Parameters that cannot be adapted, and one whose orientation is not known."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.zeros(8, 8))
        self.four = nn.Parameter(torch.zeros(2, 2, 8, 8))
        self.codes = nn.Parameter(torch.zeros(2, 8, 8, dtype=torch.int8), requires_grad=False)
        self.unknown = nn.Parameter(torch.randn(2, 8, 16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("ti,eio->eto", x, self.unknown)


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["experts.matrix"], TypeError, "has 2 dimensions"),
        (["experts.four"], TypeError, "has 4 dimensions"),
        (["experts.codes"], TypeError, "torch.int8 values"),
        (["experts.unknown"], ValueError, "is_transposed = True"),
        (["experts.unknwon"], ValueError, "did you mean 'experts.unknown'"),
        (["linear"], ValueError, "name it in target_modules"),
        (["linear.weight"], TypeError, "in target_modules"),
    ],
)
def test_parameters_that_cannot_be_adapted(names, error, message):
    model = nn.Sequential()
    model.experts, model.linear = Projections(), nn.Linear(8, 8)
    before = repr(model)
    with pytest.raises(error, match=message):
        circpeft.inject(model, circpeft.C3AConfig(block_size=8, target_modules=["linear"], target_parameters=names))
    assert repr(model) == before


def test_parameters_alone_suffice_for_a_model_without_default_layers():
    model = nn.Sequential(Projections())
    model[0].is_transposed = False
    circpeft.inject(model, circpeft.C3AConfig(block_size=8, target_parameters=["unknown"]))
    assert [n for n, p in model.named_parameters() if p.requires_grad] == ["0.circonv_adapters.default.unknown_kernel"]


def test_a_declared_orientation_and_another_operation():
    model = nn.Sequential(Projections())
    model[0].is_transposed = True
    base = copy.deepcopy(model)
    fields = {"target_modules": [], "target_parameters": ["0.unknown"], "init_weights": False}
    circpeft.inject(model, circpeft.C3AConfig(block_size=8, **fields))
    x = torch.randn(3, 8)
    change = torch.einsum("ti,eio->eto", x, model[0].get_delta_weight("default"))
    torch.testing.assert_close(model(x), base(x) + change)


def test_block_sizes_are_checked_first_and_one_name_is_a_list():
    with pytest.raises(ValueError, match=r"experts\.gate_up_proj.*d_in=32, d_out=96"):
        adapted(moe("mixtral"), "c3a", block_size=64, target_modules=[])
    assert config("c3a", target_parameters="experts.down_proj").target_parameters == ["experts.down_proj"]


def test_all_linear_names_the_experts_that_it_leaves_out():
    with pytest.warns(UserWarning, match=r"mlp.experts.down_proj, mlp.experts.gate_up_proj\), \d+.\d% of the model"):
        adapted(moe("qwen3_moe"), "c3a", target_modules="all-linear", target_parameters=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        adapted(moe("qwen3_moe"), "c3a", target_modules="all-linear")
        adapted(moe("qwen3_moe"), "c3a", target_parameters=None)


def test_experts_named_as_modules():
    with pytest.raises(ValueError, match=r"target_parameters=\['mlp.experts.gate_up_proj'\]"):
        adapted(moe("mixtral"), "c3a", target_modules=["gate_up_proj"], target_parameters=None)
    with pytest.warns(UserWarning, match=r"target_parameters=\['mlp.experts.gate_up_proj'\] adapts"):
        adapted(moe("mixtral"), "c3a", target_modules=["q_proj", "gate_up_proj"], target_parameters=None)


def test_default_targets_with_parameters():
    model = adapted(moe("mixtral"), "c3a", target_modules=None)
    assert {n.split(".")[-4] for n, p in model.named_parameters() if p.requires_grad} == {"q_proj", "v_proj", "experts"}
    assert KINDS.keys() == {"mixtral", "qwen3_moe", "gpt_oss", "llama4"}


def test_inject_and_layers_to_transform():
    model = circpeft.inject(moe("mixtral"), config("c3a", target_modules=[], layers_to_transform=[1]))
    assert list(layers(model)) == ["model.layers.1.mlp.experts"]
    model = circpeft.inject(moe("mixtral"), config("c3a", target_modules=[], block_size_pattern={"down_proj": 4}))
    adapters = experts_of(model).adapters["default"]
    assert (adapters.block_size("gate_up_proj"), adapters.block_size("down_proj")) == (8, 4)
