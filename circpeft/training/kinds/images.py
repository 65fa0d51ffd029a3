"""Classification of images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from datasets import DatasetDict
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForImageClassification, PretrainedConfig

from ... import models
from ...recipes import Recipe
from ...tasks import ImageTask, pictures
from ..exact_trainer import ExactTrainer
from .classification import Classification, classification_trainer

PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")


class ImageKind(Classification):
    """Images with a class each (`tasks.ImageTask`). A token is a patch of an image."""

    model_class = AutoModelForImageClassification
    example_models = "vit, dinov2 or swin"

    def load_processor(self, folder: str) -> Any:
        """Load the image processor of a model, which resizes and scales images as the model needs them.

        Raises: FileNotFoundError for a local folder without one; ValueError for one that is damaged.
        """
        local = Path(folder)
        if local.is_dir() and not any((local / name).exists() for name in PROCESSOR_FILES):
            raise FileNotFoundError(
                f"model {folder!r} has no image processor; expected one of: {', '.join(PROCESSOR_FILES)}"
            )
        with models.readable(folder, "image processor"):
            return AutoImageProcessor.from_pretrained(folder)

    def encode(
        self, data: DatasetDict, task: ImageTask, processor: Any, config: PretrainedConfig, recipe: Recipe
    ) -> DatasetDict:
        """Return pixels and labels, computed batch by batch on access: a large data set would not fit in memory."""

        def pixels(rows: dict) -> dict:
            values = processor([pictures.rgb(picture) for picture in rows["image"]], return_tensors="pt")
            # SigLIP 2 also needs the mask of its patches and their number along each side.
            inputs = {name: list(values[name]) for name in processor.model_input_names if name in values}
            return {**inputs, "labels": rows["label"]}

        return DatasetDict({split: rows.with_transform(pixels) for split, rows in data.items()})

    def make_trainer(self, task: ImageTask, processor: Any, recipe: Recipe, **options: Any) -> ExactTrainer:
        """Return a Trainer that reports the task's metric."""
        options["args"].remove_unused_columns = False  # `encode` reads the column of images on access
        return classification_trainer(task, data_collator=_batch, **options)

    def count_tokens(self, rows: Any, config: PretrainedConfig) -> int:
        """Return the number of patches of encoded rows or of a batch: images times patches per image.

        A model without patches counts as one per image.
        """
        images = len(next(iter(rows.values()))) if isinstance(rows, dict) else len(rows)
        config = getattr(config, "vision_config", config)  # CLIP has one config for images and one for texts
        patches = 1
        if hasattr(config, "patch_size") and hasattr(config, "image_size"):
            sizes = [[n, n] if isinstance(n, int) else n for n in (config.image_size, config.patch_size)]
            patches = math.prod(side // patch for side, patch in zip(*sizes, strict=True))
        return images * patches


def _batch(rows: list[dict]) -> dict[str, Tensor]:
    labels = torch.tensor([row["labels"] for row in rows])
    inputs = {name: torch.stack([row[name] for row in rows]) for name in rows[0] if name != "labels"}
    return {**inputs, "labels": labels}
