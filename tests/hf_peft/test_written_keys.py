"""A saved adapter has only keys that loading accepts; what PEFT adds of the base model is named in a warning."""

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import PhiConfig, PhiForCausalLM

from circpeft.hf_peft.configs import SAVES_BIASES


def test_embeddings_of_the_base_model_are_left_out_with_a_warning(tiny, method, tmp_path):
    config = method(target_modules=["query", "value"], task_type="SEQ_CLS", init_weights=False)
    model = get_peft_model(tiny.bert(), config)
    with pytest.warns(UserWarning, match=r"saved without '.*word_embeddings\.weight', a weight of the base model"):
        model.save_pretrained(tmp_path / "adapter", save_embedding_layers=True)
    keys = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert keys and not any("embeddings" in key for key in keys)
    loaded = PeftModel.from_pretrained(tiny.bert(), tmp_path / "adapter")
    kernels = {name: p for name, p in model.named_parameters() if p.requires_grad}
    same = dict(loaded.named_parameters())
    assert kernels and all(torch.equal(value, same[name]) for name, value in kernels.items())


def phi():
    """A model whose layers have biases, also its head."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    return PhiForCausalLM(PhiConfig(vocab_size=12, **sizes))


@pytest.mark.parametrize("targets", [["q_proj"], ["q_proj", "lm_head"]], ids=str)
@pytest.mark.parametrize("bias", ["none", "all", "only"])
def test_a_bias_is_kept_only_if_it_trains(bias, targets, method, tmp_path):
    if bias != "none" and not SAVES_BIASES:
        pytest.skip("this version of PEFT does not save trained biases")
    value = f"{method.prefix}only" if bias == "only" else bias
    model = get_peft_model(phi(), method(target_modules=targets, bias=value))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(".bias") and p.requires_grad:
                p.add_(1)
    with pytest.warns(UserWarning, match=r"saved without '.*', a weight of the base model"):
        model.save_pretrained(tmp_path, save_embedding_layers=True)
    keys = load_file(tmp_path / "adapter_model.safetensors")
    kept = {part for part in ("q_proj", "v_proj", "lm_head") for key in keys if f".{part}." in key and ".bias" in key}
    assert kept == {"none": set(), "all": {"q_proj", "v_proj", "lm_head"}, "only": {*targets}}[bias]
    assert not any(
        key.endswith("lm_head.weight") or "base_layer.weight" in key or "embed_tokens" in key for key in keys
    )
    loaded = PeftModel.from_pretrained(phi(), tmp_path)
    ids = torch.arange(12).view(2, 6)
    assert torch.equal(loaded.eval()(ids).logits, model.eval()(ids).logits)


@pytest.mark.skipif(not SAVES_BIASES, reason="this version of PEFT does not save trained biases")
def test_the_biases_of_another_adapters_layers_neither_train_nor_are_saved(method, tmp_path):
    model = get_peft_model(phi(), method(target_modules=["q_proj"], bias=f"{method.prefix}only"))
    model.add_adapter("second", method(target_modules=["q_proj", "v_proj"]))
    trained = {name for name, p in model.named_parameters() if name.endswith(".bias") and p.requires_grad}
    assert trained == {"base_model.model.model.layers.0.self_attn.q_proj.base_layer.bias"}
    with torch.no_grad():
        for name in trained:
            model.get_parameter(name).add_(1)
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(phi(), tmp_path)
    ids = torch.arange(12).view(2, 6)
    assert torch.equal(loaded.eval()(ids).logits, model.eval()(ids).logits)
    PeftModel.from_pretrained(phi(), tmp_path / "second")
