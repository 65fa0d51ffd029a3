"""Resumption of an interrupted training: the weights of its checkpoint, and a clock that continues."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class CheckpointError(ValueError):
    """A checkpoint that cannot be used. The text is one line, with the path."""


@contextmanager
def readable_checkpoint(folder: str | Path) -> Iterator[None]:
    """Replace what is raised for a damaged checkpoint by a CheckpointError; only for calls that read the checkpoint.

    An OSError passes through, and so does what is not about the files: a missing package, and too little memory.

    >>> with readable_checkpoint("checkpoint-6"):
    ...     raise RuntimeError("invalid magic number")
    Traceback (most recent call last):
    ...
    circpeft.resume.CheckpointError: checkpoint-6 cannot be read (invalid magic number); delete it, and repeat the run
    """
    try:
        yield
    except (CheckpointError, OSError, ImportError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":  # of a GPU
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"{folder} cannot be read ({reason}); delete it, and repeat the run") from error


def check_checkpoint(folder: str, trains_adapter: bool) -> None:
    """Check which files of weights a checkpoint has. The Trainer prefers those of a whole model to an adapter's.

    Raises: CheckpointError that names a pickle, or the weights of a whole model in the checkpoint of an adapter.
    """
    names = {path.name for path in Path(folder).iterdir()}
    for name in sorted(names):
        if name.startswith(("pytorch_model.bin", "adapter_model.bin")):
            raise CheckpointError(f"{folder} holds {name}, a pickle, which is not read; delete it, or the checkpoint")
        if trains_adapter and name.startswith(("model.safetensors", "model-")):
            raise CheckpointError(
                f"{folder} holds {name}, weights of a whole model, but the run trains an adapter; delete that file, or "
                f"the checkpoint"
            )


class TrainingClock(TrainerCallback):
    """Counts the seconds of training. It keeps them in the Trainer's log, so that a resumed run continues counting.

    Attributes:
        step_seconds: seconds of the training steps only.
    """

    def __init__(self) -> None:
        self.previous_seconds, self.started = 0.0, time.perf_counter()
        self.step_seconds = self.step_started = 0.0

    @property
    def seconds(self) -> float:
        """Seconds so far, including those before an interruption."""
        return self.previous_seconds + time.perf_counter() - self.started

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start, from the seconds in the log."""
        self.previous_seconds = max((entry.get("clock", 0.0) for entry in state.log_history), default=0.0)
        self.step_seconds = max((entry.get("step_clock", 0.0) for entry in state.log_history), default=0.0)
        self.started = time.perf_counter()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start a step."""
        self.step_started = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """End a step."""
        self.step_seconds += time.perf_counter() - self.step_started

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write the seconds into the newest entry of the log."""
        state.log_history[-1] |= {"clock": self.seconds, "step_clock": self.step_seconds}
