"""Warnings that point to the line of the user's program, and not to a line of the libraries that it calls."""

from __future__ import annotations

import sys
import warnings

# Their calls lie between the user's line and the warning.
LIBRARIES = ("accelerate", "circpeft", "peft", "torch", "transformers", "trl")


def warn_caller(text: str) -> None:
    """Issue a UserWarning at the innermost line outside of `LIBRARIES`."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in LIBRARIES:
        frame = frame.f_back
    place = frame.f_globals
    warnings.warn_explicit(
        text,
        UserWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=place.get("__name__"),
        registry=place.setdefault("__warningregistry__", {}),
    )
