"""Move the files of a saved adapter from a temporary folder into the folder where it belongs."""

from __future__ import annotations

import os
from pathlib import Path

from peft.utils import SAFETENSORS_WEIGHTS_NAME, WEIGHTS_NAME

from ..files import apply_umask, make_folder, sync_folder, sync_tree

OTHER_FORMAT = {SAFETENSORS_WEIGHTS_NAME: WEIGHTS_NAME, WEIGHTS_NAME: SAFETENSORS_WEIGHTS_NAME}


def move_files(source: Path, target: Path) -> None:
    """Move an adapter's files to another folder on the same disk, the config last: it makes the folder an adapter.

    Each file is on the disk before it has its name there. Other files in the folder stay as they are, except for
    weights in the other format, which might be loaded instead.
    """
    apply_umask(source)  # safetensors makes files that only their owner can read
    sync_tree(source)
    folders = {target}
    for _, path in sorted((path.suffix == ".json", path) for path in source.rglob("*") if path.is_file()):
        place = target / path.relative_to(source)
        make_folder(place.parent)
        os.replace(path, place)
        if path.name in OTHER_FORMAT:
            place.with_name(OTHER_FORMAT[path.name]).unlink(missing_ok=True)
        folders.add(place.parent)
    for folder in folders:
        sync_folder(folder)
