"""What to do with a folder in which no images are found."""

from __future__ import annotations

from pathlib import Path

from .image_folders import described, hindrance, inside_of
from .locate import visible
from .split_names import SPLIT_OF, renamed

PLACES = "train/CLASS, test/CLASS and so on, in CLASS alone, or where train/metadata.csv names them"


def hint(folder: Path, hub: tuple[str, ...] | None) -> str:
    """Where images are looked for, and what of it is otherwise in this folder.

    Args:
        folder: the folder.
        hub: where the hub has the task's data, if it has.
    """
    new = renamed([path.name for path in inside_of(folder)[0] if any(inside_of(path))])
    moves = ", ".join(f"{name} to {split}" for name, split in new.items() if name.lower() not in SPLIT_OF)
    published = f"; of the published ones, the form is read that the hub has as {hub[0]}" if hub else ""
    return f"images may also lie in {PLACES}" + (f": rename {moves}" if moves else _otherwise(folder)) + published


def _otherwise(folder: Path) -> str:
    folders = inside_of(folder)[0]
    flat = [path for path in folders if inside_of(path)[1] and not inside_of(path)[0]]
    splits = [path.name for path in flat if path.name.lower() in SPLIT_OF]
    if splits and described(folder):
        return f": {', '.join(splits)} each need a metadata.csv of their own, with its column file_name"
    if table := described(folder):
        return f": move {table[0].name} and its images to train, with their paths there in its column file_name"
    if splits:
        return f": {splits[0]} holds images, but neither folders of their classes nor a metadata.csv"
    if pickles := [path.name for path in visible(folder) if path.is_file() and path.name.lower() in SPLIT_OF]:
        return f": {', '.join(pickles)} without an ending are not read (they may be pickles, as CIFAR's)"
    if len(folders) == 1 and not flat:  # all may lie in one more
        return _otherwise(folders[0])
    return f": {folder.resolve().name} {hindrance(folder)}" if folders else ""
