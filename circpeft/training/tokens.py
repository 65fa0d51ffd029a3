"""Tokenizers, and how many tokens a model takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import DatasetDict
from torch import Tensor
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedTokenizerBase

# Files that a tokenizer's vocabulary is kept in; one has to be beside a local model's weights.
VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
# Their positions start behind the padding's.
FROM_PADDING = (
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "longformer",
    "mpnet",
    "data2vec-text",
    "ibert",
    "xmod",
    "luke",
    "esm",
)


def tokenizer_of(folder: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, with a token to pad with: the end of the text where it has none of its own.

    Raises: FileNotFoundError for a local folder without a vocabulary; ValueError for a tokenizer that has
    neither token.
    """
    local = Path(folder)
    # From a folder without a vocabulary transformers makes a tokenizer of special tokens alone, to which every word is
    # unknown, or complains of a package that it does not need.
    if local.is_dir() and not any((local / name).exists() for name in VOCABULARIES):
        raise FileNotFoundError(f"model {folder!r} has no tokenizer; expected one of: {', '.join(VOCABULARIES)}")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ValueError(
                f"the tokenizer of {folder!r} has no padding token, and no end of text to pad with; set its pad_token "
                f"and save it again"
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def mapped(data: DatasetDict, tokens: Callable[[dict], dict], task: Any, **options: Any) -> DatasetDict:
    """Every split's rows as ``tokens`` makes them, without its own columns: one split may have more than another."""
    desc = f"Tokenizing {task.name}"
    made = {
        split: rows.map(tokens, remove_columns=rows.column_names, desc=desc, **options) for split, rows in data.items()
    }
    return DatasetDict(made)


def longest(max_length: int, tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> int:
    """The most tokens of a sequence: what is asked for, or what the tokenizer and the model's positions allow.

    >>> from transformers import BertConfig, PreTrainedTokenizerFast
    >>> from tokenizers import Tokenizer, models
    >>> tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel()))
    >>> longest(1000, tokenizer, BertConfig(max_position_embeddings=64))
    64
    """
    positions = getattr(config, "max_position_embeddings", None) or max_length
    if positions < 0:  # XLNet's word for as many as one likes
        positions = max_length
    if config.model_type in FROM_PADDING:
        positions -= config.pad_token_id + 1
    return min(max_length, tokenizer.model_max_length, positions)


def count(rows: Any, config: PretrainedConfig) -> int:
    """Tokens of encoded rows (a list of token numbers each), or of a batch of them, where padding counts, too."""
    ids = rows["input_ids"]
    return ids.numel() if isinstance(ids, Tensor) else sum(map(len, ids))
