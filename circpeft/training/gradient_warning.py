"""Says which adapted layers a model's loss does not depend on."""

from __future__ import annotations

import warnings
from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

NAMED = 6  # parameters in the warning


class WarnOfUnreached(TrainerCallback):
    """Warns at the end of the first epoch of trainable parameters that no gradient has reached until then.

    A model may have layers that it does not use for a task, and may read a layer's weight without calling it: what was
    put there trains as little as it does, and would be counted and saved without a word.
    """

    def __init__(self) -> None:
        self.waiting: set[str] | None = None

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        if self.waiting is None:
            self.waiting = {name for name, p in model.named_parameters() if p.requires_grad}
        if self.waiting:
            self.waiting -= {name for name, p in model.named_parameters() if p.grad is not None}

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.waiting and state.is_world_process_zero:
            names = sorted(self.waiting)
            warnings.warn(
                f"no gradient reached {len(names)} trainable parameters in the first epoch: "
                f"{', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''}; the model does not use these "
                f"layers here, or reads their weight without calling them: leave them out of target_modules",
                stacklevel=2,
            )
        self.waiting = set()
