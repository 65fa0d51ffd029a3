"""The contract of a kind of tasks: what training asks about texts, images or instructions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from datasets import DatasetDict
from transformers import PretrainedConfig

from ...recipes import Recipe
from ..exact_trainer import ExactTrainer


class TaskKind(Protocol):
    """What differs between kinds of tasks: the model's class, the encoding of rows, the Trainer, and the predictions.

    A new kind is a class with these members. An instance of it goes into `KINDS`, under the ``kind`` of its tasks.

    Attributes:
        model_class: auto class of transformers that loads the model, such as AutoModelForSequenceClassification.
        has_new_head: whether each run starts with a new head. A language model keeps its own.
        example_models: model types that fit, for error messages, such as "bert, roberta or llama".
        loading_options: keyword arguments of the model class's ``from_pretrained``.
        predictions_kept: how many predictions on the test split a record keeps; None keeps all.
    """

    @property
    def model_class(self) -> Any: ...

    @property
    def has_new_head(self) -> bool: ...

    @property
    def example_models(self) -> str: ...

    @property
    def loading_options(self) -> Mapping[str, Any]: ...

    @property
    def predictions_kept(self) -> int | None: ...

    def load_processor(self, folder: str) -> Any:
        """Load what turns rows into inputs of a model: its tokenizer or image processor.

        Args: ``folder``: a local model folder, or a hub id.

        Raises: FileNotFoundError for a local folder without one.
        """

    def config_options(self, task: Any) -> dict[str, Any]:
        """Return what the model's config takes from a task, such as its number of outputs."""

    def encode(
        self, data: DatasetDict, task: Any, processor: Any, config: PretrainedConfig, recipe: Recipe
    ) -> DatasetDict:
        """Return a task's rows as inputs of the model, with ``labels``.

        Raises: ValueError for rows that cannot be used.
        """

    def make_trainer(self, task: Any, processor: Any, recipe: Recipe, **options: Any) -> ExactTrainer:
        """Return the Trainer of a run. Its evaluation reports a ``score``; higher is better.

        Args: ``options``: the Trainer's own, as `training.trainer.make_trainer` gives them: model, arguments, data sets
            and the function that makes the optimizer.
        """

    def predictions(self, task: Any, outputs: Any) -> list:
        """Return the predictions, as plain values, from what the Trainer's ``predict`` gave."""

    def count_tokens(self, rows: Any, config: PretrainedConfig) -> int:
        """Return the number of tokens of encoded rows without padding, or of a batch, where padding counts as well."""
