"""Fused experts under every method: adapted through target_parameters, or reported as left out."""

import pytest

from circpeft import methods
from circpeft.hf_peft import unadapted_experts
from circpeft.methods import trainable_parameters
from tests.hf_peft.moe_models import moe

BOTH = ["experts.gate_up_proj", "experts.down_proj"]
SIZES = {"mlp.experts.down_proj": 2 * 4 * 24 * 32, "mlp.experts.gate_up_proj": 2 * 4 * 32 * 48}


@pytest.mark.parametrize("method", ["lora", "c3a", "cdvft"])
def test_target_parameters_adapt_every_expert(method):
    model = methods.apply(moe("qwen3_moe"), method, target_modules=["q_proj"], target_parameters=BOTH)
    assert unadapted_experts(model) == {}
    few = methods.apply(moe("qwen3_moe"), method, target_modules=["q_proj"], target_parameters=BOTH[:1])
    assert unadapted_experts(few) == {"mlp.experts.down_proj": SIZES["mlp.experts.down_proj"]}
    assert trainable_parameters(few) < trainable_parameters(model)


@pytest.mark.parametrize("method", ["vera", "c3a", "fourierft"])
def test_experts_that_all_linear_leaves_out_are_named(method):
    with pytest.warns(UserWarning, match="target_parameters=.'mlp.experts.down_proj', 'mlp.experts.gate_up_proj'"):
        model = methods.apply(moe("qwen3_moe"), method, target_modules="all-linear")
    assert unadapted_experts(model) == SIZES


def test_full_fine_tuning_leaves_nothing_out():
    assert unadapted_experts(methods.apply(moe("qwen3_moe"), "full")) == {}


def test_errors_of_baselines():
    with pytest.raises(ValueError, match="did you mean 'mlp.experts.gate_up_proj'"):
        methods.apply(moe("qwen3_moe"), "lora", target_parameters=["mlp.experts.gate_up_porj"])
    with pytest.raises(ValueError, match=r"dropout must be 0.0 with target_parameters, got 0.1"):
        methods.apply(moe("qwen3_moe"), "lora", target_parameters=BOTH, dropout=0.1)
    with pytest.raises(ValueError, match="method 'vera' has no hyperparameter 'target_parameters'"):
        methods.apply(moe("qwen3_moe"), "vera", target_parameters=BOTH)
    with pytest.raises(ValueError, match="it is a parameter of experts"):
        methods.apply(moe("qwen3_moe"), "lora", target_modules=["gate_up_proj"])
