"""The folder of the course: an installed package copies the notebooks, pages, data and records into it.

The user may change everything in it. A file that the user has changed is never overwritten: if a newer version of the
package has another one, that one is put beside it, as `new_NAME`. A file that was deleted comes back.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from itertools import count
from pathlib import Path, PurePosixPath

from circpeft import files, places
from circpeft.places import MANIFEST

from .parameters import RequestError

# The notebooks show modules of the package; these links lead to the folder's own copies.
SOURCE_LINK = re.compile(r"\]\(\.\./(circpeft/[\w/]+\.py)")


def prepare(folder: str | Path | None = None) -> tuple[Path, list[str]]:
    """Return the folder of the course, complete and up to date, and what was done to it, a sentence each.

    Args:
        folder: the folder, which must not exist, be empty, or be one that this function made. By default this is the
            clone, in which nothing is done; for an installed package the folder of the course that belongs to the
            working directory (see `places.course_folder`), or a new one in it.

    Raises: RequestError for a folder with other content, or one that cannot be written; nothing is half-written then.
    """
    if folder is None and (clone := places.clone()) is not None:
        return clone, []
    chosen = Path(files.expanded(str(folder))) if folder else places.course_folder() or Path(places.COURSE)
    target = chosen.absolute()
    try:
        done = _update(target) if (target / MANIFEST).is_file() else _create(target)
    except OSError as error:
        raise RequestError(
            f"cannot write the course into {str(target)!r}: {_reason(error)}; choose another folder with --folder"
        ) from error
    return target, done


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def content() -> dict[str, Path]:
    """Return the files that the folder of the course has, by their paths in it.

    These are the files that the package ships, and the modules that a notebook links to.
    """
    shipped = places.course_files()
    notebooks = [path for name, path in shipped.items() if name.endswith(".ipynb")]
    linked = {name for path in notebooks for name in SOURCE_LINK.findall(path.read_text(encoding="utf-8"))}
    return shipped | {name: places.PACKAGE.parent / name for name in sorted(linked)}


def _create(target: Path) -> list[str]:
    """Copy everything into a new or empty folder, under a temporary name first."""
    if target.is_dir():
        files.remove_leftovers(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RequestError(
            f"{str(target)!r} exists and is not a folder of the course; choose another folder with --folder"
        )
    if not target.is_dir():
        with files.atomic_folder(target) as draft:
            _copy(draft)
    else:  # it stays, because it may be the working directory
        with files.draft_folder(target, target.name) as draft:
            _copy(draft)
            files.sync_tree(draft)
            # The manifest comes first: with it, a copy that is cut here is completed by the next update.
            for entry in sorted(draft.iterdir(), key=lambda path: path.name != MANIFEST):
                entry.rename(target / entry.name)
                files.sync_folder(target)
    return [f"The course is now in {target}."]


def _copy(draft: Path) -> None:
    """Copy everything into a temporary folder."""
    digests = {}
    for name, source in content().items():
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, draft / name)  # without the mode: an installed file may be read-only
        digests[name] = _digest(source)
    (draft / MANIFEST).write_text(_manifest(digests), encoding="utf-8")


def _update(target: Path) -> list[str]:
    """Bring the files of a folder up to date, except those that the user has changed."""
    written = (target / MANIFEST).read_text(encoding="utf-8")
    recorded, replaced, done = _recorded(written), 0, []
    for name, source in content().items():
        new, path = _digest(source), target / name
        present = _digest(path) if path.exists() else None
        if present in (None, recorded.get(name)) and present != new:
            files.write_atomically(path, source.read_bytes())
            replaced += 1
        elif present != new and recorded.get(name) != new:  # changed by the user, and the package has a new version
            other = _name_beside(target, name, new, recorded)
            files.write_atomically(target / other, source.read_bytes())
            recorded[other] = new
            done.append(f"You have changed {name}; the new version is beside it, as {PurePosixPath(other).name}.")
        recorded[name] = new
    if (manifest := _manifest(recorded)) != written:
        files.write_atomically(target / MANIFEST, manifest)
    if replaced:
        done.insert(0, f"{replaced} file{'s' if replaced > 1 else ''} in {target} updated.")
    return done


def _name_beside(target: Path, name: str, new: str, recorded: dict[str, str]) -> str:
    """Return the name for the new version of a changed file, one that hides nothing of the user's."""
    path = PurePosixPath(name)
    for number in count(1):
        other = str(path.with_name(f"new{number if number > 1 else ''}_{path.name}"))
        there = target / other
        if not there.exists() or _digest(there) in (new, recorded.get(other)):
            return other
    raise AssertionError("the numbers of count() never end")


def _recorded(manifest: str) -> dict[str, str]:
    """Return the digests in a manifest; an empty dict for a damaged one, so that no file counts as unchanged."""
    try:
        return dict(json.loads(manifest)["files"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}


def _manifest(digests: dict[str, str]) -> str:
    return json.dumps({"files": dict(sorted(digests.items()))}, indent=1) + "\n"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
