"""Images in folders: SPLIT/CLASS/picture.png or CLASS/picture.png, and those that a table names by their paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.compute
from datasets import Dataset, DatasetDict, Image, Value

from ..suggest import nearest
from . import tables
from .locate import one_home, visible
from .split_names import SPLIT_OF, SPLITS, renamed

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif")
# Pictures in a form that Pillow does not read alone, or not as a picture of pixels.
NOT_READ = (".heic", ".heif", ".jxl", ".svg", ".psd", ".dng", ".cr2", ".nef", ".ico", ".npy", ".npz")


def read(folder: Path) -> DatasetDict | None:
    """Images from ``folder/SPLIT/CLASS/*``, labelled with CLASS; None where there is no such split.

    Raises: ValueError for anything that would be left out without a word: two folders of one split, a split without
    class folders beside one that has them, a class folder without images, with some in a form that is not read or with
    further folders of them, images outside of class folders, a folder like a split under another name, or a table
    beside the folders.
    """
    found: dict[str, list[Path]] = {}
    for path in inside_of(folder)[0] if folder.is_dir() else ():
        found.setdefault(SPLIT_OF.get(path.name.lower(), ""), []).append(path)
    others, parts, flat = found.pop("", []), DatasetDict(), []
    for split, paths in sorted(found.items(), key=lambda item: list(SPLITS).index(item[0])):
        if not any(inside_of(path)[0] for path in paths):
            flat.append(paths[0])
            continue
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            raise ValueError(f"data_dir {str(folder)!r} has several folders for {split}: {names}; keep one")
        parts[split] = _split(paths[0])
    if not parts:
        return None
    if flat:
        raise ValueError(
            f"{str(flat[0])!r} holds no class folders; the other splits have some: put its images into folders of "
            f"their classes, or move it away"
        )
    _nothing_beside(folder, parts, others)
    return DatasetDict({split: rows.cast_column("image", Image()) for split, rows in parts.items()})


def inside(folder: Path, names: tuple[str, ...]) -> DatasetDict | None:
    """What `read` makes of the folder in this one that holds splits, see `locate.one_home`; None where there is none.

    Raises: ValueError for several such folders or another task's, or see `read`.
    """
    homes = [path for path in inside_of(folder)[0] if any(_classes(inner) for inner in inside_of(path)[0])]
    home = one_home(folder, homes, names)
    return read(home) if home else None


def unsplit(folder: Path, names: tuple[str, ...]) -> DatasetDict | None:
    """Images from ``folder/CLASS/*`` as train, or those of the folder that is alone in this one.

    None where there are other things than folders of images (see `hindrance`).

    Raises: ValueError for another task's folder.
    """
    folders, pictures = inside_of(folder)
    alone = len(folders) == 1 and not pictures and not described(folder)
    home = one_home(folder, folders, names) if alone else folder
    return None if hindrance(home) else DatasetDict(train=_split(home).cast_column("image", Image()))


def hindrance(folder: Path) -> str:
    """Why the folders in a folder are no classes of one split; nothing where they are, and all hold images alone."""
    classes, pictures = inside_of(folder)
    if len(classes) < 2:
        return "has fewer than two folders of images"
    names = [path.name for path in classes]
    like = [*renamed(names)]
    # One alone that is only like a split's may be a class, such as rain.
    if taken := like if len(like) > 1 else [name for name in names if name.lower() in SPLIT_OF]:
        return f"has {taken[0]}, which looks like a split, among folders of images"
    more = [path for inner in classes for path in visible(inner) if path.suffix.lower() not in SUFFIXES]
    more += [path for path in classes if not visible(path)] + pictures + described(folder)
    return f"has more than folders of images: {more[0].relative_to(folder)}" if more else ""


def described(folder: Path) -> list[Path]:
    """Tables in a folder that datasets takes for a description of the images beside them."""
    return [path for path in visible(folder) if path.is_file() and tables.named(path)[0].lower() == "metadata"]


def _classes(folder: Path) -> bool:
    return folder.name.lower() in SPLIT_OF and bool(inside_of(folder)[0])


def _split(folder: Path) -> Dataset:
    classes, strays = inside_of(folder)
    if strays:
        raise ValueError(
            f"{str(strays[0])!r} lies beside the class folders of {folder.name}; expected it in one, such as "
            f"{classes[0].name}/{strays[0].name}"
        )
    rows: dict[str, list] = {"image": [], "label": []}
    for path in classes:
        deeper, files = inside_of(path)
        if other := sorted(file.name for file in path.iterdir() if file.suffix.lower() in NOT_READ and _seen(file)):
            raise ValueError(
                f"class folder {str(path)!r} holds {other[0]}, which is not read; expected images as "
                f"{', '.join(SUFFIXES)}: convert it, or move it away"
            )
        for inner in deeper:
            lost = sorted(file for file in inner.rglob("*") if file.suffix.lower() in SUFFIXES and _seen(file))
            if lost:
                raise ValueError(
                    f"class folder {str(path)!r} holds images in a further folder: "
                    f"{lost[0].relative_to(path)}; expected them in {path.name} itself, or {inner.name} as a class"
                )
        if not files:
            raise ValueError(f"class folder {str(path)!r} holds no images ({', '.join(SUFFIXES)})")
        rows["image"] += map(str, files)
        rows["label"] += [path.name] * len(files)
    return Dataset.from_dict(rows)


def _nothing_beside(folder: Path, parts: DatasetDict, others: list[Path]) -> None:
    used = sorted(path.name for path in inside_of(folder)[0] if path.name.lower() in SPLIT_OF)
    no_table_beside(folder, f"class folders ({', '.join(used)})")
    classes = {name.lower() for rows in parts.values() for name in rows.unique("label")}
    for path in others:
        alike = [inner.name for inner in inside_of(path)[0] if inner.name.lower() in classes and inside_of(inner)[1]]
        if alike:
            raise ValueError(
                f"data_dir {str(folder)!r} has images of class {alike[0]!r} in {path.name}, which is no split, beside "
                f"those in {', '.join(used)}; {nearest(path.name.lower(), SPLIT_OF)}"
            )


def no_table_beside(folder: Path, what: str) -> None:
    """Raise ValueError for a table of a split, or a saved data set, beside folders that are read."""
    for path in sorted(folder.iterdir()):
        stem, ending = tables.named(path)
        table = ending in tables.READERS and stem.lower() in SPLIT_OF and path.is_file()
        if table or path.name == "dataset_dict.json":
            raise ValueError(
                f"data_dir {str(folder)!r} holds both {what} and {path.name}; keep one (images that a table names may "
                f"lie in a folder such as 'pictures')"
            )


def inside_of(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders and the images in a folder."""
    seen = visible(folder)
    images = [path for path in seen if path.suffix.lower() in SUFFIXES]
    return [path for path in seen if path.suffix.lower() not in SUFFIXES and path.is_dir()], images


def _seen(path: Path) -> bool:
    return not path.name.startswith(".")


def beside(rows: Dataset, column: str, folder: Path) -> Dataset:
    """The rows of a table in ``folder``, with the paths of images that are relative to it joined to it."""
    feature = rows.features.get(column)
    texts = isinstance(feature, Value) and "string" in feature.dtype
    if not (texts or isinstance(feature, Image) or isinstance(feature, dict) and "path" in feature):
        return rows
    table = rows.cast_column(column, Image(decode=False)).data.column(column)
    outside = pyarrow.compute.is_null(pyarrow.compute.struct_field(table, "bytes"))
    paths = pyarrow.compute.if_else(outside, pyarrow.compute.struct_field(table, "path"), None).to_pylist()
    # Joined, an absolute path stays as it is; none and a blank one say that there is no image.
    joined = [path if not path or "://" in path else str(folder / path) for path in paths]
    if joined == paths:
        return rows
    if texts:
        return _replaced(rows, column, joined)
    pictures = rows.cast_column(column, Image(decode=False))[column]
    made = [
        row and {**row, "path": path if row["bytes"] is None else row["path"]}
        for row, path in zip(pictures, joined, strict=True)
    ]
    return _replaced(rows, column, made, Image())


def _replaced(rows: Dataset, column: str, values: list, feature: Any = None) -> Dataset:
    """With other values in a column, which may be the only one: a table without columns would have no rows either."""
    old = f"{column} of the table"
    return rows.rename_column(column, old).add_column(column, values, feature=feature).remove_columns(old)
