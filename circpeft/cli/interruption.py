"""Ctrl-C, SIGTERM and a closed terminal: one line about what stays, the exit code of a shell, and no orphans.

The first signal raises KeyboardInterrupt, so that a command closes what it has opened: workers, kernels, a cluster. A
second one ends the process and its children at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from circpeft.escaping import print_text

# What stays after an interruption, and how to go on, by command. Other commands have nothing to keep.
STAYS = {
    "train": "the checkpoints of finished epochs stay; the same command continues the run",
    "sweep": "finished runs stay, and the finished epochs of the others; the same command continues the sweep",
    "course": "add --resume to the same command to run the others",
    "run": "add --resume to the same command to continue; finished trainings and epochs are kept",
    "rates": "finished trials stay; the same command continues",
    "report": "no file was changed; repeat the command",
    "merge": "OUT was not written; repeat the command",
    "export": "OUT was not written; repeat the command",
    "predict": "no predictions were written; repeat the command",
}
# Windows has no SIGHUP.
SIGNALS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__)


class Interrupted(KeyboardInterrupt):
    """A signal has ended the command.

    Attributes:
        number: the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Handler:
    """Handles the signals of one command; `number` is the first one that arrived, or 0."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise Interrupted, or end at once if a signal came before."""
        if self.number:
            end_at_once(number)
        self.number = number
        raise Interrupted(number)


@contextmanager
def handled(command: str, restored: bool) -> Iterator[None]:
    """Handle the signals while a ``with`` block runs a command of `STAYS`.

    Signals that the starting program ignores, such as those of ``nohup``, and those that it handles, stay as they are.

    Args:
        command: name of the command.
        restored: whether the signals are as before after the block. A program that ends does not need that, and a
            further Ctrl-C then ends it without a traceback.
    """
    handler = Handler()
    before: dict[signal.Signals, Any] = {}
    if command in STAYS and threading.current_thread() is threading.main_thread():
        # In a group, SIGTERM is the launcher's, and a process that waits for a dead one would not come to handle it.
        alone = os.environ.get("WORLD_SIZE", "1") in ("", "1")
        for number in SIGNALS if alone else SIGNALS[:1]:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        handler.number = handler.number or -1  # a signal while the program ends, ends it at once
        for number, earlier in before.items() if restored else ():
            signal.signal(number, earlier)


def exit_code(command: str, error: KeyboardInterrupt) -> int:
    """Print the line about an interruption, and return the exit code that a shell gives for its signal.

    In a group of processes, only the first one prints.
    """
    number = error.number if isinstance(error, Interrupted) else signal.SIGINT
    if command in STAYS and os.environ.get("RANK", "0") == "0":
        notes = "".join(f"{note}; " for note in getattr(error, "__notes__", ()))
        word = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        print_text(f"\ncircpeft {command}: {word}: {notes}{STAYS[command]}", file=sys.stderr)
    return 128 + number


def end_at_once(number: int) -> NoReturn:
    """End this process and those that it started, without any clean-up."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    os._exit(128 + number)
