"""Which files of a data folder are its splits, and which look like data and are not: refused, or named as not used."""

import re
from collections.abc import Iterable
from pathlib import Path

from datasets import DatasetDict

from ..ops.checks import nearest
from . import saved, tables
from .homes import one_home
from .saved import ABOUT
from .split_names import SPLIT_OF, SPLITS, alike, renamed

# Data in a form that is not read. A text file is data where it has the name of a split.
NOT_READ = (".txt", ".arrow", ".feather", ".xlsx", ".xls", ".gz", ".zip", ".bz2", ".xz", ".zst")
# How the hub names the files that it cuts a split into, if they do not stand in a folder of its name, as 0000.parquet.
SHARD = re.compile(r"(.+?)-(\d{5})-of-(\d{5})(?:-[0-9a-f]{16})?")


def read_folder(
    folder: str | Path, names: tuple[str, ...] = (), texts: tuple[str, ...] = (), headerless: tuple[str, ...] = ()
) -> DatasetDict:
    """A data set from a local folder: train, validation and test as files (see `tables`), or saved.

    A split may be cut into files as on the hub (train-00000-of-00002.parquet, train/0000.parquet), all of them may lie
    in a folder of this one: the only one with splits, or the one of the task's (as sst2 or SST-2) or of this folder's
    name. A saved data set is what save_to_disk writes, of all splits together or of each alone.

    Args:
        folder: the folder.
        names: the task's name, and others that its folder may have (see `homes.names_of`).
        texts, headerless: columns, see `tables.read`.

    Raises: FileNotFoundError for a folder that is not there or holds no split, naming the files that are looked for;
    ValueError for another task's folder in this one, a split twice, without rows or with a file missing, for mixed
    formats, for a file that cannot be read, or for data that looks like a split that is missing otherwise.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        beside = [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
        hint = f"give {str(folder.parent)!r}" if folder.is_file() else nearest(folder.name, sorted(beside))
        raise FileNotFoundError(f"data_dir {str(folder)!r} is not a folder; {hint}")
    home = _home(folder, names)
    if home is None:
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise FileNotFoundError(
            f"data_dir {str(folder)!r} holds {there}; expected train, validation and test as {tables.ENDINGS}, or a "
            f"data set saved with save_to_disk{_hint(folder)}"
        )
    found, others = _survey(home)[0], _others(folder, home)
    if names := saved.names(home):
        saved.refuse_twice(home, names)
        refuse_alike(home, names, [*(name for name in names if name.lower() not in SPLIT_OF), *others])
        return saved.read(home)
    files = {split: _whole(home, split, found[split]) for split in SPLITS if split in found}
    formats = {"saved" if paths[0].is_dir() else _form(paths[0]) for paths in files.values()}
    if len(formats) > 1:
        raise ValueError(f"data_dir {str(home)!r} mixes formats: {', '.join(sorted(formats))}; use one")
    refuse_alike(home, [*files], others)
    if formats == {"saved"}:
        return DatasetDict({split: saved.load(paths[0]) for split, paths in files.items()})
    return DatasetDict({split: tables.read(paths, texts, headerless) for split, paths in files.items()})


def unused(folder: str | Path, names: tuple[str, ...] = ()) -> list[str]:
    """Names of files and folders that look like data and that `read_folder` leaves out."""
    folder = Path(folder).expanduser()
    try:
        home = _home(folder, names)
    except ValueError:  # several data sets beside folders of images
        home = None
    return _others(folder, home)


def _hint(folder: Path) -> str:
    """What to do with the tables of a folder without splits, to be read."""
    there = sorted(path for path in folder.iterdir() if _form(path) and path.is_file() and path.name not in ABOUT)
    there = [path for path in there if tables.named(path)[0].lower() != "metadata"]  # describes what lies beside it
    if len(there) == 1:
        return f"; if {there[0].name} is all there is, name it train{tables.named(there[0])[1]}"
    new = renamed([path.name for path in there])
    moves = [f"{path.name} to {new[path.name]}{tables.named(path)[1]}" for path in there if path.name in new]
    for path in sorted(folder.iterdir()):
        inside = [*path.iterdir()] if path.is_dir() and path.name.lower() in SPLIT_OF else []
        if len(inside) == 1 and _form(inside[0]):
            moves.append(f"{path.name}/{inside[0].name} to {path.name}{tables.named(inside[0])[1]}")
    return f"; move {', '.join(moves)}" if moves else ""


def _others(folder: Path, home: Path | None) -> list[str]:
    """Names of what looks like data and is no split: where the splits are, and of files beside that folder."""
    above = [] if home == folder else [name for name in _survey(folder)[1] if not (folder / name).is_dir()]
    return above + (_survey(home)[1] if home else [])


def _home(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The folder itself or the one in it that holds the splits; None where there is none."""
    if saved.names(folder) or _survey(folder)[0]:
        return folder
    inside = [path for path in sorted(folder.iterdir()) if _has_splits(path)]
    return one_home(folder, inside, names)


