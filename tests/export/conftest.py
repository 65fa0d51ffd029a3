"""Saved adapters on tiny models of LLaMA's architecture, which the tests of every export need."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

from circpeft import C3AConfig, CDVFTConfig, models

TARGETS = ["q_proj", "v_proj", "up_proj"]
CONFIGS = {
    "c3a": lambda **kw: C3AConfig(block_size=16, init_weights=False, **kw),
    "cdvft": lambda **kw: CDVFTConfig(block_size=16, init_weights=False, **kw),
    "lora": lambda **kw: LoraConfig(init_lora_weights=False, **kw),
}
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}


def llama(folder: Path, dtype: torch.dtype = torch.float32, **options) -> Path:
    """Save a model of LLaMA's architecture with the tokenizer of small-llama."""
    tokenizer = Path(models.resolve("small-llama"))
    vocabulary = LlamaConfig.from_pretrained(tokenizer).vocab_size
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=vocabulary, num_key_value_heads=2, max_position_embeddings=64, **SIZES, **options)
    LlamaForCausalLM(config).to(dtype).save_pretrained(folder)
    for path in tokenizer.glob("tokenizer*"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture(autouse=True)
def no_progress_bar() -> None:
    """Keep stderr for the messages that the tests read."""
    disable_progress_bar()


@pytest.fixture
def base(tmp_path) -> Path:
    """A base model in float32."""
    return llama(tmp_path / "base")


@pytest.fixture
def saved(tmp_path) -> Callable[..., SimpleNamespace]:
    """Save an adapter of a method on a base model; returns its folder, and the adapted model."""

    def save(method: str, base: Path, name: str = "adapter", **options) -> SimpleNamespace:
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
        model = get_peft_model(
            model, CONFIGS[method](**{"target_modules": TARGETS, **options}, task_type="CAUSAL_LM")
        ).eval()
        model.save_pretrained(tmp_path / name)
        return SimpleNamespace(folder=str(tmp_path / name), model=model)

    return save
