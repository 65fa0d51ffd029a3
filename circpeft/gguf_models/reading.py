"""Model and tokenizer of a GGUF file, read by transformers and made plain."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
import transformers
from tokenizers import Regex, pre_tokenizers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from .header import Header

# With these, llama.cpp splits off every digit, and then splits as GPT-2 does. transformers does only the latter.
# Both names and rules are those of llama.cpp's src/llama-vocab.cpp.
SINGLE_DIGITS = ("codeshell", "command-r", "exaone", "minerva-7b", "refact", "smollm", "starcoder")
AS_GPT2 = ("gpt-2", "jais", "mpt", "olmo")


def plain_model(header: Header, dtype: torch.dtype) -> PreTrainedModel:
    """Return the model of a GGUF file as an ordinary model, with a language model's head where it has one.

    Raises: ValueError for weights that the file lacks; whatever transformers raises for a file that it cannot read.
    """
    place = {"pretrained_model_name_or_path": str(header.path.parent), "gguf_file": header.path.name}
    config = AutoConfig.from_pretrained(**place)
    options: dict[str, Any] = {"dtype": dtype, "output_loading_info": True}
    if hasattr(transformers, "GgufConfig"):  # without it, newer versions keep the weights in their few bits
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    read, loaded = _class_of(config).from_pretrained(**place, **options)
    if missing := sorted(loaded["missing_keys"]):
        raise ValueError(f"it lacks {len(missing)} of the model's weights, such as {missing[0]!r}")
    config = copy.deepcopy(read.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        model = type(read)(config)
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = read.generation_config
    _check_all_read(header, model)
    return model


def _class_of(config: PretrainedConfig) -> Any:
    """Return the auto class of a config: a causal language model if there is one."""
    classes = (AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModel)
    return next((auto for auto in classes if type(config) in auto._model_mapping), AutoModel)


def _check_all_read(header: Header, model: nn.Module) -> None:
    """Warn of numbers in the file that are not in the model, such as those that stretch LLaMA 3's positions."""
    elements = sum(parameter.numel() for parameter in model.parameters())
    if elements < header.elements:
        warnings.warn(
            f"GGUF file {str(header.path)!r} has {header.elements:,} numbers, and transformers reads {elements:,} of "
            f"them; the model may compute something else than in llama.cpp",
            stacklevel=2,
        )


def tokenizer_of(header: Header) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a GGUF file, with the model's number of positions as its limit.

    A warning tells of a rule for splitting texts into words that transformers does not know.

    Raises: whatever transformers raises for a tokenizer that it cannot read.
    """
    tokenizer = AutoTokenizer.from_pretrained(str(header.path.parent), gguf_file=header.path.name)
    rule = header.values.get("tokenizer.ggml.pre")
    if rule in SINGLE_DIGITS:
        digits = pre_tokenizers.Split(Regex(r"\p{N}"), behavior="isolated")
        words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    elif header.values.get("tokenizer.ggml.model") == "gpt2" and rule not in (None, *AS_GPT2, *_known_rules(rule)):
        warnings.warn(
            f"GGUF file {str(header.path)!r} splits texts by the rule {rule!r}, which transformers does not know; some "
            f"texts may become other tokens than in llama.cpp",
            stacklevel=2,
        )
    if positions := header.values.get(f"{header.architecture}.context_length"):
        tokenizer.model_max_length = positions
    return tokenizer


def _known_rules(rule: str | None) -> tuple[str | None, ...]:
    """Return the rules that transformers knows. An earlier version chooses by architecture; there, ``rule`` counts."""
    try:
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
    except ImportError:
        return (rule,)
    return tuple(GGUF_PRE_TOKENIZER_SPLITS)
