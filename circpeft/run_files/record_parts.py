"""Types of the parts of a record that are objects: those of their keys that are read. Each may have others."""

from __future__ import annotations

from typing import Annotated, Any

from .json_files import Count, Holding, Name

Settings = Annotated[
    dict,
    Holding(
        {"hyperparameters": dict, "model": Name},
        {"task": Name, "method": Name, "seed": Count, "target_modules": Name | list[Name]},
    ),
]
Computation = Annotated[
    dict, Holding({}, {"device": Name, "precision": Name, "processes": Count, "switches": dict[str, Any]})
]
Epoch = Annotated[dict, Holding({"epoch": int | float, "score": float, "loss": float})]
Loss = Annotated[dict, Holding({"epoch": int | float, "loss": float})]
WeightFile = Annotated[dict, Holding({"bytes": Count, "sha256": Name})]
# A run may fail before its hyperparameters are known to be possible.
FailedSettings = Annotated[dict, Holding({"task": Name, "method": Name, "model": Name, "seed": Count})]
