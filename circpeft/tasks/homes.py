"""Where in a folder the data lie: what is to be seen there, and which of several folders is meant."""

from collections.abc import Iterable
from pathlib import Path

from .split_names import plain


def visible(folder: Path) -> list[Path]:
    """What a folder holds, in order, without what Jupyter (.ipynb_checkpoints) or macOS (._a.png) leave."""
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]


def one_home(folder: Path, homes: list[Path], names: Iterable[str] = ()) -> Path | None:
    """The only one of the folders in a folder that hold data, or the one with one of these names; None of none.

    Raises: ValueError for several.
    """
    meant = [path for path in homes if plain(path.name) in map(plain, names)] if len(homes) > 1 else homes
    if len(homes) > 1 and len(meant) != 1:
        there = ", ".join(path.name for path in homes)
        raise ValueError(f"data_dir {str(folder)!r} holds several data sets: {there}; give one's folder")
    return meant[0] if meant else None
