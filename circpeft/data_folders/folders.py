"""Which files of a data folder are its splits, and which look like data and are not: refused, or named as not used."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from datasets import DatasetDict

from ..suggest import nearest
from . import saved_datasets, tables
from .locate import one_home
from .saved_datasets import ABOUT
from .split_files import form, is_data, parts, split_of, whole
from .split_names import SPLIT_OF, SPLITS, alike, renamed

SHOWN = 5  # folders beside one that is not there


def read_folder(
    folder: str | Path, names: tuple[str, ...] = (), texts: tuple[str, ...] = (), headerless: tuple[str, ...] = ()
) -> DatasetDict:
    """A data set from a local folder: train, validation and test as files (see `tables`), or saved.

    A split may be cut into files as on the hub (train-00000-of-00002.parquet, also in a folder train, or
    train/0000.parquet), all of them may lie in a folder of this one: the only one with splits, or the one of the task's
    (as sst2 or SST-2) or of this folder's name. A saved data set is what save_to_disk writes, of all splits together or
    of each alone.

    Args:
        folder: the folder.
        names: the task's name, and others that its folder may have (see `locate.names_of`).
        texts, headerless: columns, see `tables.read`.

    Raises: FileNotFoundError for a folder that is not there or holds no split, naming the files that are looked for;
    ValueError for another task's folder in this one, a split twice, without rows or with a file missing, for mixed
    formats, for a file that cannot be read, or for data that looks like a split that is missing otherwise.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"data_dir {str(folder)!r} is not a folder; {_instead(folder)}")
    home = _home(folder, names)
    if home is None:
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise FileNotFoundError(
            f"data_dir {str(folder)!r} holds {there}; expected train, validation and test as {tables.ENDINGS}, or a "
            f"data set saved with save_to_disk{_hint(folder)}"
        )
    found, others = _survey(home)[0], _others(folder, home)
    if kept := saved_datasets.names(home):
        saved_datasets.refuse_twice(home, kept)
        refuse_alike(home, kept, [*(name for name in kept if name.lower() not in SPLIT_OF), *others])
        return saved_datasets.read(home)
    files = {split: whole(home, split, found[split]) for split in SPLITS if split in found}
    formats = {"saved" if paths[0].is_dir() else form(paths[0]) for paths in files.values()}
    if len(formats) > 1:
        raise ValueError(f"data_dir {str(home)!r} mixes formats: {', '.join(sorted(formats))}; use one")
    refuse_alike(home, [*files], others)
    if formats == {"saved"}:
        return DatasetDict({split: saved_datasets.load(paths[0]) for split, paths in files.items()})
    return DatasetDict({split: tables.read(paths, texts, headerless) for split, paths in files.items()})


def unused(folder: str | Path, names: tuple[str, ...] = ()) -> list[str]:
    """Names of files and folders that look like data and that `read_folder` leaves out."""
    folder = Path(folder).expanduser()
    try:
        home = _home(folder, names)
    except ValueError:  # several data sets beside folders of images
        home = None
    return _others(folder, home)


def _instead(path: Path) -> str:
    """What to give in place of a path that is no folder."""
    if path.is_file():
        return f"give {str(path.parent)!r}" if form(path) else "give the folder of its files, of an archive unpacked"
    beside = sorted(p.name for p in path.parent.iterdir() if p.is_dir()) if path.parent.is_dir() else []
    return nearest(path.name, get_close_matches(path.name, beside, SHOWN, 0))


def _hint(folder: Path) -> str:
    """What to do with the tables of a folder without splits, to be read."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name not in ABOUT]
    endings = {path.name: ending for path in files if (ending := _ending(path))}
    if len(endings) == 1:
        return "".join(f"; if {name} is all there is, name it train{ending}" for name, ending in endings.items())
    new = renamed(endings)
    moves = [f"{name} to {new[name]}{ending}" for name, ending in endings.items() if name in new]
    for path in sorted(folder.iterdir()):
        inside = [*path.iterdir()] if path.is_dir() and path.name.lower() in SPLIT_OF else []
        if len(inside) == 1 and form(inside[0]):
            moves.append(f"{path.name}/{inside[0].name} to {path.name}{tables.named(inside[0])[1]}")
    return f"; move {', '.join(moves)}" if moves else ""


def _ending(table: Path) -> str | None:
    """The ending that a table should have to be read as a split; None for what is no table, or describes others."""
    stem, ending = tables.named(table)
    if ending == ".txt":
        with table.open("rb") as file:
            return ".tsv" if b"\t" in file.readline() else None
    return ending if form(table) and stem.lower() != "metadata" else None


def _others(folder: Path, home: Path | None) -> list[str]:
    """Names of what looks like data and is no split: where the splits are, and of files beside that folder."""
    above = [] if home == folder else [name for name in _survey(folder)[1] if not (folder / name).is_dir()]
    return above + (_survey(home)[1] if home else [])


def _home(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The folder itself or the one in it that holds the splits; None where there is none."""
    if saved_datasets.names(folder) or _survey(folder)[0]:
        return folder
    inside = [path for path in sorted(folder.iterdir()) if _has_splits(path)]
    return one_home(folder, inside, names)


def _has_splits(path: Path) -> bool:
    if path.name.startswith(".") or path.name.lower() in SPLIT_OF or not path.is_dir():
        return False
    return (path / "dataset_dict.json").exists() or bool(_survey(path, deep=False)[0])


def _survey(folder: Path, deep: bool = True) -> tuple[dict[str, list[Path]], list[str]]:
    """Files and saved folders by the split that their name says, and names of what looks like data beside them."""
    found, others, splits = {}, [], {name.lower() for name in saved_datasets.names(folder)}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in ABOUT:
            continue
        files = [path]
        if path.is_dir():
            files = files if saved_datasets.is_alone(path) else parts(path)
            split = SPLIT_OF.get(path.name.lower()) if files else None
            data = deep and path.name.lower() not in splits and _has_data(path)
        else:
            split = split_of(path)
            data = is_data(path) and not (path.suffix.lower() == ".arrow" and splits)
            data = data and (path.suffix.lower() != ".txt" or path.stem.lower() in SPLIT_OF)
        if split and not splits:
            found.setdefault(split, []).extend(files)
        elif data:
            others.append(path.name)
    return found, others


def _has_data(folder: Path) -> bool:
    if folder.name.lower() in SPLIT_OF or saved_datasets.is_alone(folder):
        return any(is_data(path) for path in folder.iterdir())
    return _has_splits(folder)


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
