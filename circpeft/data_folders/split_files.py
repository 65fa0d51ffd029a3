"""Files of a split: the split that a file's name stands for, and completeness of the files that a split is cut into."""

import re
from collections.abc import Sequence
from pathlib import Path

from .file_formats import DESCRIPTIONS, is_data, stem_and_ending, table_format
from .split_names import SPLITS, split_named

# How the hub names the files that it cuts a split into; in a folder named after the split it may use 0000.parquet.
SHARD = re.compile(r"(.+?)-(\d{5})-of-(\d{5})(?:-[0-9a-f]{16})?")


def split_of_table(path: Path) -> str | None:
    """Return the split of a table by its name; None for another name, or for a file that is not read as a table.

    >>> split_of_table(Path("dev-00000-of-00002.parquet")), split_of_table(Path("scores.csv"))
    ('validation', None)
    """
    return split_named(_split_name(path)) if table_format(path) and not _shard_number(path) else None


def shards(folder: Path, files: Sequence[Path]) -> list[Path]:
    """Return the data files in a folder named after a split, if all of them are shards of that split.

    Shards are numbered (0000.parquet), or named as the hub does (train-00000-of-00002.parquet). If any file that looks
    like data is not a shard, the result is empty.
    """
    data = [path for path in files if is_data(path) and path.name not in DESCRIPTIONS]
    split = split_named(folder.name)
    named = all(SHARD.fullmatch(stem_and_ending(path)[0]) and split_of_table(path) == split for path in data)
    return data if named or all(map(_shard_number, data)) else []


def in_order(folder: Path, split: str, paths: list[Path]) -> list[Path]:
    """Return the files of a split in the order of their numbers.

    Raises: ValueError for files from more than one source, and for a missing shard.
    """
    sources_and_numbers = [_source_and_number(folder, path) for path in paths]
    sources = {source for source, _ in sources_and_numbers}
    numbers = [number for _, number in sources_and_numbers if number is not None]
    if len(sources) > 1 or len(set(numbers)) < len(numbers):
        by_name = sorted(paths, key=lambda path: SPLITS[split].index(_split_name(path)))
        names = ", ".join(str(path.relative_to(folder)) for path in by_name[:8])
        raise ValueError(f"data_dir {str(folder)!r} has several files for {split}: {names}; keep one")
    if not numbers:
        return paths
    pattern, total = sources.pop()
    total = total or max(numbers) + 1
    if missing := sorted(set(range(total)) - set(numbers)):
        raise ValueError(
            f"data_dir {str(folder)!r} lacks {pattern.format(missing[0])}: it has {len(numbers)} of the {total} files "
            f"of {split}; add the missing ones"
        )
    return [path for _, path in sorted(zip(numbers, paths, strict=True))]


def _source_and_number(folder: Path, path: Path) -> tuple[tuple[str, int], int | None]:
    """Return the pattern of a shard's name with the number of shards (0: unknown), and the number of this shard."""
    stem, ending = stem_and_ending(path)
    prefix = path.relative_to(folder).as_posix().removesuffix(path.name)
    if shard := SHARD.fullmatch(stem):
        return (f"{prefix}{shard[1]}-{{:05}}-of-{shard[3]}{ending}", int(shard[3])), int(shard[2])
    if digits := _shard_number(path):
        return (f"{prefix}{{:0{len(digits)}}}{ending}", 0), int(digits)
    return (path.name, 0), None


def _shard_number(path: Path) -> str | None:
    """Return the digits of a parquet file that is named by digits only."""
    stem, ending = stem_and_ending(path)
    return stem if ending == ".parquet" and stem.isdecimal() else None


def _split_name(path: Path) -> str:
    """Return the part of a path that may name a split, in lower case; for a numbered file it is the folder's name."""
    stem = path.parent.name if _shard_number(path) else stem_and_ending(path)[0]
    return (shard[1] if (shard := SHARD.fullmatch(stem)) else stem).lower()
