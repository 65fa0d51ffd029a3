"""Data sets that save_to_disk wrote: all splits together, or one split."""

from __future__ import annotations

import os
from pathlib import Path

from datasets import Dataset, DatasetDict, load_from_disk

from ..arrow_values import check_values
from ..claimed_sizes import check_holes
from ..file_formats import DESCRIPTIONS
from ..image_paths import join_image_paths
from ..inventory import Inventory
from ..layout import TaskOptions
from ..refusals import refuse_near_misses
from ..split_names import SPLITS, split_named
from ..table_cache import linked


class SavedDatasets:
    """A folder that save_to_disk wrote. In a subfolder, a single split is not taken for all of the data."""

    kinds = ("text", "images", "instructions")
    expected = "a data set saved with save_to_disk"

    def matches(self, inventory: Inventory, options: TaskOptions) -> bool:
        """Return whether the folder holds a saved data set."""
        return inventory.is_saved_dict or inventory.is_saved_split and inventory.parent is None

    def read(self, inventory: Inventory, options: TaskOptions) -> DatasetDict:
        """Read the saved splits; splits with other names than train, validation and test keep their names.

        Raises: ValueError for two names of one split, for a name that resembles a missing split, and see `load_saved`.
        """
        names = inventory.saved_splits
        for split in SPLITS:
            if len(same := [name for name in names if split_named(name) == split]) > 1:
                raise ValueError(
                    f"the saved data set {str(inventory.path)!r} has several splits for {split}: {', '.join(same)}; "
                    f"keep one"
                )
        others = [name for name in names if split_named(name) is None]
        refuse_near_misses(inventory, names, [*others, *inventory.unused])
        saved = load_saved(inventory)
        by_name = saved if isinstance(saved, DatasetDict) else {names[0]: saved}
        return DatasetDict(
            {split_named(name) or name: with_image_paths(rows, inventory, options) for name, rows in by_name.items()}
        )

    def hint(self, inventory: Inventory, options: TaskOptions) -> str:
        """Return "": there is nothing to rename in a saved data set."""
        return ""


def load_saved(folder: Inventory) -> Dataset | DatasetDict:
    """Load what save_to_disk wrote into a folder, without writing there.

    Raises: ValueError for a split without rows, and for one whose description names a file outside its folder, or
    cannot be read; FileNotFoundError for a missing file.
    """
    for split in [folder, *folder.folders] if folder.is_saved_dict else [folder]:
        if split.is_saved_split:
            _check_names(split)
    files = _saved_files(folder)
    for file in files:
        check_holes(file)
    try:
        saved = load_from_disk(str(linked(folder.path, files)))
    except IndexError as error:  # datasets cannot read back a table that it saved without rows
        raise ValueError(
            f"empty split in the saved data set {str(folder.path)!r}: one of its splits has no rows"
        ) from error
    except FileNotFoundError as error:
        raise FileNotFoundError(f"the saved data set {str(folder.path)!r} lacks a file: {error}") from error
    except Exception as error:  # datasets trusts what it wrote: KeyError, TypeError, ArrowInvalid and more
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise ValueError(f"the saved data set {str(folder.path)!r} is damaged ({reason}); save it again") from error
    for rows in saved.values() if isinstance(saved, DatasetDict) else [saved]:
        check_values(rows, str(folder.path))
    return saved


def _check_names(split: Inventory) -> None:
    """Raise ValueError if the description of a saved split names anything but files in its folder."""
    state = split.description("state.json")
    files = state.get("_data_files")
    files = files if isinstance(files, list) else [files]
    names = [file.get("filename") if isinstance(file, dict) else file for file in files]
    for name in names:
        if not isinstance(name, str) or os.path.basename(name) != name or name in ("", ".", ".."):
            raise ValueError(
                f"state.json in {str(split.path)!r} names the file {str(name)[:200]!r}; expected one in that folder, "
                f"such as data-00000-of-00001.arrow"
            )


def with_image_paths(rows: Dataset, inventory: Inventory, options: TaskOptions) -> Dataset:
    """Return the rows with the paths of their images joined to the data folder, if the task is one on images."""
    if options.kind != "images":
        return rows
    root = inventory.parent or inventory
    column = options.image_column if options.image_column in rows.column_names else "image"
    return join_image_paths(rows, column, root.path)


def _saved_files(folder: Inventory) -> list[Path]:
    """Return what save_to_disk wrote, without the files that datasets cached beside it."""
    files = sorted([*folder.files, *(file for inner in folder.folders for file in inner.files)])
    return [f for f in files if f.name in DESCRIPTIONS or f.suffix == ".arrow" and not f.name.startswith("cache-")]
