"""Training on transformers' Trainer: a recipe goes in, a record comes out.

`run` does it all: it looks for a record, then calls `prepare`, `train` and `record`. `check` does what `prepare` does
for many recipes, without what is expensive.
"""

from ..resume import CheckpointError
from .base_model import UnfitModelError
from .kinds import KINDS, TaskKind
from .loop import Trained, train
from .pipeline import read_or_prepare, recorded, run, train_and_record
from .preparation import Prepared, Rows, check, data_of, prepare
from .recording import device_name, record
from .saving import load_trained, weight_faults, weights_of
from .trials import Trial, trial

__all__ = [
    "KINDS",
    "CheckpointError",
    "Prepared",
    "Rows",
    "TaskKind",
    "Trained",
    "Trial",
    "UnfitModelError",
    "check",
    "data_of",
    "device_name",
    "load_trained",
    "prepare",
    "read_or_prepare",
    "record",
    "recorded",
    "run",
    "train",
    "train_and_record",
    "trial",
    "weight_faults",
    "weights_of",
]
