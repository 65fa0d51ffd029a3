"""Data sets that save_to_disk wrote, of all splits together or of each alone."""

import json
import re
from pathlib import Path

from datasets import Dataset, DatasetDict, load_from_disk

from .split_names import SPLIT_OF, SPLITS
from .table_cache import linked

ABOUT = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")  # not data, but about it


def names(folder: Path) -> list[str]:
    """Splits of a data set that save_to_disk wrote into this folder; one that was saved alone is train if unnamed."""
    try:
        if (folder / "dataset_dict.json").exists():
            return json.loads((folder / "dataset_dict.json").read_text())["splits"]
        if is_alone(folder):
            written = json.loads((folder / "state.json").read_text()).get("_split") or "train"
            return [re.split(r"\W", written)[0]]  # train[:100] is of train
    except (ValueError, KeyError) as error:
        raise ValueError(f"cannot read the saved data set {str(folder)!r}: {error!r}") from error
    return []


def is_alone(folder: Path) -> bool:
    """Whether save_to_disk wrote one split into this folder."""
    return (folder / "state.json").exists() and (folder / "dataset_info.json").exists()


def refuse_twice(folder: Path, there: list[str]) -> None:
    """Raise ValueError where two names of a saved data set are one split's."""
    for split in SPLITS:
        if len(same := [name for name in there if SPLIT_OF.get(name.lower()) == split]) > 1:
            raise ValueError(
                f"the saved data set {str(folder)!r} has several splits for {split}: {', '.join(same)}; keep one"
            )


def read(folder: Path) -> DatasetDict:
    """The splits of a saved data set, by their own names where these are no split's.

    Raises: see `load`.
    """
    saved = load(folder)
    if isinstance(saved, Dataset):
        saved = {names(folder)[0]: saved}
    return DatasetDict({SPLIT_OF.get(name.lower(), name): rows for name, rows in saved.items()})


def load(folder: Path) -> Dataset | DatasetDict:
    """What save_to_disk wrote into a folder; nothing is written there.

    Raises: ValueError for a split without rows, FileNotFoundError for a file that is missing.
    """
    try:
        return load_from_disk(str(linked(folder, _files(folder))))
    except IndexError as error:  # datasets cannot read back a table that it saved without rows
        raise ValueError(f"empty split in the saved data set {str(folder)!r}: one of its splits has no rows") from error
    except FileNotFoundError as error:
        raise FileNotFoundError(f"the saved data set {str(folder)!r} is not whole: {error}") from error


def _files(folder: Path) -> list[Path]:
    """What save_to_disk wrote, without what datasets may have kept beside it of what was made of it."""
    there = sorted([*folder.glob("*"), *folder.glob("*/*")])
    return [p for p in there if p.name in ABOUT or p.suffix == ".arrow" and not p.name.startswith("cache-")]
