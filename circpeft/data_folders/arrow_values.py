"""Check the values of a table that was read from Arrow's own formats, which nothing else has looked at."""

import pyarrow
from datasets import Dataset


def check_values(rows: Dataset, place: str) -> None:
    """Check that all values are within the file, and that texts are UTF-8. Otherwise using them fails, or crashes.

    Raises: ValueError, with the place.

    >>> check_values(Dataset.from_dict({"sentence": ["a"]}), "train.parquet")
    """
    try:
        rows.data.validate(full=True)
    except pyarrow.ArrowException as error:
        raise ValueError(f"cannot read {place!r}: its values are damaged ({error})") from error