def _has_splits(path: Path) -> bool:
    if path.name.startswith(".") or path.name.lower() in SPLIT_OF or not path.is_dir():
        return False
    return (path / "dataset_dict.json").exists() or bool(_survey(path, deep=False)[0])


def _survey(folder: Path, deep: bool = True) -> tuple[dict[str, list[Path]], list[str]]:
    """Files and saved folders by the split that their name says, and names of what looks like data beside them."""
    found, others, splits = {}, [], {name.lower() for name in saved.names(folder)}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in ABOUT:
            continue
        files = [path]
        if path.is_dir():
            files = files if saved.is_alone(path) else _numbered(path)
            split = SPLIT_OF.get(path.name.lower()) if files else None
            data = deep and path.name.lower() not in splits and _has_data(path)
        else:
            split = SPLIT_OF.get(_stem(path)) if _form(path) and not _number(path) else None
            data = _is_data(path) and not (path.suffix.lower() == ".arrow" and splits)
            data = data and (path.suffix.lower() != ".txt" or path.stem.lower() in SPLIT_OF)
        if split and not splits:
            found.setdefault(split, []).extend(files)
        elif data:
            others.append(path.name)
    return found, others


def _has_data(folder: Path) -> bool:
    if folder.name.lower() in SPLIT_OF or saved.is_alone(folder):
        return any(_is_data(path) for path in folder.iterdir())
    return _has_splits(folder)


def _is_data(path: Path) -> bool:
    return _form(path) is not None or path.suffix.lower() in NOT_READ


def _form(path: Path) -> str | None:
    return tables.READERS.get(tables.named(path)[1])


def _numbered(folder: Path) -> list[Path]:
    """The files of a folder where all are numbered, as the hub writes those of a split that it converts."""
    data = [path for path in sorted(folder.iterdir()) if _is_data(path) and path.name not in ABOUT]
    return data if all(map(_number, data)) else []


def _number(path: Path) -> str | None:
    """The digits that are a parquet file's whole name."""
    stem, ending = tables.named(path)
    return stem if ending == ".parquet" and stem.isdecimal() else None


def _stem(path: Path) -> str:
    """What a file is named after, in small letters: for a numbered one, its folder."""
    stem = path.parent.name if _number(path) else tables.named(path)[0]
    return (cut[1] if (cut := SHARD.fullmatch(stem)) else stem).lower()


def _whole(folder: Path, split: str, paths: list[Path]) -> list[Path]:
    """The files of a split in their order.

    Raises: ValueError for more than one source, or a missing file of one that is cut.
    """
    sources = {_cut(path)[0] for path in paths}
    numbers = [number for _, number in map(_cut, paths) if number is not None]
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


def _cut(path: Path) -> tuple[tuple[str, int], int | None]:
    """What a file is a part of, as a pattern of names and how many there are (0: not known), and its number there."""
    stem, ending = tables.named(path)
    if cut := SHARD.fullmatch(stem):
        return (f"{cut[1]}-{{:05}}-of-{cut[3]}{ending}", int(cut[3])), int(cut[2])
    if digits := _number(path):
        return (f"{path.parent.name}/{{:0{len(digits)}}}{ending}", 0), int(digits)
    return (path.name, 0), None


def refuse_alike(folder: Path, names: Iterable[str], others: list[str]) -> None:
    """Raise ValueError where a split is missing, would be made of the others, and something has a name like it."""
    missing = [split for split in SPLITS if split not in {SPLIT_OF.get(name.lower()) for name in names}]
    for other in others:
        for split in missing:
            if alike(other, split):
                raise ValueError(
                    f"data_dir {str(folder)!r} has no {split} split, and {other}, which looks like one, is not read; "
                    f"expected {split} as {tables.ENDINGS}, saved with save_to_disk, or as its other splits are: "
                    f"convert or rename {other}, or move it away"
                )
