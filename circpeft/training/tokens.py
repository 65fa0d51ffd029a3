"""Tokenizers, and the number of tokens that a model takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import DatasetDict
from torch import Tensor
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedTokenizerBase

from .. import models

# Files that a tokenizer's vocabulary may be in. A local model folder needs one of them.
VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
MULTIPLE = 16
# Model types whose positions start after the ID of the padding token.
POSITIONS_AFTER_PADDING = (
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
    """Load the tokenizer of a model. If it has no padding token, its end-of-text token is used for padding.

    Args: ``folder``: a local model folder, or a hub id.

    Raises: FileNotFoundError for a local folder without a vocabulary; ValueError for a tokenizer with neither token,
    and for damaged files.
    """
    local = Path(folder)
    # Without a vocabulary, transformers returns a tokenizer that knows no word, or asks for a package in vain.
    if local.is_dir() and not any((local / name).exists() for name in VOCABULARIES):
        raise FileNotFoundError(f"model {folder!r} has no tokenizer; expected one of: {', '.join(VOCABULARIES)}")
    with models.readable(folder, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ValueError(
                f"the tokenizer of {folder!r} has neither a padding token nor an end-of-text token to pad with; set "
                f"its pad_token and save it again"
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def mapped(data: DatasetDict, tokenized: Callable[[dict], dict], task: Any, **options: Any) -> DatasetDict:
    """Return every split with its columns replaced by those that ``tokenized`` makes.

    Each split is mapped by itself, because splits may have different columns.

    Args:
        data: the splits.
        tokenized: function from a row (or a batch of rows) to the new columns.
        task: the task, for the progress bar.
        options: further arguments of `datasets.Dataset.map`.
    """
    desc = f"Tokenizing {task.name}"
    return DatasetDict(
        {
            split: rows.map(tokenized, remove_columns=rows.column_names, desc=desc, **options)
            for split, rows in data.items()
        }
    )


def longest(max_length: int, tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> int:
    """Return the largest number of tokens of a sequence: the smallest limit of request, tokenizer and positions.

    >>> from transformers import BertConfig, PreTrainedTokenizerFast
    >>> from tokenizers import Tokenizer, models
    >>> tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel()))
    >>> longest(1000, tokenizer, BertConfig(max_position_embeddings=64))
    64
    """
    positions = getattr(config, "max_position_embeddings", None) or max_length
    if positions < 0:  # XLNet has no limit, and says so by -1
        positions = max_length
    if config.model_type in POSITIONS_AFTER_PADDING:
        positions -= config.pad_token_id + 1
    return min(max_length, tokenizer.model_max_length, positions)


def length_multiple(precision: str, tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> int:
    """Return the number that the padded length of a batch has to be a multiple of: 16 in half precision, otherwise 1.

    A CPU's library compiles a product in half precision for each shape that it has not seen, and keeps many of them: a
    batch of a new length costs time and memory. Tensor cores of GPUs prefer such lengths, too. The length must not
    exceed what the model takes, so the number is 1 if that is not a multiple of 16.

    Args:
        precision: the recipe's.
        tokenizer, config: those of the model, for the largest length.
    """
    even = longest(1 << 40, tokenizer, config) % MULTIPLE == 0
    return MULTIPLE if precision != "float32" and even else 1


def padded_length(length: int, multiple: int) -> int:
    """Return the next multiple of a number that is not below a length.

    >>> padded_length(17, 16), padded_length(16, 16), padded_length(17, 1)
    (32, 16, 17)
    """
    return -(-length // multiple) * multiple


def count(rows: Any) -> int:
    """Return the number of tokens of encoded rows (lists of token IDs), or of a batch (a tensor, with its padding)."""
    ids = rows["input_ids"]
    return ids.numel() if isinstance(ids, Tensor) else sum(map(len, ids))
