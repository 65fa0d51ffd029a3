"""Batches that mix adapters: each sample gets the output of its own adapter."""

import pytest
import torch
from peft import get_peft_model
from transformers import GenerationConfig

from circpeft.hf_peft.mixed_batch import copies_of_a_sample

NAMES = ["default", "__base__", "other", "default", "other"]


def model_with_two(tiny, method, name="bert", **options):
    targets = {"bert": ["query", "value", "dense"], "gpt2": ["c_attn", "c_proj", "c_fc"]}[name]
    model = get_peft_model(getattr(tiny, name)(), method(target_modules=targets, **options))
    model.add_adapter("other", method(target_modules=targets[:2], block_size=4, **options))
    return model.eval()


def alone(model, ids, names):
    """Compute row by row, with the named adapter."""
    rows = []
    for row, name in zip(ids, names, strict=True):
        if name == "__base__":
            with model.disable_adapter():
                rows.append(model(row[None]).logits)
        else:
            model.set_adapter(name)
            rows.append(model(row[None]).logits)
    model.set_adapter("default")
    return torch.cat(rows)


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"modules_to_save": ["classifier"]}], ids=str)
def test_every_sample_gets_its_own_adapter(tiny, method, options, error):
    model = model_with_two(tiny, method, **options)
    for n, p in model.named_parameters():
        if "modules_to_save.other" in n:
            p.mul_(-1.5)
    ids = torch.randint(0, 30, (5, 6))
    truth = alone(model, ids, NAMES)
    assert error(model(ids, adapter_names=NAMES).logits, truth) < 1e-5
    assert error(model(ids).logits, truth) > 0.01, "the adapters must differ, or the test proves nothing"
    assert torch.equal(model(ids).logits, model(ids).logits), "nothing is left behind"


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True, "num_return_sequences": 2}], ids=str)
def test_generation_uses_the_named_adapter_for_every_sample(tiny, method, options):
    model = model_with_two(tiny, method, "gpt2")
    ids = torch.randint(1, 30, (5, 4))
    settings = {"max_new_tokens": 4, "pad_token_id": 0, "attention_mask": torch.ones_like(ids), **options}
    torch.manual_seed(0)
    mixed = model.generate(input_ids=ids, adapter_names=NAMES, **settings)
    assert len(mixed) == 5 * options.get("num_return_sequences", 1)
    if not options.get("do_sample"):
        for i, name in ((0, "default"), (2, "other")):
            model.set_adapter(name)
            one = {**settings, "attention_mask": torch.ones(1, 4, dtype=torch.long)}
            expected = model.generate(input_ids=ids[i : i + 1], **one)
            assert torch.equal(mixed[i, : expected.shape[1]], expected[0])


def test_bad_names_raise_before_anything_is_computed(tiny, method):
    model = model_with_two(tiny, method)
    with pytest.raises(ValueError, match=r"non-existing adapter\(s\): othr; did you mean 'other'"):
        model(tiny.ids, adapter_names=["default", "othr"])
    with pytest.raises(TypeError, match="list with one adapter name per sample, got 'default'"):
        model(tiny.ids, adapter_names="default")
    with pytest.raises(ValueError, match="but got 3 and 2 respectively .*query"):
        model(tiny.ids, adapter_names=["default"] * 3)
    before = tiny.logits(model)
    assert not any(module._forward_pre_hooks for module in model.modules()), "a refusal leaves no hook behind"
    model.merge_adapter()
    with pytest.raises(ValueError, match="`unmerge_adapter` first"):
        model(tiny.ids, adapter_names=["default", "other"])
    model.unmerge_adapter()
    assert torch.equal(tiny.logits(model), before)
    model.train()
    with pytest.raises(ValueError, match=r"training mode. Call model.eval\(\)"):
        model(tiny.ids, adapter_names=["default", "other"])


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        ({}, 1),
        ({"num_beams": 3}, 3),
        ({"num_return_sequences": 4}, 4),
        ({"num_beams": 3, "num_return_sequences": 2}, 3),  # the best two of three beams
        ({"generation_config": GenerationConfig(num_beams=5)}, 5),
        ({"generation_config": GenerationConfig(num_beams=5), "num_beams": 2}, 2),
    ],
    ids=str,
)
def test_rows_of_a_sample_in_generation(arguments, rows):
    assert copies_of_a_sample(arguments) == rows
