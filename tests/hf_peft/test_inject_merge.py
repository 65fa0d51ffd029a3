"""inject and merge: any module, any training loop, and PEFT models; modules_to_save; both methods at once."""

import warnings

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from circpeft import inject, merge
from circpeft.hf_peft.layer import CirculantLayer


def no_adapters(model, like, by_us=True):
    assert [n for n, _ in model.named_modules()] == [n for n, _ in like.named_modules()]
    assert list(model.state_dict()) == list(like.state_dict())
    assert not (by_us and hasattr(model, "peft_config"))
    return True


def test_inject_works_in_place_and_merge_takes_it_back(method, tiny):
    x, base = torch.randn(5, 8), tiny.mlp()
    model = inject(base, method(target_modules=["0", "2"]))
    assert model is base and [type(m).__mro__[1] for m in (model[0], model[2])] == [CirculantLayer] * 2
    before = model(x)
    assert (before - tiny.mlp()(x)).norm() > 0.1
    merged = merge(model)
    assert merged is base and no_adapters(merged, tiny.mlp())
    torch.testing.assert_close(merged(x), before)


def test_a_training_loop_of_ones_own(method, tiny):
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
    with pytest.raises(ValueError, match="adapter 'default' already"):
        inject(model, method(target_modules=["0"]))
    with warnings.catch_warnings(action="error"):
        inject(model, method(target_modules=["0"]), "other")
    assert model[0].active_adapters == ["other"] and not torch.allclose(model(x), one)
    model[0].set_adapter("default")
    assert torch.equal(model(x), one)


def test_one_method_on_top_of_the_other_merges_whole(methods, tiny):
    x = torch.randn(5, 8)
    model = inject(tiny.mlp(), methods[0](target_modules=["0"]))
    inject(model, methods[1](target_modules=["0"]), "other")
    before = model(x)
    torch.testing.assert_close(merge(model)(x), before)
    assert no_adapters(model, tiny.mlp())


def test_merge_without_adapters_is_refused():
    with pytest.raises(ValueError, match="nothing to merge"):
        merge(nn.Sequential(nn.Linear(4, 4)))


def test_merge_takes_a_peft_model_of_another_method(tiny):
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
