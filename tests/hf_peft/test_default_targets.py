"""A config without target_modules adapts query and value of today's models, and such adapters train and merge."""

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForImageTextToText,
    AutoModelForSequenceClassification,
)

import circpeft
from circpeft.hf_peft.default_targets import DEFAULT_TARGETS
from circpeft.hf_peft.layer import CirculantLayer
from tests.versions import needs

SIZES = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
DECODER = SIZES | TOKENS | {"num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64}
MOE = DECODER | {"moe_intermediate_size": 24, "num_experts_per_tok": 2}
ENCODER = SIZES | TOKENS | {"max_position_embeddings": 64}
PICTURES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
PICTURES |= {"image_size": 16, "patch_size": 8}
QUERY_VALUE = ("q_proj", "v_proj")
# Model type -> its tiny config, the class that loads it, and the last parts of the names of the adapted layers.
DECODERS = ("gemma3_text", "granite", "llama", "mistral", "olmo", "olmo2", "olmo3", "qwen2", "qwen3", "smollm3")
CASES = {kind: (DECODER, AutoModelForCausalLM, QUERY_VALUE) for kind in DECODERS} | {
    "bert": (ENCODER, AutoModelForSequenceClassification, ("query", "value")),
    "distilbert": (
        {"vocab_size": 64, "dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4, "pad_token_id": 0},
        AutoModelForSequenceClassification,
        ("q_lin", "v_lin"),
    ),
    "gemma3": (
        {"text_config": DECODER, "vision_config": PICTURES, "mm_tokens_per_image": 4, "image_token_id": 63},
        AutoModelForImageTextToText,
        QUERY_VALUE,
    ),
    "gpt_oss": (MOE | {"num_local_experts": 4}, AutoModelForCausalLM, QUERY_VALUE),
    "modernbert": (
        ENCODER | {"cls_token_id": 1, "sep_token_id": 2, "global_attn_every_n_layers": 2},
        AutoModelForSequenceClassification,
        ("Wqkv",),
    ),
    "phi3": (DECODER, AutoModelForCausalLM, ("qkv_proj",)),
    "qwen3_moe": (MOE | {"num_experts": 4}, AutoModelForCausalLM, QUERY_VALUE),
    "vit": (PICTURES, AutoModelForImageClassification, None),
}


def inputs_of(kind):
    if kind == "vit":
        return {"pixel_values": torch.randn(2, 3, 16, 16)}
    tokens = {"input_ids": torch.arange(3, 15).view(2, 6)}
    return tokens | ({"token_type_ids": torch.zeros(2, 6, dtype=torch.long)} if kind == "gemma3" else {})


MARKS = {
    "olmo3": needs("transformers", "4.57", "older versions have no OLMo 3"),
    "gemma3": needs("torch", "2.6", "transformers needs it for Gemma's masks"),
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS.get(kind, ())) for kind in CASES])
def test_the_default_layers_are_found_and_train_and_merge(kind):
    sizes, auto, expected = CASES[kind]
    model = auto.from_config(AutoConfig.for_model(kind, **sizes))
    model = circpeft.inject(model, circpeft.C3AConfig(block_size=8)).eval()
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, CirculantLayer)}
    if expected is None:  # transformers 4 and 5 name them differently
        expected = {name.rsplit(".", 1)[1] for name in layers}
        assert expected in ({"query", "value"}, {"q_proj", "v_proj"})
    assert len(layers) == 2 * len(expected) and all(name.endswith(tuple(expected)) for name in layers)
    assert not any("vision" in name for name in layers)
    inputs = inputs_of(kind)
    before = model(**inputs).logits
    before.square().sum().backward()
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                assert p.grad is not None and p.grad.abs().max() > 0
                p -= 0.5 * p.grad / p.grad.norm()
    with torch.no_grad():
        adapted = model(**inputs).logits
        assert (adapted - before).abs().max() > 1e-4
        merged = circpeft.merge(model)
        assert not any(isinstance(layer, CirculantLayer) for layer in merged.modules())
        torch.testing.assert_close(merged(**inputs).logits, adapted, rtol=1e-3, atol=1e-4)


def test_every_family_that_is_added_is_built_here():
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as PEFTS

    assert DEFAULT_TARGETS.keys() - PEFTS.keys() <= CASES.keys()
    assert all(DEFAULT_TARGETS[kind] == targets for kind, targets in PEFTS.items())
