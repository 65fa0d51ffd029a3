"""Errors for data that looks like a split and would be ignored silently."""

from collections.abc import Iterable

from .file_formats import TABLE_ENDINGS
from .inventory import Inventory
from .split_names import SPLITS, resembles, split_named


def refuse_near_misses(inventory: Inventory, present: Iterable[str], unread: Iterable[str]) -> None:
    """Raise ValueError if a split is missing and the name of something that is not read resembles it.

    Args:
        inventory: the folder.
        present: names of the splits that are read.
        unread: names of files, folders and saved splits that are not read.
    """
    missing = [split for split in SPLITS if split not in map(split_named, [*present])]
    for name in unread:
        for split in missing:
            if resembles(name, split):
                raise ValueError(
                    f"data_dir {str(inventory.path)!r} has no {split} split, and {name}, which looks like one, is not "
                    f"read. Rename or convert it to {split} as {TABLE_ENDINGS}, saved with save_to_disk or arranged as "
                    f"the other splits, or move it away"
                )


def refuse_tables_beside(inventory: Inventory, source: str) -> None:
    """Raise ValueError if a table of a split, or a saved data set, is beside the folders that are read."""
    if tables := inventory.tables_of_splits:
        raise ValueError(
            f"data_dir {str(inventory.path)!r} holds both {source} and {tables[0].name}; keep one (images that a table "
            f"names may be in a folder such as 'pictures')"
        )
