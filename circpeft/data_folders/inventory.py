"""What a data folder holds, listed once: its files, its folders, and the splits that their names stand for."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import limits
from ..files import expanded
from .file_formats import DESCRIPTIONS, is_data, is_image, stem_and_ending
from .missing_folder import alternative
from .split_files import shards, split_of_table
from .split_names import SPLITS, split_named

NO_DATA = ("README.md", "README.txt")  # beside images: nothing that a user would miss
# What Windows, macOS (in zip files) and Synology add to folders. Like names with a dot, they are not listed.
OF_SYSTEMS = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir"}
SPLIT_NAME = r"\w[\w.-]*"  # as datasets allows it


@dataclass(frozen=True, eq=False)
class Inventory:
    """The contents of one folder. A subfolder is listed when it is first asked for, and only once.

    Hidden files and folders, such as those of Jupyter (.ipynb_checkpoints) and macOS (._a.png), are left out.

    Args:
        path: the folder.
        files: its files in the order of their names; a link that leads nowhere counts as a file.
        folder_paths: its folders in the order of their names.
        parent: the inventory of the folder that contains it; None for the data folder itself.
    """

    path: Path
    files: tuple[Path, ...]
    folder_paths: tuple[Path, ...]
    parent: Inventory | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def entries(self) -> list[Path]:
        """Files and folders together, in the order of their names."""
        return sorted([*self.files, *self.folder_paths])

    @cached_property
    def folders(self) -> tuple[Inventory, ...]:
        """The inventory of each folder in this one."""
        return tuple(_listed(path, self) for path in self.folder_paths)

    @property
    def images(self) -> list[Path]:
        """Files with the ending of an image that is read."""
        return [path for path in self.files if is_image(path)]

    @property
    def metadata_files(self) -> list[Path]:
        """Files called metadata, with any ending: datasets takes them for descriptions of the images beside them."""
        return [path for path in self.files if stem_and_ending(path)[0].lower() == "metadata"]

    def with_folders_below(self) -> Iterator[Inventory]:
        """Yield this folder and the folders below it; links to folders are not followed."""
        yield self
        for folder in self.folders:
            if not folder.path.is_symlink():
                yield from folder.with_folders_below()

    def files_below(self) -> Iterator[Path]:
        """Yield all files in this folder and in the folders below it; links to folders are not followed."""
        for folder in self.with_folders_below():
            yield from folder.files

    @cached_property
    def split_folders(self) -> dict[str, list[Inventory]]:
        """Folders that are named after a split, by split."""
        by_split: dict[str, list[Inventory]] = {split: [] for split in SPLITS}
        for folder in self.folders:
            if split := split_named(folder.name):
                by_split[split].append(folder)
        return {split: folders for split, folders in by_split.items() if folders}

    @property
    def other_folders(self) -> list[Inventory]:
        """Folders that are not named after a split."""
        return [folder for folder in self.folders if not split_named(folder.name)]

    @property
    def is_saved_dict(self) -> bool:
        """Whether save_to_disk wrote a data set with all its splits into this folder."""
        return any(path.name == "dataset_dict.json" for path in self.files)

    @property
    def is_saved_split(self) -> bool:
        """Whether save_to_disk wrote a single split into this folder."""
        return {"state.json", "dataset_info.json"} <= {path.name for path in self.files}

    @cached_property
    def saved_splits(self) -> list[str]:
        """Names of the splits that save_to_disk wrote into this folder; a single split without a name is train.

        Raises: ValueError where the files that save_to_disk wrote cannot be read.
        """
        if self.is_saved_dict:
            names = self.description("dataset_dict.json").get("splits")
        elif self.is_saved_split:
            names = [self.description("state.json").get("_split") or "train"]
        else:
            return []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"cannot read the saved data set {str(self.path)!r}: it names no splits")
        if self.is_saved_split and not self.is_saved_dict:
            return [re.split(r"\W", names[0])[0]]  # train[:100] is a part of train
        if outside := [name for name in names if not re.fullmatch(SPLIT_NAME, name)]:
            raise ValueError(
                f"the saved data set {str(self.path)!r} names a split {outside[0][:200]!r}, not a folder in it"
            )
        return names

    def description(self, name: str) -> dict[str, Any]:
        """Return the content of a file that save_to_disk wrote beside the data.

        Raises: ValueError for a file that is larger than `limits.CONFIG`, or not a JSON object.
        """
        path = self.path / name
        limits.CONFIG.check(str(path), path.stat().st_size)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"cannot read the saved data set {str(self.path)!r}: {error!r}") from error
        if not isinstance(content, dict):
            raise ValueError(f"cannot read the saved data set {str(self.path)!r}: {name} is not an object")
        return content

    @cached_property
    def split_files(self) -> dict[str, list[Path]]:
        """Tables, shards and folders of saved splits, by split; empty in a saved data set."""
        by_split: dict[str, list[Path]] = {split: [] for split in SPLITS}
        if not self.saved_splits:
            for path in self.files:
                if path.name not in DESCRIPTIONS and (split := split_of_table(path)):
                    by_split[split].append(path)
            for split, folders in self.split_folders.items():
                for folder in folders:
                    by_split[split] += [folder.path] if folder.is_saved_split else shards(folder.path, folder.files)
        return {split: sorted(paths) for split, paths in by_split.items() if paths}

    @property
    def has_split_files(self) -> bool:
        """Whether the folder holds a saved data set or files of splits."""
        return self.is_saved_dict or bool(self.split_files)

    @property
    def tables_of_splits(self) -> list[Path]:
        """Tables and shards that are named after a split, and the file that marks a saved data set."""
        return [path for path in self.files if path.name == "dataset_dict.json" or split_of_table(path)]

    @cached_property
    def unused_files(self) -> list[str]:
        """Names of files that look like data and do not belong to a split."""
        return [path.name for path in self.files if self._is_unused(path)]

    def _is_unused(self, path: Path) -> bool:
        if path.name in DESCRIPTIONS or not is_data(path):
            return False
        if path.suffix.lower() == ".txt":  # other text files are notes
            return split_named(path.stem) is not None
        if self.saved_splits:
            return path.suffix.lower() != ".arrow"
        return split_of_table(path) is None

    @cached_property
    def unused_folders(self) -> list[str]:
        """Names of the subfolders that hold data but belong to no split."""
        used = {path for paths in self.split_files.values() for path in (*paths, *(path.parent for path in paths))}
        saved = {name.lower() for name in self.saved_splits}
        others = [folder for folder in self.folders if folder.path not in used and folder.name.lower() not in saved]
        return [folder.name for folder in others if folder._holds_data()]

    def _holds_data(self) -> bool:
        if split_named(self.name) or self.is_saved_split:
            return any(map(is_data, self.files))
        return self.has_split_files

    @property
    def unused(self) -> list[str]:
        """Names of what looks like data and is not read, here and among the files of the folder above.

        Folders count only beside tables and saved data sets: a folder beside class folders is rarely data.
        """
        above = self.parent.unused_files if self.parent else []
        here = self.unused_folders if self.saved_splits or self.split_files else []
        return [*above, *sorted([*self.unused_files, *here])]

    def files_beside_images(self) -> list[str]:
        """Count the files beside images in the folders of splits by their endings, and name one of each."""
        by_ending: dict[str, list[Path]] = {}
        splits = [split for same in self.split_folders.values() for split in same]
        for folder in (inner for split in splits for inner in split.with_folders_below() if inner.images):
            for path in folder.files:
                if not is_image(path) and path not in folder.metadata_files and path.name not in NO_DATA:
                    by_ending.setdefault(path.suffix.lower() or "other", []).append(path)
        return [
            f"{len(paths)} {ending} file{'s' * (len(paths) > 1)} beside images, such as "
            f"{paths[0].relative_to(self.path).as_posix()}"
            for ending, paths in sorted(by_ending.items())
        ]


def scan(folder: str | Path) -> Inventory:
    """List a data folder.

    Raises: FileNotFoundError for a path that is not a folder, with the nearest one.
    """
    path = Path(expanded(folder))
    if not path.is_dir():
        raise FileNotFoundError(f"data_dir {str(path)!r} is not a folder; {alternative(path)}")
    return _listed(path, None)


def _listed(path: Path, parent: Inventory | None) -> Inventory:
    with os.scandir(path) as entries:
        visible = sorted((entry for entry in entries if not _is_hidden(entry.name)), key=lambda entry: entry.name)
    folders = [entry.is_dir() for entry in visible]
    paths = [path / entry.name for entry in visible]
    return Inventory(
        path,
        tuple(entry for entry, is_folder in zip(paths, folders, strict=True) if not is_folder),
        tuple(entry for entry, is_folder in zip(paths, folders, strict=True) if is_folder),
        parent,
    )


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in OF_SYSTEMS
