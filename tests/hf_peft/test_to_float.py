"""merge(model, dtype=...): the base model is converted first, so that no part of ΔW is lost."""

import warnings

import pytest
import torch
from peft import get_peft_model

from circpeft import inject, merge


@pytest.mark.parametrize("start", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("how", ["inject", "peft"])
def test_float32_keeps_all_of_a_small_delta_that_half_precision_loses(method, tiny, start, how):
    config = method(target_modules=["value"], alpha=1e-4)
    base = tiny.bert(start)
    weight = base.bert.encoder.layer[0].attention.self.value.weight.detach().float()
    model = inject(base, config) if how == "inject" else get_peft_model(base, config)
    layer = next(m for m in model.modules() if hasattr(m, "get_delta_weight"))
    delta = layer.get_delta_weight("default").detach().clone()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        merged = merge(model, dtype=torch.float32)
    assert {p.dtype for p in merged.parameters()} == {torch.float32} and merged.dtype == torch.float32
    kept = merged.bert.encoder.layer[0].attention.self.value.weight.detach() - weight
    assert (kept - delta).norm() < 2e-2 * delta.norm(), "float32 rounds W0 + ΔW at 6e-8 of W0"
    assert merged(tiny.ids).logits.dtype == torch.float32


def test_the_adapters_are_not_rounded_before_the_merge(method, tiny):
    """Merging into bfloat16 on demand rounds the sum once, not the kernels before."""
    model = inject(tiny.mlp(), method(target_modules=["0"]))
    exact = (model[0].base_layer.weight.bfloat16().float() + model[0].get_delta_weight("default")).detach()
    merged = merge(model, dtype=torch.bfloat16)
    assert merged[0].weight.dtype == merged[2].weight.dtype == torch.bfloat16
    assert torch.equal(merged[0].weight, exact.bfloat16())


def test_an_integer_type_raises(method, tiny):
    model = inject(tiny.mlp(), method(target_modules=["0"]))
    modules = list(model.named_modules())
    with pytest.raises(ValueError, match="floating-point type such as torch.float32, got torch.int8"):
        merge(model, dtype=torch.int8)
    assert list(model.named_modules()) == modules
