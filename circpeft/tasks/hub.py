"""Data sets as the Hugging Face hub publishes them."""

from __future__ import annotations

from datasets import DatasetDict, load_dataset

from ..models import hub_errors

# Where the hub itself keeps what became of a data set that is a script: FOLDER/SPLIT/0000.parquet, a folder a
# configuration.
CONVERTED = "refs/convert/parquet"


def load_published(name: str, configuration: str | None = None) -> DatasetDict:
    """A data set of the hub; one that is published as a script, which nobody runs any more, as the hub converted it.

    Raises: FileNotFoundError, see `models.hub_errors`; that of a script names the branch to download from by hand.
    """
    with hub_errors(name, "data set"):
        try:
            return load_dataset(name, configuration)
        except RuntimeError as error:
            if "scripts are no longer supported" not in str(error):
                raise
            return load_dataset(name, data_dir=configuration, revision=CONVERTED)
