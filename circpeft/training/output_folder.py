"""Check that a run can write into its output folder, without writing anything."""

from __future__ import annotations

import os
from pathlib import Path

from ..recipes import Recipe

FOLDERS = ("results", "checkpoints", "adapters", "models", "logs", "weight_changes")


def check(recipe: Recipe) -> None:
    """Raise if a run could not write its record, its checkpoints or its weights.

    Raises: NotADirectoryError if a file is in the way, PermissionError for a folder that cannot be written to; both
    name the path.
    """
    for name in FOLDERS:
        path = Path(recipe.output_dir, name).expanduser().absolute()
        existing = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
        if not existing.is_dir():
            raise NotADirectoryError(
                f"cannot write in output_dir {recipe.output_dir!r}: {str(existing)!r} is not a folder; give another "
                f"output folder"
            )
        if not os.access(existing, os.W_OK | os.X_OK):
            raise PermissionError(
                f"cannot write in output_dir {recipe.output_dir!r}: no permission to write in {str(existing)!r}; give "
                f"another output folder"
            )
