"""Check that a model takes what its tokenizer or image processor gives."""

from __future__ import annotations

import logging
from typing import Any

from datasets import DatasetDict
from PIL import Image
from torch import nn

SAMPLE_SIDE = 64  # of the picture that is tried; the processor resizes it
ID_COLUMNS = ("input_ids", "prompt")


def embedding_rows(model: Any) -> int | None:
    """Return the number of tokens that a model has embeddings for; None for a model without such a table."""
    try:
        return model.get_input_embeddings().weight.shape[0]
    except (NotImplementedError, AttributeError):  # a model of images, or of characters
        return None


def check_tokenizer(name: str, tokenizer: Any, rows: int | None) -> None:
    """Raise ValueError for a padding token without an embedding: a batch with padding would fail.

    Args:
        name: the model's name.
        tokenizer: its tokenizer.
        rows: from `embedding_rows`.
    """
    pad = getattr(tokenizer, "pad_token_id", None)
    if rows is not None and pad is not None and pad >= rows:
        raise ValueError(_too_large(name, tokenizer, rows, f"its padding token {tokenizer.pad_token!r}", pad))


def check_tokens(name: str, tokenizer: Any, rows: int | None, encoded: DatasetDict) -> None:
    """Raise ValueError for a token in the rows that has no embedding, naming both sizes.

    A tokenizer may have more tokens than the model as long as none of them occurs.
    """
    # Few models get here: looking at every token takes seconds.
    if rows is None or not hasattr(tokenizer, "get_vocab") or max(tokenizer.get_vocab().values(), default=0) < rows:
        return
    for split, data in encoded.items():
        for column in set(ID_COLUMNS) & set(data.column_names):
            highest = max((max(ids, default=0) for ids in data[column]), default=0)
            if highest >= rows:
                token = tokenizer.convert_ids_to_tokens(highest)
                raise ValueError(_too_large(name, tokenizer, rows, f"token {token!r} in {split}", highest))


def _too_large(name: str, tokenizer: Any, rows: int, what: str, number: int) -> str:
    # The tokens need not be numbered without gaps.
    needed = max(len(tokenizer), number + 1)
    return (
        f"model {name!r} has {rows} embeddings, but its tokenizer has {len(tokenizer)} tokens, and {what} has the "
        f"ID {number}; call model.resize_token_embeddings({needed}) and save the model again, or save the tokenizer "
        f"without the added tokens"
    )


def check_pictures(name: str, processor: Any, model: nn.Module) -> None:
    """Raise ValueError if a model does not take pictures of the size and the channels that its processor gives.

    Args:
        name: the model's name.
        processor: its image processor.
        model: the model on torch's meta device, where a pass costs nothing.
    """
    picture = Image.new("RGB", (SAMPLE_SIDE, SAMPLE_SIDE))
    values = processor([picture], return_tensors="pt")
    inputs = {key: values[key].to("meta") for key in processor.model_input_names if key in values}
    try:
        model.eval()(**inputs)
    except ValueError as error:
        shape = tuple(inputs["pixel_values"].shape[1:]) if "pixel_values" in inputs else "unknown"
        raise ValueError(
            f"the image processor of model {name!r} gives pictures of shape {shape}, which the model does not take: "
            f"{error} Set the size in preprocessor_config.json, or image_size and num_channels in config.json"
        ) from error
    except (RuntimeError, NotImplementedError, TypeError):  # the model reads values; meta tensors have only shapes
        logging.getLogger(__name__).debug("model %r cannot be tried on the meta device", name, exc_info=True)
