"""Data sets from the Hugging Face hub."""

from __future__ import annotations

from typing import Any

from datasets import DatasetDict, load_dataset

from ..models import hub_errors
from .splits import first_rows

# The branch in which the hub keeps its conversion of a data set: CONFIGURATION/SPLIT/0000.parquet.
CONVERTED = "refs/convert/parquet"


def load_published(name: str, configuration: str | None = None) -> DatasetDict:
    """Load a data set from the hub. One that is published as a script, which datasets no longer runs, is loaded from
    the hub's conversion.

    Raises: FileNotFoundError, see `models.hub_errors`; for a script, it names the branch to download by hand.
    """
    with hub_errors(name, "data set"):
        try:
            return load_dataset(name, configuration)
        except RuntimeError as error:
            if "scripts are no longer supported" not in str(error):
                raise
            return load_dataset(name, data_dir=configuration, revision=CONVERTED)


def published_share(task: Any, data: DatasetDict) -> DatasetDict:
    """Return the share of each published split that a task uses, drawn with a fixed seed.

    Data from a data folder is always used completely.
    """
    share = getattr(task, "share", 1.0)
    if share == 1.0:
        return data
    return DatasetDict({n: first_rows(rows, max(1, int(len(rows) * share))) for n, rows in data.items()})
