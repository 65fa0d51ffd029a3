"""What the tests of clients share: a tiny LLaMA with a tokenizer on disk, and an adapter for it on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TARGETS = ["q_proj", "v_proj", "down_proj"]
IDS = torch.arange(40, 64).view(2, 12)


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory) -> str:
    """Return the folder of a LLaMA with 2 layers of 32 features, 256 positions and one token for each byte."""
    folder = tmp_path_factory.mktemp("clients") / "llama"
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = Tokenizer(models.BPE({piece: i for i, piece in enumerate([*special.values(), *alphabet])}, []))
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, **special)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": 2}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    sizes |= {"vocab_size": len(tokenizer), "max_position_embeddings": 256, "initializer_range": 0.3}
    LlamaForCausalLM(LlamaConfig(**sizes, **ends)).save_pretrained(folder)
    return str(folder)


@dataclass(frozen=True)
class SavedAdapter:
    """An adapter on disk: its folder, the folder of its base model, and the logits of both for `ids`."""

    folder: str
    base: str
    ids: torch.Tensor
    logits: torch.Tensor
    base_logits: torch.Tensor

    def merge(self, folder: Path) -> str:
        """Save the base model with the adapter merged, and its tokenizer; return the folder."""
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(self.base), self.folder)
        model.merge_and_unload().save_pretrained(folder)
        PreTrainedTokenizerFast.from_pretrained(self.base).save_pretrained(folder)
        return str(folder)


@pytest.fixture(scope="session")
def save_adapter(llama_folder, tmp_path_factory) -> Callable[..., SavedAdapter]:
    """Return a function that saves an adapter for the LLaMA, whose change is large enough to show in every output."""

    def save(method: Callable) -> SavedAdapter:
        folder = str(tmp_path_factory.mktemp("clients") / method.name)
        base = AutoModelForCausalLM.from_pretrained(llama_folder).eval()
        with torch.no_grad():
            base_logits = base(IDS).logits
            model = get_peft_model(base, method(target_modules=TARGETS, task_type="CAUSAL_LM"))
            logits = model(IDS).logits
        assert (logits - base_logits).abs().max() > 0.1
        model.save_pretrained(folder)
        return SavedAdapter(folder, llama_folder, IDS, logits, base_logits)

    return save


@pytest.fixture
def llama_adapter(save_adapter, method) -> SavedAdapter:
    """Return an adapter of the method for the LLaMA."""
    return save_adapter(method)
