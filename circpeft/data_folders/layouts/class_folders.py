"""Images in a folder for each class, without splits: CLASS/picture.png."""

from __future__ import annotations

from pathlib import Path

from datasets import DatasetDict, Image

from ..inventory import Inventory
from ..layout import TaskOptions
from ..split_names import split_named, suggested_splits
from .split_class_folders import SplitClassFolders, read_classes


class ClassFolders:
    """Folders of images and nothing else: all of them are read as train."""

    kinds = ("images",)
    expected = "images in CLASS, without other files"

    def matches(self, inventory: Inventory, options: TaskOptions) -> bool:
        """Return whether the folder holds only folders of images; as a subfolder, it has to be the only one."""
        above = inventory.parent
        if above and (len(above.folders) > 1 or above.images or above.metadata_files):
            return False
        return _obstacle(inventory) == ""

    def read(self, inventory: Inventory, options: TaskOptions) -> DatasetDict:
        """Read all images as train, labelled with the names of their folders."""
        return DatasetDict(train=read_classes(inventory).cast_column("image", Image()))

    def hint(self, inventory: Inventory, options: TaskOptions) -> str:
        """Return why the images of a folder are not found; "" if its folders only have to be renamed."""
        return "" if SplitClassFolders().hint(inventory, options) else _reason(inventory)


def _reason(inventory: Inventory) -> str:
    """Return what keeps the images in a folder from being read; "" for a folder without folders."""
    flat = [folder for folder in inventory.folders if folder.images and not folder.folder_paths]
    splits = [folder.name for folder in flat if split_named(folder.name)]
    if splits and inventory.metadata_files:
        return f"Give each of {', '.join(splits)} a metadata.csv of its own, with its column file_name."
    if inventory.metadata_files:
        name = inventory.metadata_files[0].name
        return f"Move {name} and its images to train, with the paths in train in its column file_name."
    if splits:
        return f"{splits[0]} holds images, but neither class folders nor a metadata.csv."
    if pickles := [path.name for path in inventory.files if split_named(path.name)]:
        return f"{', '.join(pickles)} without an ending are not read (they may be pickles, as CIFAR's)."
    if len(inventory.folders) == 1 and not flat:  # the only folder may hold all of the data
        return _reason(inventory.folders[0])
    return f"{inventory.path.resolve().name} {_obstacle(inventory)}." if inventory.folders else ""


def _obstacle(inventory: Inventory) -> str:
    """Return why the folders in a folder are not the classes of one split; "" if they are."""
    classes = inventory.folders
    if len(classes) < 2:
        return "has fewer than two folders of images"
    names = [folder.name for folder in classes]
    similar = [*suggested_splits(names)]
    # A single name that resembles a split may be a class, such as rain.
    if taken := similar if len(similar) > 1 else [name for name in names if split_named(name)]:
        return f"has {taken[0]}, which looks like a split, among folders of images"
    others = [path for folder in classes for path in _entries_beside_images(folder)]
    others += [folder.path for folder in classes if not folder.entries] + inventory.images + inventory.metadata_files
    return f"has more than folders of images: {others[0].relative_to(inventory.path)}" if others else ""


def _entries_beside_images(folder: Inventory) -> list[Path]:
    images = {*folder.images}  # a set, because a class may have many thousands of images
    return [path for path in folder.entries if path not in images]
