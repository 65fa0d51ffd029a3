"""Limits on what a file may make this process do. Each is checked before the memory or the time is spent.

A file can claim more than it holds: a header of a few bytes names a tensor of a terabyte, a gzip file of 4 MB unpacks
to 4 GB, and a parquet file of 300 KB has a billion rows. Whatever exceeds a limit is refused with a ValueError. To read
such a file nevertheless, set the environment variable of the limit, which programs that this one starts receive, too.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
SIZE = re.compile(r"\s*(\d{1,18})\s*([kmgt]?)(?:i?b)?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Limit:
    """A limit.

    Attributes:
        default: its value unless the variable is set.
        variable: the environment variable that replaces the default.
        what: what it counts.
        in_bytes: whether it counts bytes.
    """

    default: int
    variable: str
    what: str
    in_bytes: bool = False

    @property
    def value(self) -> int:
        """The limit that holds now.

        Raises: ValueError for a variable that is not a number, optionally with a unit: 500, 64MB, 2 GiB.

        >>> os.environ["CIRCPEFT_MAX_CONFIG"] = "8 MiB"
        >>> CONFIG.value
        8388608
        >>> del os.environ["CIRCPEFT_MAX_CONFIG"]
        """
        given = os.environ.get(self.variable)
        if given is None:
            return self.default
        match = SIZE.fullmatch(given)
        if match is None:
            raise ValueError(f"{self.variable} must be a number such as 500, 64MB or 2GiB, got {given!r}")
        return int(match[1]) * UNITS[match[2].lower()]

    def check(self, place: str, claimed: int, at_least: bool = False, most: int = 0) -> None:
        """Check what a file claims to hold.

        Args:
            place: the file, for the error.
            claimed: the number that it claims.
            at_least: whether reading stopped at this number, so that the file holds even more.
            most: a larger limit, for a file of which that much is usual.

        Raises: ValueError that names the file, both numbers and the variable.

        >>> FACTORS.check("adapter_config.json: num_factors", 100_001)
        Traceback (most recent call last):
        ...
        ValueError: adapter_config.json: num_factors: 100,001 factors exceed the limit of 99; if you trust the file, ...
        """
        most = max(most, self.value)
        if claimed > most:
            number = f"{'more than ' * at_least}{_shown(claimed) if self.in_bytes else f'{claimed:,}'}"
            limit = _shown(most) if self.in_bytes else f"{most:,}"
            raise ValueError(
                f"{place}: {number} {self.what} exceed the limit of {limit}; if you trust the file, set "
                f"{self.variable}={claimed if not at_least else 2 * claimed}"
            )


def _shown(size: int) -> str:
    """Return a size in the largest unit in which it is at least 1."""
    unit = next((name for name in ("TiB", "GiB", "MiB", "KiB") if size >= UNITS[name[0].lower()]), "bytes")
    return f"{size:,} bytes" if unit == "bytes" else f"{size / UNITS[unit[0].lower()]:,.1f} {unit}"


CONFIG = Limit(4 * 2**20, "CIRCPEFT_MAX_CONFIG", "of a config", in_bytes=True)
HEADER = Limit(16 * 2**20, "CIRCPEFT_MAX_HEADER", "of a header", in_bytes=True)
ADAPTER = Limit(16 * 2**30, "CIRCPEFT_MAX_ADAPTER", "of tensors", in_bytes=True)
FACTORS = Limit(99, "CIRCPEFT_MAX_FACTORS", "factors")
TABLE = Limit(2**30, "CIRCPEFT_MAX_TABLE", "of a table, unpacked,", in_bytes=True)
COLUMNS = Limit(10_000, "CIRCPEFT_MAX_COLUMNS", "columns")
ROWS = Limit(20_000_000, "CIRCPEFT_MAX_ROWS", "rows (or objects and lists in JSON)")
CELLS = Limit(200_000_000, "CIRCPEFT_MAX_CELLS", "values (rows times columns)")
IMAGE = Limit(256 * 2**20, "CIRCPEFT_MAX_IMAGE", "of an image", in_bytes=True)
RECORD = Limit(256 * 2**20, "CIRCPEFT_MAX_RECORD", "of a record", in_bytes=True)
RUNS = Limit(10_000, "CIRCPEFT_MAX_RUNS", "runs")
LIMITS = (CONFIG, HEADER, ADAPTER, FACTORS, TABLE, COLUMNS, ROWS, CELLS, IMAGE, RECORD, RUNS)

# Folders outside the data folder from which tables may name images, separated like those of PATH.
IMAGE_FOLDERS = "CIRCPEFT_IMAGE_FOLDERS"


def image_folders() -> list[str]:
    """Return the folders outside a data folder from which its tables may name images.

    >>> image_folders()
    []
    """
    return [folder for folder in os.environ.get(IMAGE_FOLDERS, "").split(os.pathsep) if folder]
