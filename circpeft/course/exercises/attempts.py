"""Run a learner's code, or code that handles its values: what it raises is returned, and what it prints is limited."""

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from .time_limit import call_within

SECONDS = 5.0  # the time that one call may take; the inputs of the exercises need milliseconds
LONGEST = 10_000  # characters that one call may print; a browser stops at many millions
CUT_OFF = "\n(The function prints more than this; the rest is left out.)\n"


class _Limited(io.TextIOBase):
    """A stream that passes on the first characters, and may be closed without closing the other stream."""

    def __init__(self, stream: Any):
        self.stream, self.left, self.cut = stream, LONGEST, False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        shown = text[: self.left]
        self.left -= len(shown)
        self.stream.write(shown)
        if len(shown) < len(text) and not self.cut:
            self.cut = True
            self.stream.write(CUT_OFF)
        return len(text)

    def flush(self) -> None:
        self.stream.flush()


def attempt(function: Callable[..., Any], *arguments: Any) -> tuple[Any, BaseException | None]:
    """Return the result of a function and None, or None and what it raised, also if that would end the program.

    The function is stopped after `SECONDS`, with `OutOfTime`. Of what it prints, `LONGEST` characters are shown. If it
    closes or replaces ``sys.stdout``, that of the caller stays as it was.

    >>> attempt(max, 1, 2)
    (2, None)
    >>> attempt(sys.exit, 1)
    (None, SystemExit(1))
    """
    out: Any = _Limited(sys.stdout)
    err: Any = _Limited(sys.stderr)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            return call_within(SECONDS, function, *arguments), None
    except BaseException as error:  # a learner may raise anything
        return None, error
