"""Classification of images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from datasets import DatasetDict
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForImageClassification, PretrainedConfig, Trainer

from ..recipes import Recipe
from ..tasks import ImageTask, pictures
from .text import LOADING, classifying, predictions, settings

AUTO = AutoModelForImageClassification
NEW_HEAD, SUCH = True, "vit, dinov2 or swin"
PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def processor(folder: str) -> Any:
    """The image processor of a model: how it wants images resized and scaled.

    Raises: FileNotFoundError for a local folder without one.
    """
    local = Path(folder)
    if local.is_dir() and not any((local / name).exists() for name in PROCESSORS):
        raise FileNotFoundError(f"model {folder!r} has no image processor; expected one of: {', '.join(PROCESSORS)}")
    return AutoImageProcessor.from_pretrained(folder)


def encode(data: DatasetDict, task: ImageTask, image_processor: Any, config: PretrainedConfig, recipe: Recipe):
    """Pixels and labels, made batch by batch as they are asked for: a whole data set would not fit in memory."""

    def pixels(rows: dict) -> dict:
        seen = [pictures.rgb(picture) for picture in rows["image"]]
        values = image_processor(seen, return_tensors="pt")
        # SigLIP 2 also takes which of its patches are of the image, and how many there are each way.
        inputs = {name: list(values[name]) for name in image_processor.model_input_names if name in values}
        return {**inputs, "labels": rows["label"]}

    return DatasetDict({split: rows.with_transform(pixels) for split, rows in data.items()})


def tokens_in(rows: Any, config: PretrainedConfig) -> int:
    """Patches of images (rows of a data set, or a batch); of a model without patches, the images."""
    images = len(next(iter(rows.values()))) if isinstance(rows, dict) else len(rows)
    config = getattr(config, "vision_config", config)  # beside a text's, as CLIP has it
    patches = 1
    if hasattr(config, "patch_size") and hasattr(config, "image_size"):
        sizes = [[n, n] if isinstance(n, int) else n for n in (config.image_size, config.patch_size)]
        patches = math.prod(side // patch for side, patch in zip(*sizes, strict=True))
    return images * patches


def _batch(rows: list[dict]) -> dict[str, Tensor]:
    labels = torch.tensor([row["labels"] for row in rows])
    inputs = {name: torch.stack([row[name] for row in rows]) for name in rows[0] if name != "labels"}
    return {**inputs, "labels": labels}


def trainer(task: ImageTask, image_processor: Any, recipe: Recipe, **common: Any) -> Trainer:
    """The Trainer, with the metric."""
    common["args"].remove_unused_columns = False  # the image's column is what the pixels are made of
    return classifying(task, data_collator=_batch, **common)


__all__ = [
    "AUTO",
    "LOADING",
    "NEW_HEAD",
    "SUCH",
    "encode",
    "predictions",
    "processor",
    "settings",
    "tokens_in",
    "trainer",
]
