"""add_weighted_adapter: a new adapter with the summed ΔW, saved and loaded like any other."""

import copy

import numpy as np
import pytest
import torch
from peft import PeftModel, get_peft_model

from circpeft import C3AConfig


def deltas(model, name):
    layers = {n: m for n, m in model.named_modules() if hasattr(m, "adapters") and name in m.adapters}
    return {n: layer.get_delta_weight(name).detach() for n, layer in layers.items()}


def two_c3a(tiny):
    model = get_peft_model(
        tiny.bert(), C3AConfig(target_modules=["query", "value"], init_weights=False, alpha=20.0, block_size=8)
    )
    options = {"block_size": 8, "block_size_pattern": {"layer.1.attention.self.key": 4}, "layout": "column"}
    model.add_adapter("other", C3AConfig(target_modules=["key", "value"], init_weights="gaussian", **options))
    return model


def test_sum_of_c3a_over_different_targets_alphas_and_layouts(tiny, tmp_path, error):
    model = two_c3a(tiny)
    model.add_weighted_adapter(["default", "other"], [0.5, -2.0], "sum")
    first, second, found = (deltas(model, name) for name in ("default", "other", "sum"))
    assert found.keys() == first.keys() | second.keys() and len(found) == 6
    for name, delta in found.items():
        zero = torch.zeros_like(delta)
        assert error(delta, 0.5 * first.get(name, zero) - 2.0 * second.get(name, zero)) < 1e-6
    assert model.active_adapters == ["default"]
    assert not any(p.requires_grad for n, p in model.named_parameters() if ".sum." in n)
    model.set_adapter("sum")
    before = tiny.logits(model)
    model.save_pretrained(tmp_path)
    assert torch.equal(tiny.logits(PeftModel.from_pretrained(tiny.bert(), tmp_path / "sum")), before)


def test_one_adapter_is_scaled_and_keeps_its_head(method, tiny, error):
    config = method(target_modules=["value"], task_type="SEQ_CLS")
    model = get_peft_model(tiny.bert(), config)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if "modules_to_save.default" in n:
                p.mul_(1.5)
    model.add_weighted_adapter(["default"], [0.5], "weaker")
    whole, half = deltas(model, "default"), deltas(model, "weaker")
    assert half.keys() == whole.keys() and all(error(half[n], 0.5 * whole[n]) < 1e-6 for n in half)
    model.set_adapter("weaker")
    head = model.base_model.model.classifier
    assert torch.equal(head.modules_to_save["weaker"].weight, head.modules_to_save["default"].weight)


def test_a_number_of_numpy_is_a_weight(method, tiny, error):
    model = get_peft_model(tiny.mlp(), method(target_modules=["0"]))
    model.add_weighted_adapter(["default"], [np.float32(0.5)], "weaker")
    (whole,), (weaker,) = (deltas(model, name).values() for name in ("default", "weaker"))
    assert error(weaker, 0.5 * whole) < 1e-6


def test_cdvft_adapters_that_differ_in_one_factor_are_summed_and_others_raise(methods, tiny, error):
    config = methods[1](target_modules=["0"])
    model = get_peft_model(tiny.mlp(), config)
    model.add_adapter("other", copy.deepcopy(config))
    modules = list(model.named_modules())
    with pytest.raises(ValueError, match="layer '0'.*not a product of 3 factors"):
        model.add_weighted_adapter(["default", "other"], [1.0, 1.0], "sum")
    assert list(model.named_modules()) == modules and list(model.peft_config) == ["default", "other"]
    first, other = (model.base_model.model[0].adapters[name] for name in ("default", "other"))
    with torch.no_grad():
        other.diagonal_0.copy_(first.diagonal_0)
        other.diagonal_1.copy_(first.diagonal_1)
    model.add_weighted_adapter(["default", "other"], [1.0, -3.0], "sum")
    found = model.base_model.model[0].get_delta_weight("sum")
    assert error(found, first.delta_weight() - 3 * other.delta_weight()) < 1e-5


BAD = [
    ((["default", "othr"], [1, 1], "sum"), "unknown adapter 'othr'.*'other'"),
    ((["default", "other"], [1], "sum"), "2 adapters and 1 weights"),
    (([], [], "sum"), "0 adapters"),
    ((["default", "other"], [1, float("nan")], "sum"), "finite numbers, got nan"),
    ((["default", "other"], [1, 1], "other"), "already has an adapter 'other'"),
    ((["default", "other"], [1, 1], "sum", "svd"), "combination_type='svd'"),
    ((["default", "coarse"], [1, 1], "sum"), "layer '0'.*one block_size, they have (4, 2|2, 4)"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[message for _, message in BAD])
def test_a_sum_that_raises_leaves_the_model_unchanged(methods, tiny, arguments, message):
    c3a = methods[0]
    model = get_peft_model(tiny.mlp(), c3a(target_modules=["0"], block_size=4))
    model.add_adapter("other", c3a(target_modules=["0"], block_size=4))
    model.add_adapter("coarse", c3a(target_modules=["0"], block_size=2))
    modules, configs = list(model.named_modules()), list(model.peft_config)
    with pytest.raises(ValueError, match=message):
        model.add_weighted_adapter(*arguments)
    assert list(model.named_modules()) == modules and list(model.peft_config) == configs


def test_two_trained_heads_are_not_summed(method, tiny):
    model = get_peft_model(tiny.bert(), method(target_modules=["value"], modules_to_save=["classifier"]))
    model.add_adapter("other", method(target_modules=["value"], modules_to_save=["classifier"]))
    with pytest.raises(ValueError, match="default, other each train whole modules"):
        model.add_weighted_adapter(["default", "other"], [1.0, 1.0], "sum")
