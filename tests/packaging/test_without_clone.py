"""The content of the wheel in an empty folder: the course is copied, its links work, the installation is only read."""

import os
import re
import subprocess
import sys

import pytest

FRESH = """
import sys
from circpeft import places, results
from circpeft.cli import main
from circpeft.course import folder

assert places.clone() is None and str(places.PACKAGE).startswith(sys.argv[1]), places.PACKAGE
assert main(["list", "notebooks"]) == 0
print(folder.prepare()[0])
print(results.default_folder("train"))
print(results.commit())
"""
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s\"]+)")


@pytest.fixture(scope="module")
def fresh(site, tmp_path_factory):
    """The working directory after the course was copied, and the lines that the process printed."""
    work = tmp_path_factory.mktemp("work")
    before = {path for path in site.rglob("*")}
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(site)], capture_output=True, text=True, cwd=work, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert {path for path in site.rglob("*")} == before, "the installation is only read"
    return work, done.stdout.splitlines()


def test_outputs_are_in_the_working_directory(fresh):
    work, lines = fresh
    assert lines[-3:] == [str(work / "circpeft-course"), str(work / "runs" / "train"), "unknown"]
    assert [path.name for path in work.iterdir()] == ["circpeft-course"], "nothing else was made"
    assert lines[0].startswith("00_start") and len(lines) >= 13 + 3


def test_every_link_of_the_notebooks_leads_to_a_file_of_the_course(fresh):
    notebooks = sorted((fresh[0] / "circpeft-course" / "notebooks").glob("*.ipynb"))
    assert len(notebooks) >= 13
    for path in notebooks:
        links = set(LINK.findall(path.read_text(encoding="utf-8")))
        assert not [link for link in links if link.startswith("../") and not (path.parent / link).exists()], path.name


def test_every_link_of_the_pages_leads_to_a_file_of_the_course(fresh):
    for path in sorted((fresh[0] / "circpeft-course").glob("**/*.md")):
        links = set(LINK.findall(path.read_text(encoding="utf-8")))
        assert not [link for link in links if "/" in link and not (path.parent / link).exists()], path
