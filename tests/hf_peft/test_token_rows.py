"""Rows of an embedding that train beside an adapter: training, tying, saving, merging, and what is refused."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.utils.other import TrainableTokensWrapper
from safetensors.torch import load_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from circpeft import inject, merge

ROWS = [3, 7]
IDS = torch.tensor([[1, 3, 5, 7, 2], [3, 3, 0, 9, 4]])
SIZES = {"vocab_size": 16, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
EMBEDDING = "base_model.model.model.embed_tokens"
tied_or_not = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])


def llama(tied=False):
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=tied)).eval()


def adapted(method, tied=False, **options):
    return get_peft_model(
        llama(tied), method(**{"target_modules": ["q_proj", "v_proj"], "trainable_token_indices": ROWS, **options})
    )


def trained(method, tied=False, **options):
    """A model whose rows and kernels were changed by a step of training."""
    model = adapted(method, tied, **options)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 1.0)
    model(IDS, labels=IDS).loss.backward()
    optimizer.step()
    return model


def rows_of(model, name="default"):
    return model.base_model.model.get_input_embeddings().token_adapter.trainable_tokens_delta[name]


@torch.no_grad()
def logits(model):
    return model(IDS).logits


@tied_or_not
def test_only_these_rows_train_and_they_train_as_those_of_lora(method, tied):
    model = trained(method, tied)
    names = [name for name, p in model.named_parameters() if p.requires_grad and method.prefix not in name]
    assert names == [f"{EMBEDDING}.token_adapter.trainable_tokens_delta.default"]
    change = rows_of(model) - llama(tied).get_input_embeddings().weight[ROWS]
    assert change.norm() > 1e-3
    # With the same start, the first step is that of LoRA's option of this name.
    zero = trained(lambda **options: method.config(**options), tied)
    lora = get_peft_model(llama(tied), LoraConfig(target_modules=["q_proj"], trainable_token_indices=ROWS))
    lora(IDS, labels=IDS).loss.backward()
    (theirs,) = [p for name, p in lora.named_parameters() if "trainable_tokens_delta" in name]
    torch.testing.assert_close(rows_of(zero), (theirs - theirs.grad).detach())


@tied_or_not
def test_saving_loading_and_merging(method, tied, tmp_path):
    model = trained(method, tied)
    before = logits(model)
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert torch.equal(saved[f"{EMBEDDING}.token_adapter.trainable_tokens_delta"], rows_of(model))
    assert len(saved) == 1 + len([n for n, _ in model.named_parameters() if method.prefix in n])
    loaded = PeftModel.from_pretrained(llama(tied), tmp_path)
    assert loaded.peft_config["default"].trainable_token_indices == ROWS
    assert torch.equal(logits(loaded), before)
    by_transformers = llama(tied)
    by_transformers.load_adapter(str(tmp_path))
    assert torch.equal(logits(by_transformers), before)
    merged = merge(loaded)
    assert not any(isinstance(m, TrainableTokensWrapper) for m in merged.modules())
    torch.testing.assert_close(logits(merged), before, atol=1e-5, rtol=1e-5)
    embedding, head = merged.get_input_embeddings().weight, merged.get_output_embeddings().weight
    assert torch.equal(embedding[ROWS], rows_of(model)) and (embedding is head) == tied
    torch.testing.assert_close(logits(model.merge_and_unload()), before, atol=1e-5, rtol=1e-5)


def test_disabling_gives_the_base_model_and_merge_adapter_can_be_undone(method):
    model = trained(method, True)
    before = logits(model)
    with model.disable_adapter():
        assert torch.equal(logits(model), logits(llama(True)))
    model.merge_adapter()
    torch.testing.assert_close(logits(model), before, atol=1e-5, rtol=1e-5)
    model.unmerge_adapter()
    assert torch.equal(logits(model), before)


def test_a_dict_names_the_layers(method):
    model = adapted(method, trainable_token_indices={"embed_tokens": (1, 2, 2), "lm_head": range(3)})
    assert model.peft_config["default"].trainable_token_indices == {"embed_tokens": [1, 2], "lm_head": [0, 1, 2]}
    shapes = [tuple(t.shape) for key, t in get_peft_model_state_dict(model).items() if "trainable_tokens" in key]
    assert shapes == [(2, 16), (3, 16)]


@tied_or_not
def test_layers_of_one_weight_with_the_same_rows_are_saved_once(method, tied, tmp_path):
    model = trained(method, tied, trainable_token_indices={"embed_tokens": ROWS, "lm_head": ROWS})
    model.save_pretrained(tmp_path)
    assert torch.equal(logits(PeftModel.from_pretrained(llama(tied), tmp_path)), logits(model))


def test_two_adapters_with_rows_of_their_own(method, tmp_path):
    model = trained(method)
    first = logits(model)
    model.add_adapter("other", method(target_modules=["q_proj"], trainable_token_indices=[7, 9]))
    assert torch.equal(logits(model), first), "a further adapter acts only once it is active"
    assert not rows_of(model, "other").requires_grad
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(llama(), tmp_path)
    loaded.load_adapter(tmp_path / "other", "other")
    assert torch.equal(logits(loaded), first)
    model.set_adapter("other")
    loaded.set_adapter("other")
    assert torch.equal(logits(loaded), logits(model))
    with pytest.raises(ValueError, match="nothing is merged: default and other have both trained row 7 of"):
        model.merge_and_unload(adapter_names=["default", "other"])


@pytest.mark.parametrize("rows", [None, {"lm_head": [3]}])
def test_adapters_that_peft_could_not_save_together_are_refused(method, rows):
    model = adapted(method)
    with pytest.raises(ValueError, match="'other' trains rows of .*, and default of 'model.embed_tokens'"):
        model.add_adapter("other", method(target_modules=["q_proj"], trainable_token_indices=rows))
    without = get_peft_model(llama(), method(target_modules=["q_proj"]))
    with pytest.raises(ValueError, match="'other' trains rows of 'model.embed_tokens', and default of no layer"):
        without.add_adapter("other", method(target_modules=["q_proj"], trainable_token_indices=ROWS))


def test_loading_with_other_rows_is_refused(method, tmp_path):
    model = trained(method)
    model.save_pretrained(tmp_path)
    other = adapted(method, trainable_token_indices=[3, 8])
    with pytest.raises(ValueError, match=r"trainable_token_indices is \[3, 8\] on the model and \[3, 7\] there"):
        other.load_adapter(tmp_path, "default")
    config = (tmp_path / "adapter_config.json").read_text()
    (tmp_path / "adapter_config.json").write_text(config.replace("7\n", "7, 9\n"))
    with pytest.raises(ValueError, match=r"has shape \(2, 16\), this model needs \(3, 16\)"):
        PeftModel.from_pretrained(llama(), tmp_path)
    (tmp_path / "adapter_config.json").write_text(config.replace("7\n", "99\n"))
    with pytest.raises(ValueError, match=r"'model.embed_tokens' has no row 99; its rows are 0 to 15"):
        PeftModel.from_pretrained(llama(), tmp_path)


def test_loading_rows_in_another_order_is_refused(method, tmp_path):
    trained(method).save_pretrained(tmp_path)
    other = adapted(method, trainable_token_indices=ROWS[::-1])
    with pytest.raises(ValueError, match=r"trainable_token_indices is \[7, 3\] on the model and \[3, 7\] there"):
        other.load_adapter(tmp_path, "default")


def test_a_weighted_sum_keeps_the_rows_of_the_only_adapter_with_rows(method):
    model = trained(method)
    model.base_model.add_weighted_adapter(["default"], [1.0], "sum")
    assert torch.equal(rows_of(model, "sum"), rows_of(model)) and not rows_of(model, "sum").requires_grad
    before = logits(model)
    model.set_adapter("sum")
    torch.testing.assert_close(logits(model), before, atol=1e-5, rtol=1e-5)
    model.add_adapter("other", method(target_modules=["q_proj"], trainable_token_indices=[1]))
    with pytest.raises(ValueError, match="default, other each train single rows"):
        model.base_model.add_weighted_adapter(["default", "other"], [1.0, 1.0], "both")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"trainable_token_indices": [3, 16]}, "'model.embed_tokens' has no row 16; its rows are 0 to 15"),
        ({"trainable_token_indices": {"embed_token": [3]}}, "'embed_token' matches no layer; did you mean 'embed_tok"),
        ({"trainable_token_indices": {"up_proj": [3]}, "target_modules": ["up_proj"]}, "cannot have an adapter, too"),
        ({"trainable_token_indices": {"layernorm": [3]}}, "is a LlamaRMSNorm; expected an embedding"),
        ({"modules_to_save": ["embed_tokens"]}, "by rows, not both"),
        ({"modules_to_save": ["lm_head"]}, "'lm_head' is in modules_to_save='lm_head', and trainable_token_indices"),
        ({"modules_to_save": ["lm_head", "head"]}, "'lm_head' is in modules_to_save='lm_head', 'head', and trainable"),
        ({"target_modules": ["lm_head"]}, "'lm_head' has trainable_token_indices, or is tied to a layer that has"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_model_is_changed(method, options, text):
    model = llama(True)
    keys = [*model.state_dict()]
    with pytest.raises((ValueError, TypeError), match=text):
        inject(model, method(**{"target_modules": ["q_proj"], "trainable_token_indices": ROWS, **options}))
    assert [*model.state_dict()] == keys


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "is empty, so it names no row"),
        ({}, "must be a list of rows of an embedding, got {}"),
        ([-1], "must be an integer of at least 0, got -1"),
        ("3", "trainable_token_indices must be an integer of at least 0, got '3'"),
        ({"embed_tokens": [2.5]}, r"trainable_token_indices\['embed_tokens'\] must be an integer"),
        ({3: [1]}, "must hold names"),
    ],
)
def test_values_that_are_not_rows_are_refused(method, value, text):
    with pytest.raises(ValueError, match=text):
        method(trainable_token_indices=value)


def test_a_model_without_transformers(method):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed_tokens, self.head = nn.Embedding(8, 4), nn.Linear(4, 4)

        def forward(self, ids):
            return self.head(self.embed_tokens(ids))

    ids = torch.arange(8)
    model = inject(Model(), method(target_modules=["head"], trainable_token_indices=[2]))
    model(ids).square().sum().backward()
    delta = model.embed_tokens.token_adapter.trainable_tokens_delta["default"]
    assert delta.grad.any() and delta.shape == (1, 4)
    with torch.no_grad():
        delta += 1
    before = model(ids)
    torch.testing.assert_close(merge(model)(ids), before)
    assert type(model.embed_tokens) is nn.Embedding
