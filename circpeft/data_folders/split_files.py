"""Files of a split: which split a file is of, and whether all that it was cut into are there."""

import re
from pathlib import Path

from . import tables
from .saved_datasets import ABOUT
from .split_names import SPLIT_OF, SPLITS

# Data in a form that is not read. A text file is data where it has the name of a split.
NOT_READ = (".txt", ".arrow", ".feather", ".xlsx", ".xls", ".gz", ".zip", ".bz2", ".xz", ".zst")
# How the hub names the files that it cuts a split into, if they do not stand in a folder of its name, as 0000.parquet.
SHARD = re.compile(r"(.+?)-(\d{5})-of-(\d{5})(?:-[0-9a-f]{16})?")


def form(path: Path) -> str | None:
    """The form of a table by its ending, see `tables.READERS`."""
    return tables.READERS.get(tables.named(path)[1])


def is_data(path: Path) -> bool:
    """Whether a file is data by its ending, read or not."""
    return form(path) is not None or path.suffix.lower() in NOT_READ


def split_of(path: Path) -> str | None:
    """The split of a table that lies beside others, by its name."""
    return SPLIT_OF.get(_stem(path)) if form(path) and not _number(path) else None


def parts(folder: Path) -> list[Path]:
    """The files of a folder of a split where all are numbered, or cut and named as the hub does, after the split."""
    data = [path for path in sorted(folder.iterdir()) if is_data(path) and path.name not in ABOUT]
    split = SPLIT_OF.get(folder.name.lower())
    cut = all(SHARD.fullmatch(tables.named(path)[0]) and split_of(path) == split for path in data)
    return data if cut or all(map(_number, data)) else []


def whole(folder: Path, split: str, paths: list[Path]) -> list[Path]:
    """The files of a split in their order.

    Raises: ValueError for more than one source, or a missing file of one that is cut.
    """
    cuts = [_cut(folder, path) for path in paths]
    sources = {source for source, _ in cuts}
    numbers = [number for _, number in cuts if number is not None]
    if len(sources) > 1 or len(set(numbers)) < len(numbers):
        by_name = sorted(paths, key=lambda path: SPLITS[split].index(_stem(path)))
        names = ", ".join(str(path.relative_to(folder)) for path in by_name[:8])
        raise ValueError(f"data_dir {str(folder)!r} has several files for {split}: {names}; keep one")
    if not numbers:
        return paths
    pattern, total = sources.pop()
    total = total or max(numbers) + 1
    if lost := sorted(set(range(total)) - set(numbers)):
        raise ValueError(
            f"data_dir {str(folder)!r} lacks {pattern.format(lost[0])}: {split} has {len(numbers)} of its {total} files"
        )
    return [path for _, path in sorted(zip(numbers, paths, strict=True))]


def _cut(folder: Path, path: Path) -> tuple[tuple[str, int], int | None]:
    """What a file is a part of, as a pattern of names and how many there are (0: not known), and its number there."""
    stem, ending = tables.named(path)
    place = path.relative_to(folder).as_posix().removesuffix(path.name)
    if cut := SHARD.fullmatch(stem):
        return (f"{place}{cut[1]}-{{:05}}-of-{cut[3]}{ending}", int(cut[3])), int(cut[2])
    if digits := _number(path):
        return (f"{place}{{:0{len(digits)}}}{ending}", 0), int(digits)
    return (path.name, 0), None


def _number(path: Path) -> str | None:
    """The digits that are a parquet file's whole name."""
    stem, ending = tables.named(path)
    return stem if ending == ".parquet" and stem.isdecimal() else None


def _stem(path: Path) -> str:
    """What a file is named after, in small letters: for a numbered one, its folder."""
    stem = path.parent.name if _number(path) else tables.named(path)[0]
    return (cut[1] if (cut := SHARD.fullmatch(stem)) else stem).lower()
