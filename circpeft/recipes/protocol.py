"""The protocol of each printed table: epochs, the epoch that is tested, the statistic and the number of seeds.

Each choice has the sentence that it comes from, and its place. Where a paper says nothing, the choice is ours, and the
note gives the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..suggest import nearest

STATISTICS = ("mean", "median")


@dataclass(frozen=True)
class Choice:
    """One choice of a protocol.

    Args:
        value: what the recipes do.
        sentence: the words of the paper, or "" if it does not say.
        place: where they stand; "" without a sentence.
        note: why the value is ours, without a sentence.
    """

    value: Any
    sentence: str = ""
    place: str = ""
    note: str = ""

    @property
    def is_printed(self) -> bool:
        """Whether the paper says so."""
        return bool(self.sentence)


@dataclass(frozen=True)
class Protocol:
    """How the runs of a table are trained, tested and summarised.

    Args:
        epochs: number of epochs in the profile ``paper``; 0 takes the profile's.
        tested_epoch: "best" on validation, or "last", as in `Recipe`.
        statistic: "mean" or "median" over the seeds.
        seeds: number of runs for each cell in the profile ``paper``.
    """

    epochs: Choice
    tested_epoch: Choice
    statistic: Choice
    seeds: Choice

    def choices(self) -> dict[str, Choice]:
        """Return the choices by name."""
        return dict(vars(self))

    def settings(self, profile: str) -> dict[str, Any]:
        """Return the settings of `Recipe` that the protocol decides under a profile.

        Where nothing is chosen on validation, no rows are held out of train for it.

        >>> PROTOCOLS["c3a-3"].settings("paper")
        {'tested_epoch': 'last', 'epochs': 1}
        """
        settings = {"tested_epoch": self.tested_epoch.value}
        return settings | ({"epochs": self.epochs.value} if profile == "paper" and self.epochs.value else {})


def checked_statistic(name: str) -> str:
    """Return the name of a statistic.

    Raises: ValueError for an unknown one, with the choices.
    """
    if name not in STATISTICS:
        raise ValueError(f"unknown statistic {name!r}; {nearest(name, STATISTICS)}")
    return name


_MEAN = Choice("mean", note="not printed: the usual statistic")
_ONE_SEED = Choice(1, note="not printed: give the number")
_NO_EPOCHS = Choice(0, note="not printed: the profile's")
_C3A_BEST = (
    "The best-performing model is selected based on validation set performance across the fine-tuning epochs, and the "
    "reported performance corresponds to its performance on the test set."
)
_C3A_TEN = (
    "The models are fine-tuned for 10 epochs, and the best-performing model, based on validation set accuracy, is "
    "selected."
)
_C3A_ONE = "All experiments are conducted for a standard single pass (epoch) over the dataset."
_CDVFT_TEN = "The experiments report the accuracy (%) after 10 epochs."
_CDVFT_FIVE = "we also report the median result out of 5 runs, each with a different random seed"

# Which alpha each cell of C3A Table 3 has is not printed; 64 is the geometric mean of 32 and 128: alpha / r = 2.
C3A_TABLE_3_LORA = Choice(
    {"r": 32, "alpha": 64, "dropout": 0.05},
    "we maintain LoRA parameters with r=32 and a dropout rate of 0.05, while exploring various α values ranging from "
    "32 to 128",
    "section 4.3, Settings",
)

PROTOCOLS = {
    "cdvft-1": Protocol(
        epochs=_NO_EPOCHS,
        tested_epoch=Choice("best", note="not printed: as in C3A Table 2, on the same tasks"),
        statistic=Choice("median", _CDVFT_FIVE, "Table 1, caption"),
        seeds=Choice(5, _CDVFT_FIVE, "Table 1, caption"),
    ),
    "cdvft-2": Protocol(
        epochs=Choice(10, _CDVFT_TEN, "Table 2, caption"),
        tested_epoch=Choice("last", _CDVFT_TEN, "Table 2, caption"),
        statistic=_MEAN,
        seeds=_ONE_SEED,
    ),
    "cdvft-3": Protocol(
        epochs=_NO_EPOCHS,
        tested_epoch=Choice("last", note="not printed: the profile has one epoch, so there is nothing to choose"),
        statistic=_MEAN,
        seeds=_ONE_SEED,
    ),
    "c3a-2": Protocol(
        epochs=_NO_EPOCHS,
        tested_epoch=Choice("best", _C3A_BEST, "section 4.2, Settings"),
        statistic=_MEAN,
        seeds=_ONE_SEED,
    ),
    "c3a-3": Protocol(
        epochs=Choice(1, _C3A_ONE, "section 4.3, Settings"),
        tested_epoch=Choice("last", _C3A_ONE, "section 4.3, Settings"),
        statistic=_MEAN,
        seeds=_ONE_SEED,
    ),
    "c3a-4": Protocol(
        epochs=Choice(10, _C3A_TEN, "Table 4, caption"),
        tested_epoch=Choice("best", _C3A_TEN, "Table 4, caption"),
        statistic=_MEAN,
        seeds=_ONE_SEED,
    ),
}
