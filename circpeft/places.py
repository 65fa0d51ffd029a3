"""Where notebooks, data, records and outputs are, in a clone and in an installed package.

A clone has them in `notebooks/`, `data/`, `docs/`, `benchmarks/results/` and `runs/`. An installed package carries the
same folders in `circpeft/course_files`, which is only read. Its outputs go to `runs/` in the working directory, or in
the folder of the course that the working directory is in (see `course.folder`).

This module imports nothing of the package and nothing that has to be installed: the build reads `COURSE_FILES` from it.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
# What an installed package carries, and what the folder of the course has. Paths are those of the clone.
COURSE_FILES = (
    "notebooks/[0-9][0-9]_*.ipynb",
    "data/*/*.json*",
    "data/*/*.safetensors",
    "data/*/*.md",
    "docs/*.md",
    "docs/*.svg",
    "benchmarks/results/*.json",
    "benchmarks/results/*.md",
    "benchmarks/results/entailment.png",
    "benchmarks/results/*/*.*",
    "README.md",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "SECURITY.md",
)
IN_PACKAGE = "course_files"  # the folder of these files in an installed package
COURSE = "circpeft-course"  # the folder of the course, if the user names no other
MANIFEST = ".circpeft-course.json"  # what marks such a folder: the digest of every file as it was copied


def clone() -> Path | None:
    """Return the root of the clone that contains the package; None for an installed package."""
    root = PACKAGE.parent
    is_clone = (root / "pyproject.toml").is_file() and (root / "notebooks").is_dir()
    return root if is_clone else None


def shipped() -> Path:
    """Return the folder with `notebooks/`, `data/`, `docs/` and `benchmarks/results/`, as they were published.

    This is the clone, or a folder in the installed package. Nothing may be written into the latter.
    """
    return clone() or PACKAGE / IN_PACKAGE


def course_files(root: Path | None = None) -> dict[str, Path]:
    """Return the files of the course by their paths from the root, such as "notebooks/00_start.ipynb".

    >>> "data/entailment/train.jsonl" in course_files()
    True
    """
    root = shipped() if root is None else root
    found = sorted({path for pattern in COURSE_FILES for path in root.glob(pattern) if path.is_file()})
    return {path.relative_to(root).as_posix(): path for path in found}


def course_folder() -> Path | None:
    """Return the folder of the course that belongs to the working directory; None if there is no such folder.

    In a clone this is the clone. Otherwise it is the working directory or a folder above it that `circpeft lab` or
    `circpeft course` made, or else `circpeft-course` in the working directory.
    """
    here = Path.cwd()
    return clone() or _around(here) or _around(here / COURSE, above=False)


def outputs() -> Path:
    """Return the default folder of outputs.

    In a clone this is `runs` in the clone. Otherwise it is `runs` in the folder of the course if the working directory
    is in one, and `runs` in the working directory if not.
    """
    here = Path.cwd()
    return (clone() or _around(here) or here) / "runs"


def _around(folder: Path, above: bool = True) -> Path | None:
    """Return a folder, or the nearest one above it, that is marked as a folder of the course."""
    folders = (folder, *folder.parents) if above else (folder,)
    return next((each for each in folders if (each / MANIFEST).is_file()), None)
