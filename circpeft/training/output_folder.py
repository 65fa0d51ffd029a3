"""Check that a run can write into its output folder, without writing anything."""

from __future__ import annotations

from pathlib import Path

from .. import files
from ..recipes import Recipe

FOLDERS = ("results", "checkpoints", "adapters", "models", "logs", "weight_changes")


def check(recipe: Recipe) -> None:
    """Raise if a run could not write its record, its checkpoints or its weights.

    Raises: NotADirectoryError if a file is in the way, PermissionError for a folder that cannot be written to; both
    name the path.
    """
    for name in FOLDERS:
        try:
            files.check_writable(Path(recipe.output_dir, name).expanduser())
        except OSError as error:
            message = f"cannot write in output_dir {recipe.output_dir!r}: {error}; give another output folder"
            raise type(error)(message) from None
