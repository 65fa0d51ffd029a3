"""What lets an interrupted training go on as if nothing had happened."""

import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint under a run's folder, or None.

    The Trainer writes a checkpoint's trainer_state.json last: one without it was cut off while it was written.
    """
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return str(max(whole, key=lambda path: int(path.name.rpartition("-")[2]))) if whole else None


class Clock(TrainerCallback):
    """Seconds of training, kept in the Trainer's log, so that a run that goes on from a checkpoint goes on counting.

    ``seconds`` is everything, ``stepping`` the training steps alone.
    """

    def __init__(self) -> None:
        self.earlier, self.started = 0.0, time.perf_counter()
        self.stepping = self.step_began = 0.0

    @property
    def seconds(self) -> float:
        """Seconds so far, those before an interruption included."""
        return self.earlier + time.perf_counter() - self.started

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.earlier = max((entry.get("clock", 0.0) for entry in state.log_history), default=0.0)
        self.stepping = max((entry.get("stepping", 0.0) for entry in state.log_history), default=0.0)
        self.started = time.perf_counter()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.step_began = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.stepping += time.perf_counter() - self.step_began

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        state.log_history[-1] |= {"clock": self.seconds, "stepping": self.stepping}
