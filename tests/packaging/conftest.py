"""The built package: a wheel and a source distribution, from `make release-check` or built here."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from circpeft import places

BUILD = """
import os, sys
from hatchling import build
os.chdir(sys.argv[1])
print(build.build_sdist(sys.argv[2]))
print(build.build_wheel(sys.argv[2]))
"""


def build(source: Path, target: Path) -> tuple[Path, Path]:
    """Build both files of a source folder in a new process, without a network; return the sources and the wheel."""
    target.mkdir()
    dated = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    command = [sys.executable, "-c", BUILD, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, env=dated)
    assert done.returncode == 0, done.stderr
    source_name, wheel_name = done.stdout.split()[-2:]
    return target / source_name, target / wheel_name


@pytest.fixture(scope="session")
def first(tmp_path_factory) -> tuple[Path, Path]:
    """The source distribution and the wheel of the clone, built here."""
    pytest.importorskip("hatchling", reason="make test installs what builds the package")
    return build(places.clone(), tmp_path_factory.mktemp("built") / "first")


@pytest.fixture(scope="session")
def files(request) -> tuple[Path, Path]:
    """The files to look into: those of make release-check, or those built here."""
    if folder := os.environ.get("CIRCPEFT_BUILT"):
        (source,), (wheel,) = Path(folder).glob("circpeft-*.tar.gz"), Path(folder).glob("circpeft-*.whl")
        return source, wheel
    return request.getfixturevalue("first")


@pytest.fixture(scope="session")
def sources(files, tmp_path_factory) -> Path:
    """The folder in the source distribution, unpacked."""
    target = tmp_path_factory.mktemp("sources")
    with tarfile.open(files[0]) as archive:
        if hasattr(tarfile, "data_filter"):  # Python 3.11.4 and later
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(target)
    (folder,) = target.iterdir()
    return folder


@pytest.fixture(scope="session")
def second(first, sources, tmp_path_factory) -> tuple[Path, Path]:
    """Both files again, built from the unpacked source distribution."""
    return build(sources, tmp_path_factory.mktemp("built") / "second")


@pytest.fixture(scope="session")
def site(files, tmp_path_factory) -> Path:
    """A folder for PYTHONPATH with the content of the wheel, as pip would install it."""
    target = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(files[1]) as archive:
        archive.extractall(target)
    return target
