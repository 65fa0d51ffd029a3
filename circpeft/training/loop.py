"""The training of a prepared run: from its last checkpoint if it was interrupted, up to the test of one epoch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, set_seed
from transformers.trainer_utils import PredictionOutput

from .. import memory, methods
from ..hf_peft.learning_rate_check import LearningRateCheck
from ..hf_peft.other_methods import only_adapter_weights
from ..method_specs import get_spec
from ..resume import TrainingClock, check_checkpoint
from . import base_model, checkpoints, computed, distributed
from .baseline_eval import Baseline, BaselineEvaluation
from .change_recorder import change_recorders
from .gradient_warning import MissingGradients
from .preparation import Prepared
from .spectra import watched_weights
from .trainer import deterministic, make_trainer


@dataclass(frozen=True)
class Trained:
    """A run that has trained, with the epoch loaded that its recipe tests.

    Attributes:
        trainer: the Trainer, with the model of that epoch and the log of all steps.
        test: what that model predicted on the test split, with its metrics.
        baseline: the evaluation of the model before training.
        initial_weights: weights of the watched layers before training, by name.
        trainable_parameters: number of parameters that the method trains (at the start), without the head.
        head_parameters: number of trainable parameters of the head.
        seconds: training with its evaluations, over all interrupted parts.
        step_seconds: the training steps only.
        computation: how it was computed, see `computed`.
        weight_changes: text of the file of weight changes; "" without one.
    """

    trainer: Trainer
    test: PredictionOutput
    baseline: Baseline
    initial_weights: dict[str, Tensor]
    trainable_parameters: int
    head_parameters: int
    seconds: float
    step_seconds: float
    computation: dict[str, Any]
    weight_changes: str


def _pad_as_the_tokenizer(base: Any, processor: Any) -> None:
    """Set the padding token of a model to that of its tokenizer.

    A language model with a classification head reads the last token that is not padding. An encoder-decoder starts its
    answer with the padding token of its config, so that one is kept.
    """
    if hasattr(processor, "pad_token_id") and (
        getattr(base.config, "pad_token_id", None) is None or not base.config.is_encoder_decoder
    ):
        base.config.pad_token_id = processor.pad_token_id


def starting_model(prepared: Prepared) -> nn.Module:
    """Return the base model from which a run starts, with its seed set: what the method draws next depends on it."""
    distributed.load_everywhere()
    memory.reset_peak(distributed.state().device)
    set_seed(prepared.recipe.seed)
    base = base_model.load(prepared.recipe, prepared.kind, prepared.folder, prepared.config)
    _pad_as_the_tokenizer(base, prepared.processor)
    return base


def train(prepared: Prepared, callbacks: Iterable[TrainerCallback] = ()) -> Trained:
    """Train a prepared run, and predict the test split with its best epoch on validation, or with its last.

    An interrupted run continues from its newest whole checkpoint. A damaged one is named in a warning.

    Args:
        prepared: the run, from `prepare`.
        callbacks: further callbacks for the Trainer.

    Raises: CheckpointError for a checkpoint that cannot be read, or would change more than what the method trains;
    whatever `base_model.load` raises.
    """
    recipe = prepared.recipe
    base = starting_model(prepared)
    head = methods.head_names(base)
    initial_weights = watched_weights(base, recipe)
    model = base_model.with_method(base, recipe)
    # Counted now, because LaMDA freezes some of them later.
    trainable_parameters = methods.trainable_parameters(model, head)
    head_parameters = sum(methods.trainable_parameters(base.get_submodule(name)) for name in head)
    with deterministic(recipe):
        trainer = make_trainer(prepared, model, head)
        computed.check(trainer, recipe)
        baseline = BaselineEvaluation(trainer, prepared.task, prepared.kind, recipe, prepared.encoded["test"])
        clock = TrainingClock()
        # accelerate does not wrap a model for several processes that was evaluated before.
        if distributed.is_shared():
            trainer.add_callback(baseline)
        else:
            baseline.evaluate()
        spec = get_spec(recipe.method)
        missing_gradients = [MissingGradients()] if spec.trains_adapter else []
        changes = change_recorders(trainer, recipe)
        rate_check = LearningRateCheck(recipe.usual_rate, at_start=False)  # `check` gives the first warning
        own = (clock, checkpoints.BestCheckpoint())
        for callback in (*own, *callbacks, *missing_gradients, *changes, rate_check, *spec.callbacks(model)):
            trainer.add_callback(callback)
        checkpoint = checkpoints.to_resume(prepared.checkpoints, recipe.name, best=recipe.tested_epoch == "best")
        if checkpoint:
            check_checkpoint(checkpoint, spec.trains_adapter)
        with only_adapter_weights():
            trainer.train(resume_from_checkpoint=checkpoint)
        seconds = clock.seconds
        test = trainer.predict(prepared.encoded["test"], metric_key_prefix="test")
        computation = computed.computed(trainer)
    return Trained(
        trainer,
        test,
        baseline.outcome,
        initial_weights,
        trainable_parameters,
        head_parameters,
        seconds,
        clock.step_seconds,
        computation,
        changes[0].content if changes else "",
    )
