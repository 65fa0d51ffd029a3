"""Check that a file which a command will write can be written, before the command does its work."""

from __future__ import annotations

from pathlib import Path

from circpeft.course.parameters import RequestError
from circpeft.files import check_writable, expanded


def output_path(name: str) -> Path:
    """Return the path of a file to write, with ``~`` and variables replaced.

    Raises: RequestError for a folder, and for a place in which this user cannot write.

    >>> output_path("/dev/null/rates.html")
    Traceback (most recent call last):
    ...
    circpeft.course.parameters.RequestError: cannot write '/dev/null/rates.html': '/dev/null' is not ...
    """
    path = Path(expanded(name))
    if path.is_dir():
        raise RequestError(f"{str(path)!r} is a folder; give the name of a file in it")
    try:
        check_writable(path.parent)
    except OSError as error:
        raise RequestError(f"cannot write {str(path)!r}: {error}; choose another") from None
    return path
