"""A Trainer with the losses, steps and scores of one process, however many processes share the work."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType, DynamoBackend
from datasets import Dataset
from packaging.version import Version
from torch import Tensor, nn
from transformers import Trainer

from .. import files
from ..ops.watching import watched_ways
from ..resume import CheckpointError, readable_checkpoint
from . import checkpoints, distributed

IGNORED = -100  # label that does not count for the loss
OLDEST_TO_RESUME = Version("2.6")  # of torch
WEIGHT = "loss_weight"  # key of a batch under which the weight of its loss is kept


def check_finite(values: dict[str, float]) -> None:
    """Raise FloatingPointError for a value that is not finite, naming it.

    Args: ``values``: scores and losses by what they are.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"the {name} is {value}: the training diverged; lower its learning_rate")


class ExactTrainer(Trainer):
    """A Trainer that counts every row once.

    accelerate fills the last batch up with rows from the start, so that all processes have batches of one size. This
    class leaves such rows out of the loss, and weights the loss of each process by its real rows.

    Args:
        optimizer: function that makes the optimizer, called when the model is on the device where it trains.
        options: the Trainer's own arguments.
    """

    optimizer: torch.optim.Optimizer | None

    def __init__(self, *, optimizer: Callable[[], torch.optim.Optimizer], **options: Any) -> None:
        super().__init__(**options)
        self.make_optimizer = optimizer
        self.circulant_products: set[str] | None = None
        if self.is_fsdp_enabled:
            self._choose_sharded_blocks()

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Return the run's optimizer. It is made late, because FSDP cannot use one from before the Trainer."""
        if self.optimizer is None:
            self.optimizer = self.make_optimizer()
        return self.optimizer

    def create_accelerator_and_postprocess(self) -> None:
        """Set accelerate up. FSDP also works on CPUs, and keeps the number formats of a run without it."""
        state = distributed.state()
        if distributed.sharded() and state.distributed_type == DistributedType.MULTI_CPU:
            # torch can shard on CPUs, but accelerate reads the FSDP settings only for other devices, and would silently
            # train unsharded. Under this name it reads them.
            state.distributed_type = DistributedType.MULTI_XPU
        super().create_accelerator_and_postprocess()
        if self.is_fsdp_enabled:
            from torch.distributed.fsdp import MixedPrecisionPolicy

            # accelerate would have FSDP cast every parameter. Kernels must stay in float32, so autocast is used.
            self.accelerator.state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy()

    def _choose_sharded_blocks(self) -> None:
        """Have FSDP shard the model's repeated blocks, unless the launcher names others.

        BERT and ViT also list their embeddings as a block. accelerate would shard the embedding inside it once more,
        and fail. So modules that contain the input embedding are left out.
        """
        plugin = self.accelerator.state.fsdp_plugin
        if plugin.transformer_cls_names_to_wrap is None:
            embedding, listed = self.model.get_input_embeddings(), getattr(self.model, "_no_split_modules", None) or ()
            contain_embedding = {
                type(m).__name__ for m in self.model.modules() if any(inner is embedding for inner in m.modules())
            }
            classes = {type(m).__name__ for m in self.model.modules()} - contain_embedding
            plugin.transformer_cls_names_to_wrap = sorted(classes & set(listed))

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> Any:
        """Return the autocast context. Under FSDP the model's forward pass does not bring its own."""
        if self.is_fsdp_enabled:
            return self.accelerator.autocast()
        return super().autocast_smart_context_manager(cache_enabled)

    def _without_filling(self, batch: dict) -> dict:
        """Return a batch without the rows that only fill it up. One row always stays; it then has no weight."""
        gradients, processes = self.accelerator.gradient_state, self.accelerator.num_processes
        if processes == 1 or not gradients.end_of_dataloader or gradients.remainder <= 0:
            return batch
        size = len(batch["labels"])
        real = min(max(gradients.remainder - size * self.accelerator.process_index, 0), size)
        batch = {name: values[: max(real, 1)] for name, values in batch.items()}
        if not self.model_accepts_loss_kwargs:
            batch[WEIGHT] = real * processes / gradients.remainder
        elif not real:  # such models count tokens by their labels
            batch["labels"] = torch.full_like(batch["labels"], IGNORED)
        return batch

    def get_batch_samples(self, epoch_iterator: Iterator, *arguments: Any) -> tuple[list, Any]:
        """Return the batches of one step, without the rows that only fill them up."""
        return super().get_batch_samples(map(self._without_filling, epoch_iterator), *arguments)

    def training_step(self, *arguments: Any, **options: Any) -> Tensor:
        """Make a training step. The first one notes what computes its circulant products."""
        if self.circulant_products is not None or self.accelerator.state.dynamo_plugin.backend != DynamoBackend.NO:
            return super().training_step(*arguments, **options)
        with watched_ways() as ways:
            loss = super().training_step(*arguments, **options)
        self.circulant_products = ways
        return loss

    def compute_loss(
        self, model: nn.Module, inputs: dict, return_outputs: bool = False, *arguments: Any, **options: Any
    ) -> Tensor | tuple[Tensor, Any]:
        """Return the model's loss, weighted by this process's share of the batch."""
        weight = inputs.get(WEIGHT, 1.0)
        inputs = {name: value for name, value in inputs.items() if name != WEIGHT}
        shared = self.accelerator.num_processes > 1 and self.model_accepts_loss_kwargs
        if shared and not arguments and options.get("num_items_in_batch") is None:
            # transformers 4.56 does not count the labels of an evaluation over all processes.
            options["num_items_in_batch"] = self.accelerator.gather((inputs["labels"] != IGNORED).sum()).sum()
        loss, outputs = super().compute_loss(model, inputs, True, *arguments, **options)
        loss = loss if weight == 1.0 else loss * weight
        return (loss, outputs) if return_outputs else loss

    def prediction_step(
        self, model: nn.Module, inputs: dict, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Tensor | None, Any, Any]:
        """Return the loss over all processes, and the outputs and labels of this one.

        The outputs still contain the rows that only fill the batch up; the Trainer drops them after gathering.
        """
        if self.accelerator.num_processes == 1:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        real = self._without_filling(inputs)
        evaluated = real if prediction_loss_only else inputs  # outputs are gathered from batches of one size
        loss, logits, labels = super().prediction_step(model, evaluated, prediction_loss_only, ignore_keys)
        if evaluated is not real:
            loss = super().prediction_step(model, real, True, ignore_keys)[0]
        return self.accelerator.reduce(loss, "mean"), logits, labels

    def loss_of(self, rows: Dataset) -> float:
        """Return the mean loss of the model on encoded rows, without a score."""
        # Of the Trainer itself: the evaluation of instructions would generate answers.
        evaluated = Trainer.evaluation_loop(self, self.get_test_dataloader(rows), "Loss", prediction_loss_only=True)
        return float(evaluated.metrics["eval_loss"])

    def _load_best_model(self) -> None:
        """Load the best epoch, unless the training diverged: its weights could not be read back.

        Raises: FloatingPointError if the score or the loss of the best epoch is not finite; CheckpointError, naming the
        file, if its checkpoint is damaged.
        """
        best = max((e for e in self.state.log_history if "eval_score" in e), key=lambda e: e["eval_score"])
        check_finite({"validation score": best["eval_score"], "validation loss": best["eval_loss"]})
        folder = Path(str(self.state.best_model_checkpoint))
        found = distributed.from_first(checkpoints.faults(folder) if distributed.state().is_main_process else [])
        if found:
            raise CheckpointError(
                f"the best epoch cannot be read back: in {folder}, {found[0]}; repeat the run, which then continues "
                f"from an earlier epoch"
            )
        with readable_checkpoint(folder):
            super()._load_best_model()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Load the weights of a checkpoint. A damaged one is a CheckpointError."""
        with readable_checkpoint(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Load the state of the optimizer and of the learning rate. A damaged one is a CheckpointError.

        Raises: ValueError with a torch with which transformers reads no optimizer.
        """
        if checkpoint is not None and Version(torch.__version__) < OLDEST_TO_RESUME:
            raise ValueError(
                f"torch {torch.__version__} cannot continue from {checkpoint}: transformers reads the state of an "
                f"optimizer only with torch {OLDEST_TO_RESUME} or newer; upgrade torch, and repeat the run"
            )
        with readable_checkpoint(str(checkpoint)):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write a checkpoint, mark it as complete when it is on the disk, and only then remove older ones."""
        folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
        with files.explained(folder):
            checkpoints.clear(folder)
            super()._save_checkpoint(model, trial)
            checkpoints.finish(folder)
        # With transformers 4.56, another process may look for the folder before the first one has made it.
        self.state.best_model_checkpoint = distributed.from_first(self.state.best_model_checkpoint)
        best = self.state.best_model_checkpoint if self.args.load_best_model_at_end else None
        checkpoints.remove_others(folder, best)
