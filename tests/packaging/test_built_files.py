"""The wheel and the source distribution: what is in them, their metadata, and that two builds have the same bytes."""

import hashlib
import re
import runpy
import tomllib
from email.parser import Parser

import pytest

from circpeft import places

PROJECT = tomllib.loads((places.clone() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TEN_MB = 10_000_000


def test_two_builds_have_the_same_digest(first, second):
    """The second one is of the unpacked source distribution: another folder, other times, no git."""
    digests = [[hashlib.sha256(path.read_bytes()).hexdigest() for path in built] for built in (first, second)]
    assert digests[0] == digests[1]


def test_the_wheel_is_below_ten_megabytes(files):
    assert files[1].stat().st_size < TEN_MB


def test_the_wheel_has_the_package_and_the_files_of_the_course_and_nothing_else(site):
    assert {path.name for path in site.iterdir()} == {"circpeft", f"circpeft-{PROJECT['version']}.dist-info"}
    found = {path.relative_to(site / "circpeft").as_posix(): path for path in (site / "circpeft").rglob("*")}
    found = {name: path for name, path in found.items() if path.is_file()}
    own = {name: path for name, path in found.items() if not name.startswith(f"{places.IN_PACKAGE}/")}
    assert {path.suffix for path in own.values()} == {".py", ".js", ".css", ".json", ".typed"} and "py.typed" in own
    course = {name.removeprefix(f"{places.IN_PACKAGE}/"): path for name, path in found.items() if name not in own}
    assert course.keys() == places.course_files().keys()
    differs = [name for name, path in places.course_files().items() if path.read_bytes() != course[name].read_bytes()]
    assert not differs


def test_the_sources_have_all_that_the_clone_has(sources):
    for name in ("CHANGELOG.md", "LICENSE", "Makefile", "constraints.txt", "hatch_build.py", "pyproject.toml"):
        assert (sources / name).read_bytes() == (places.clone() / name).read_bytes(), name
    for folder, pattern in (("tests", "*.py"), ("data", "*.*"), ("notebooks", "*.ipynb"), ("benchmarks", "*.json")):
        there = {path.relative_to(sources) for path in (sources / folder).rglob(pattern)}
        here = {path.relative_to(places.clone()) for path in (places.clone() / folder).rglob(pattern)}
        here = {path for path in here if not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)}
        assert there == here, folder


@pytest.fixture(scope="session")
def metadata(site):
    (path,) = site.glob("*.dist-info/METADATA")
    return Parser().parsestr(path.read_text(encoding="utf-8"))


def test_the_metadata_say_what_the_package_is(metadata):
    assert metadata["Name"] == "circpeft" and metadata["License-Expression"] == "Apache-2.0"
    assert {"train", "course", "cluster"} <= set(metadata.get_all("Provides-Extra"))
    trove = pytest.importorskip("trove_classifiers")
    assert not set(metadata.get_all("Classifier")) - trove.classifiers
    assert "Typing :: Typed" in metadata.get_all("Classifier") and metadata["Keywords"]
    assert all("https://" in url for url in metadata.get_all("Project-URL"))


def test_the_readme_of_the_package_has_no_relative_link(metadata):
    text = metadata.get_payload()
    assert text.startswith("# circpeft\n") and len(text) > 5000
    relative = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith(("https://", "#"))]
    assert not relative


def test_links_become_absolute_with_the_address_of_the_repository():
    pytest.importorskip("hatchling")
    absolute = runpy.run_path(str(places.clone() / "hatch_build.py"))["absolute"]
    text = "[limits](docs/limits.md#a), [C3A](https://arxiv.org/x), [here](#b), ![plot](a/b.png)"
    assert absolute(text, "https://example.org/c") == (
        "[limits](https://example.org/c/blob/HEAD/docs/limits.md#a), [C3A](https://arxiv.org/x), [here](#b), "
        "![plot](https://example.org/c/raw/HEAD/a/b.png)"
    )
    assert absolute(text, "") == "limits, [C3A](https://arxiv.org/x), [here](#b), "


def test_a_registry_can_render_the_readme(files):
    check = pytest.importorskip("twine.commands.check", reason="make test installs twine").check
    assert not check([str(path) for path in files], strict=True), "twine check --strict"
