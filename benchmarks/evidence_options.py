"""The options of benchmarks/evidence.py, as every part gets them."""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

from circpeft import results


@dataclass(frozen=True)
class Options:
    """How to run the parts.

    Attributes:
        folder: where runs and intermediate results go.
        smoke: whether to run only what shows that the part works, in seconds.
        seeds: number of seeds of the training runs.
        workers: number of processes at the same time, which share the cores.
        minutes: time limit of the whole command.
        data: folder with the data folders of the part on real text, or None.
        kept: names of runs that the parts' records have already, and that are not made again.
        started: when the command started, by `time.monotonic`.
    """

    folder: Path = results.default_folder("evidence")
    smoke: bool = False
    seeds: int = 3
    workers: int = 2
    minutes: float = math.inf
    data: Path | None = None
    kept: frozenset[str] = frozenset()
    started: float = field(default_factory=time.monotonic)

    @property
    def is_over(self) -> bool:
        """Whether the time limit has passed."""
        return time.monotonic() - self.started >= 60 * self.minutes
