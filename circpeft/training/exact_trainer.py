"""A Trainer whose losses, steps and scores are those of one process, however many share the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from accelerate.utils import DistributedType
from torch import Tensor, nn
from transformers import Trainer

from . import distributed

IGNORED = -100  # of a label that does not count for the loss
WEIGHT = "weight_of_share"  # of a batch's loss, kept in the batch


class EvenTrainer(Trainer):
    """A Trainer that counts every row once.

    So that every process has a last batch, and one of the same size, accelerate fills it up with rows from the start.
    Such rows are left out of the loss here, and each process's loss counts by the rows behind it.

    Args: ``optimizer``: makes the optimizer, once the model is where it trains.
    """

    def __init__(self, *, optimizer: Callable[[], torch.optim.Optimizer], **common: Any) -> None:
        super().__init__(**common)
        self.make_optimizer = optimizer
        if self.is_fsdp_enabled:
            self._choose_blocks()

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The optimizer that was asked for. FSDP takes none that was made before the Trainer."""
        if self.optimizer is None:
            self.optimizer = self.make_optimizer()
        return self.optimizer

    def create_accelerator_and_postprocess(self) -> None:
        """As the Trainer's, and FSDP on CPUs, too, and in the number formats of a run without it."""
        state = distributed.state()
        if distributed.sharded() and state.distributed_type == DistributedType.MULTI_CPU:
            # torch shards there as well, but accelerate looks for its settings on other devices alone, and would train
            # unsharded without a word. This name leads it to them.
            state.distributed_type = DistributedType.MULTI_XPU
        super().create_accelerator_and_postprocess()
        if self.is_fsdp_enabled:
            from torch.distributed.fsdp import MixedPrecisionPolicy

            # accelerate would have FSDP cast every parameter, and kernels have to stay in float32: autocast it is.
            self.accelerator.state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy()

    def _choose_blocks(self) -> None:
        """Have FSDP shard the model's repeated blocks, unless the launcher names others.

        Of themselves BERT and ViT name their embeddings, too, within which accelerate shards the embedding once more,
        and fails.
        """
        plugin = self.accelerator.state.fsdp_plugin
        if plugin.transformer_cls_names_to_wrap is None:
            embedding, own = self.model.get_input_embeddings(), getattr(self.model, "_no_split_modules", None) or ()
            holding = {
                type(m).__name__ for m in self.model.modules() if any(inner is embedding for inner in m.modules())
            }
            there = {type(m).__name__ for m in self.model.modules()} - holding
            plugin.transformer_cls_names_to_wrap = sorted(there & set(own))

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> Any:
        """Autocast where the model's forward does not bring it along: under FSDP."""
        if self.is_fsdp_enabled:
            return self.accelerator.autocast()
        return super().autocast_smart_context_manager(cache_enabled)

    def _own(self, batch: dict) -> dict:
        """A batch without the rows that only fill it up; one row is kept in any case, which then does not count."""
        gradients, processes = self.accelerator.gradient_state, self.accelerator.num_processes
        if processes == 1 or not gradients.end_of_dataloader or gradients.remainder <= 0:
            return batch
        size = len(batch["labels"])
        own = min(max(gradients.remainder - size * self.accelerator.process_index, 0), size)
        batch = {name: values[: max(own, 1)] for name, values in batch.items()}
        if not self.model_accepts_loss_kwargs:
            batch[WEIGHT] = own * processes / gradients.remainder
        elif not own:  # tokens are counted by their labels
            batch["labels"] = torch.full_like(batch["labels"], IGNORED)
        return batch

    def get_batch_samples(self, epoch_iterator: Iterator, *arguments: Any) -> tuple[list, Any]:
        """The batches of one step."""
        return super().get_batch_samples(map(self._own, epoch_iterator), *arguments)

    def compute_loss(
        self, model: nn.Module, inputs: dict, return_outputs: bool = False, *arguments: Any, **options: Any
    ) -> Tensor | tuple[Tensor, Any]:
        """The model's loss, by this process's share of the batch."""
        weight = inputs.get(WEIGHT, 1.0)
        inputs = {name: value for name, value in inputs.items() if name != WEIGHT}
        loss, outputs = super().compute_loss(model, inputs, True, *arguments, **options)
        loss = loss if weight == 1.0 else loss * weight
        return (loss, outputs) if return_outputs else loss

    def prediction_step(
        self, model: nn.Module, inputs: dict, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Tensor | None, Any, Any]:
        """Loss of all processes' rows, and this one's outputs; of these the Trainer itself drops what only fills."""
        if self.accelerator.num_processes == 1:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        own = self._own(inputs)
        counted = own if prediction_loss_only else inputs  # outputs are gathered from batches of one size
        loss, logits, labels = super().prediction_step(model, counted, prediction_loss_only, ignore_keys)
        if counted is not own:
            loss = super().prediction_step(model, own, True, ignore_keys)[0]
        return self.accelerator.reduce(loss, "mean"), logits, labels

    def _save_rng_state(self, output_dir: str) -> None:
        """Before the first process marks a checkpoint as whole, the others have written their parts of it."""
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()
