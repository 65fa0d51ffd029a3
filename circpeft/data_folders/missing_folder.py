"""What to give instead of a data folder that does not exist."""

import re
from difflib import get_close_matches
from pathlib import Path

from ..suggest import nearest
from .file_formats import table_format

VARIABLE = re.compile(r"\$(\w+|\{\w+\})")  # one that `files.expanded` has left in a path
SUGGESTED_FOLDERS = 5


def alternative(path: Path) -> str:
    """Return what to give instead of a path that is not a folder.

    >>> alternative(Path("$NOT_SET/rte"))
    'the variable $NOT_SET is not set'
    """
    if path.is_file():
        return f"give {str(path.parent)!r}" if table_format(path) else "give a folder; unpack an archive first"
    if unset := VARIABLE.search(str(path)):
        return f"the variable {unset[0]} is not set"
    siblings = sorted(p.name for p in path.parent.iterdir() if p.is_dir()) if path.parent.is_dir() else []
    return nearest(path.name, get_close_matches(path.name, siblings, SUGGESTED_FOLDERS, 0))
