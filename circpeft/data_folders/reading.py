"""Read the data set in a local folder, whatever its layout."""

from pathlib import Path

from datasets import DatasetDict

from .image_paths import refuse_outside
from .inventory import Inventory, scan
from .layout import Layout, TaskOptions
from .layouts import LAYOUTS
from .layouts.image_metadata import ImageMetadata
from .locate import choose_subfolder
from .split_names import split_named

SHOWN_ENTRIES = 8  # in the error for a folder without data


def read_folder(folder: str | Path, options: TaskOptions | None = None) -> DatasetDict:
    """Read the splits in a local folder, see `read_with_unused`."""
    return read_with_unused(folder, options)[0]


def read_with_unused(folder: str | Path, options: TaskOptions | None = None) -> tuple[DatasetDict, list[str]]:
    """Read the splits in a local folder, and the names of files and folders that look like data and are not read.

    The folder is listed once. The first of `layouts.LAYOUTS` that it has reads it. If it has none, one of its
    subfolders may: the only one that has, or the one that is named after the task or after the folder.

    Args:
        folder: the folder, or a path that starts with "~".
        options: what reading depends on beside the folder; without them, texts in any columns.

    Raises: FileNotFoundError for a path that is not a folder, and for a folder without data, with the layouts that are
    read and what to rename; ValueError for data that cannot be read or would be ignored silently (see the layouts), for
    several data sets, and for a table that names images outside the folder.
    """
    options = options or TaskOptions()
    data_folder = scan(folder)
    home = data_folder
    layout = _layout_of(data_folder, options)
    if layout is None:
        subfolders = [inner for inner in data_folder.folders if not split_named(inner.name)]
        matching = {inner: match for inner in subfolders if (match := _layout_of(inner, options))}
        chosen = choose_subfolder(data_folder, [*matching], options)
        if chosen is None:
            raise FileNotFoundError(_nothing_found(data_folder, options))
        home, layout = chosen, matching[chosen]
    data, unused = layout.read(home, options), home.unused
    if options.kind == "images":
        for split, rows in data.items():
            for column in {options.image_column, "image"}.intersection(rows.column_names):
                refuse_outside(rows, column, split, data_folder.path)
        unused += home.files_beside_images()
        splits = [split for same in home.split_folders.values() for split in same if split.folder_paths]
        if not isinstance(layout, ImageMetadata):
            unused += [f"{split.name}/{path.name}" for split in splits for path in split.metadata_files]
    return data, unused


def _layouts_for(options: TaskOptions) -> list[Layout]:
    return [layout for layout in LAYOUTS if options.kind in layout.kinds]


def _layout_of(folder: Inventory, options: TaskOptions) -> Layout | None:
    return next((layout for layout in _layouts_for(options) if layout.matches(folder, options)), None)


def _nothing_found(folder: Inventory, options: TaskOptions) -> str:
    """Return the error for a folder without data: what it holds, the layouts that are read, and what to change."""
    names = ", ".join(path.name for path in folder.entries[:SHOWN_ENTRIES]) or "nothing"
    layouts = _layouts_for(options)
    parts = [
        f"no data found in data_dir {str(folder.path)!r}, which holds {names}.",
        f"Expected one of: {'; '.join(layout.expected for layout in layouts)}.",
        *dict.fromkeys(hint for layout in layouts if (hint := layout.hint(folder, options))),
    ]
    if options.hub_name:
        parts.append(f"Of the published data, the layout that the hub has as {options.hub_name} is read.")
    return " ".join(parts)
