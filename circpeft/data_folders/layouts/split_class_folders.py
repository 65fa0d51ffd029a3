"""Images in a folder for each class, in a folder for each split: train/CLASS/picture.png."""

from __future__ import annotations

from datasets import Dataset, DatasetDict, Image

from ...suggest import nearest
from ..file_formats import IMAGES, UNREAD_IMAGES, is_image
from ..inventory import Inventory
from ..layout import TaskOptions
from ..refusals import refuse_tables_beside
from ..split_names import SPLIT_OF, suggested_splits


class SplitClassFolders:
    """Folders train, validation and test, each with a folder of images for each class."""

    kinds = ("images",)
    expected = "images in train/CLASS, test/CLASS and so on"

    def matches(self, inventory: Inventory, options: TaskOptions) -> bool:
        """Return whether a folder named after a split holds folders."""
        return any(folder.folder_paths for folders in inventory.split_folders.values() for folder in folders)

    def read(self, inventory: Inventory, options: TaskOptions) -> DatasetDict:
        """Read the paths of the images as "image", and the names of their folders as "label".

        Raises: ValueError for everything that would be ignored silently: a second folder of a split, a split without
        class folders, what `read_classes` refuses, a table beside the folders, and images of the same classes in a
        folder that is not named after a split.
        """
        data, without_classes = DatasetDict(), []
        for split, folders in inventory.split_folders.items():
            if not any(folder.folder_paths for folder in folders):
                without_classes.append(folders[0])
                continue
            if len(folders) > 1:
                names = ", ".join(folder.name for folder in folders)
                raise ValueError(f"data_dir {str(inventory.path)!r} has several folders for {split}: {names}; keep one")
            data[split] = read_classes(folders[0])
        if without_classes:
            raise ValueError(
                f"{str(without_classes[0].path)!r} holds no class folders, but other splits do; put its images into "
                f"folders named after their classes, or move it away"
            )
        used = ", ".join(sorted(folder.name for folders in inventory.split_folders.values() for folder in folders))
        refuse_tables_beside(inventory, f"class folders ({used})")
        _refuse_same_classes_elsewhere(inventory, data, used)
        return DatasetDict({split: rows.cast_column("image", Image()) for split, rows in data.items()})

    def hint(self, inventory: Inventory, options: TaskOptions) -> str:
        """Return how to rename folders of images with names that resemble splits."""
        folders = [folder.name for folder in inventory.folders if folder.folder_paths or folder.images]
        splits = suggested_splits(folders)
        renames = [f"{name} to {split}" for name, split in splits.items() if name.lower() not in SPLIT_OF]
        return f"Rename {', '.join(renames)}." if renames else ""


def read_classes(split: Inventory) -> Dataset:
    """Read the paths of the images in class folders, each with the name of its folder.

    Raises: ValueError for images beside the class folders, and for a class folder without images, with images in a
    format that is not read, or with images in a folder of its own.
    """
    if split.images:
        example = f"{split.folders[0].name}/{split.images[0].name}"
        raise ValueError(
            f"{str(split.images[0])!r} is beside the class folders of {split.name}; move it into one, such as {example}"
        )
    rows: dict[str, list] = {"image": [], "label": []}
    for folder in split.folders:
        if unread := [path.name for path in folder.files if path.suffix.lower() in UNREAD_IMAGES]:
            raise ValueError(
                f"class folder {str(folder.path)!r} holds {unread[0]}, which is not read; convert it to one of "
                f"{', '.join(IMAGES)}, or move it away"
            )
        for inner in folder.folders:
            if below := sorted(filter(is_image, inner.files_below())):
                raise ValueError(
                    f"class folder {str(folder.path)!r} holds images in a folder of its own: "
                    f"{below[0].relative_to(folder.path)}; move them into {folder.name}, or make {inner.name} a class"
                )
        if not folder.images:
            raise ValueError(
                f"class folder {str(folder.path)!r} holds no images; expected files as {', '.join(IMAGES)}"
            )
        rows["image"] += map(str, folder.images)
        rows["label"] += [folder.name] * len(folder.images)
    return Dataset.from_dict(rows)


def _refuse_same_classes_elsewhere(inventory: Inventory, data: DatasetDict, used: str) -> None:
    """Raise ValueError for images of the same classes in a folder that is not named after a split."""
    classes = {name.lower() for rows in data.values() for name in rows.unique("label")}
    for folder in inventory.other_folders:
        if same := [inner.name for inner in folder.folders if inner.name.lower() in classes and inner.images]:
            raise ValueError(
                f"data_dir {str(inventory.path)!r} has images of class {same[0]!r} in {folder.name}, which is not a "
                f"split, beside those in {used}; {nearest(folder.name.lower(), SPLIT_OF)}"
            )
