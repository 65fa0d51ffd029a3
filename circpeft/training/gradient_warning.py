"""A warning about adapted layers on which the model's loss does not depend."""

from __future__ import annotations

import warnings
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

NAMES_SHOWN = 6


class MissingGradients(TrainerCallback):
    """Warns after the first epoch of trainable parameters that have not received a gradient.

    A model may have layers that it does not use for a task, and may read a layer's weight without calling the layer. An
    adapter there does not train, yet it would be counted and saved.
    """

    def __init__(self) -> None:
        self.without_gradient: set[str] | None = None

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **kwargs: Any,
    ) -> None:
        """Note which parameters have a gradient."""
        if self.without_gradient is None:
            self.without_gradient = {name for name, p in model.named_parameters() if p.requires_grad}
        if self.without_gradient:
            self.without_gradient -= {name for name, p in model.named_parameters() if p.grad is not None}

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Warn, once."""
        if self.without_gradient and state.is_world_process_zero:
            names = sorted(self.without_gradient)
            warnings.warn(
                f"no gradient reached {len(names)} trainable parameters in the first epoch: "
                f"{', '.join(names[:NAMES_SHOWN])}{', ...' if len(names) > NAMES_SHOWN else ''}; the model does not "
                f"use these layers for this task, or reads their weights without calling them: leave them out of "
                f"target_modules",
                stacklevel=2,
            )
        self.without_gradient = set()
