"""inject and merge: any module, any training loop, and PEFT models; modules_to_save; both methods at once."""

import warnings

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from torch import nn

from circpeft import inject, merge
from circpeft.hf_peft.layer import CirculantLayer


def no_adapters(model, like, by_us=True):
    assert [n for n, _ in model.named_modules()] == [n for n, _ in like.named_modules()]
    assert list(model.state_dict()) == list(like.state_dict())
    assert not (by_us and hasattr(model, "peft_config"))
    return True


def test_inject_works_in_place_and_merge_restores_the_modules(method, tiny):
    x, base = torch.randn(5, 8), tiny.mlp()
    model = inject(base, method(target_modules=["0", "2"]))
    assert model is base and [type(m).__mro__[1] for m in (model[0], model[2])] == [CirculantLayer] * 2
    before = model(x)
    assert (before - tiny.mlp()(x)).norm() > 0.1
    merged = merge(model)
    assert merged is base and no_adapters(merged, tiny.mlp())
    torch.testing.assert_close(merged(x), before)


def test_a_hand_written_training_loop(method, tiny):
    x, y = torch.randn(64, 8), torch.randn(64, 6)
    model = inject(tiny.mlp(), method.config(target_modules=["0", "2"], block_size=2))
    trainable = [p for p in model.parameters() if p.requires_grad]
    frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    optimizer, losses = torch.optim.Adam(trainable, lr=0.05), []
    for _ in range(40):
        loss = (model(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(p, frozen[n]) for n, p in model.named_parameters() if n in frozen)
    assert all(p.grad.count_nonzero() for p in trainable)


@pytest.mark.parametrize("name", ["bert", "roberta"])
@pytest.mark.parametrize("how", ["merge", "merge_and_unload", "inject"])
def test_a_classifier_with_a_saved_head_merges(method, tiny, name, how, error):
    base = getattr(tiny, name)
    config = method(target_modules=["query", "value"], task_type="SEQ_CLS", modules_to_save=["classifier"])
    model = inject(base(), config) if how == "inject" else get_peft_model(base(), config)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if "modules_to_save" in n:
                p.mul_(1.5)
    before = tiny.logits(model)
    merged = model.merge_and_unload() if how == "merge_and_unload" else merge(model)
    assert type(merged) is type(base()) and no_adapters(merged, base(), by_us=how != "merge_and_unload")
    assert error(tiny.logits(merged), before) < 1e-5 and error(before, tiny.logits(base())) > 0.1


def test_two_adapters_by_inject_act_by_name(method, tiny):
    x = torch.randn(5, 8)
    model = inject(tiny.mlp(), method(target_modules=["0"]))
    one = model(x)
    with pytest.raises(ValueError, match="already has an adapter 'default'; choose another adapter_name"):
        inject(model, method(target_modules=["0"]))
    with warnings.catch_warnings(action="error"):
        inject(model, method(target_modules=["0"]), "other")
    assert model[0].active_adapters == ["other"] and not torch.allclose(model(x), one)
    model[0].set_adapter("default")
    assert torch.equal(model(x), one)


def test_one_method_on_top_of_the_other_merges_completely(methods, tiny):
    x = torch.randn(5, 8)
    model = inject(tiny.mlp(), methods[0](target_modules=["0"]))
    inject(model, methods[1](target_modules=["0"]), "other")
    before = model(x)
    torch.testing.assert_close(merge(model)(x), before)
    assert no_adapters(model, tiny.mlp())


def test_merge_without_adapters_raises():
    with pytest.raises(ValueError, match="nothing to merge"):
        merge(nn.Sequential(nn.Linear(4, 4)))


def test_merge_accepts_a_peft_model_of_another_method(tiny):
    x = torch.randn(5, 8)
    model = get_peft_model(tiny.mlp(), LoraConfig(target_modules=["0"], init_lora_weights=False))
    before = model(x)
    merged = merge(model)
    assert not isinstance(merged, PeftModel)
    torch.testing.assert_close(merged(x), before)


def test_merge_in_bfloat16_warns(method, tiny):
    model = inject(tiny.mlp(torch.bfloat16), method(target_modules=["0"], alpha=1e-3))
    with pytest.warns(UserWarning, match="bfloat16 keeps"):
        merge(model)


@pytest.mark.parametrize(
    "other", [LoraConfig(target_modules=["0"], init_lora_weights=False), "ia3"], ids=["lora", "ia3"]
)
@pytest.mark.parametrize("within", [False, True])
def test_an_adapter_on_top_of_one_of_peft_merges_completely(method, tiny, other, within):
    if other == "ia3":
        other = IA3Config(target_modules=["0"], feedforward_modules=[], init_ia3_weights=False)
    x = torch.randn(5, 8)
    model = get_peft_model(tiny.mlp(), other)
    inject(model, method(target_modules=r".*0"), "ours")
    before = model(x)
    assert (before - tiny.mlp()(x)).norm() > 0.1
    merged = merge(model.base_model.model if within else model)
    assert no_adapters(merged, tiny.mlp())
    torch.testing.assert_close(merged(x), before)


def test_an_adapter_merged_in_bfloat16_is_merged_again_in_float32(method, tiny, error):
    base, x = tiny.mlp(torch.bfloat16), torch.randn(5, 8)
    model = get_peft_model(base, method(target_modules=["0"], alpha=1e-2))
    delta = model.base_model.model[0].get_delta_weight("default").detach().clone()
    with pytest.warns(UserWarning, match="bfloat16 keeps"):
        model.merge_adapter()
    merged = merge(model, dtype=torch.float32)
    assert error(merged[0].weight.double() - tiny.mlp(torch.bfloat16)[0].weight.double(), delta) < 1e-4
    assert merged(x).dtype == torch.float32


@pytest.mark.parametrize("how", ["merge", "merge_and_unload", "merge_adapter"])
def test_a_broken_adapter_in_the_last_layer_leaves_the_first_layer_unmerged(method, tiny, how):
    model = get_peft_model(tiny.mlp(), method(target_modules=["0", "2"]))
    inner = model.base_model.model
    with torch.no_grad():
        next(inner[2].adapters["default"].parameters()).view(-1)[0] = float("nan")
    modules, weight = list(model.named_modules()), inner[0].base_layer.weight.clone()
    with pytest.raises(ValueError, match="adapter default seems to be broken"):
        merge(model, True, torch.float64) if how == "merge" else getattr(model, how)(safe_merge=True)
    assert list(model.named_modules()) == modules and not inner[0].merged
    assert torch.equal(inner[0].base_layer.weight, weight)
