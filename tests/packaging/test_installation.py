"""The commands of an installed package, in an empty folder: `make release-check` names the environment.

`CIRCPEFT_INSTALLED` is an environment with the wheel: first without extras, then with the extra `course` and what the
tests need.
"""

import csv
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from circpeft import places

GIVEN = os.environ.get("CIRCPEFT_INSTALLED", "")
BIN = places.clone() / GIVEN / "bin"
# Tests that need only the package and pytest.
PORTABLE = ("tests/adapters", "tests/costs", "tests/files/test_files.py", "tests/test_suggest.py")

# Without the clone, which a developer may have on the path.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

pytestmark = pytest.mark.skipif(not GIVEN, reason="CIRCPEFT_INSTALLED is not set; make release-check sets it")


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """An empty folder, the working directory of the commands below, one after the other."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture
def command(work):
    """Run `circpeft` with arguments; return its exit code, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run([BIN / "circpeft", *arguments], capture_output=True, text=True, cwd=work, env=ENVIRONMENT)
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ("lab", "course"),
        ("course", "course"),
        ("run 08", "course"),
        ("list notebooks", "course"),
        ("list tasks", "train"),
        ("train c3a --task entailment", "train"),
        ("sweep cdvft-1 --profile smoke", "train"),
        ("sweep cdvft-1 --profile smoke --ray local", "cluster"),
        ("merge adapter merged", "train"),
    ],
)
def test_without_extras_a_command_names_its_extra(command, work, arguments, extra):
    code, _, errors = command(*arguments.split())
    assert code == 2 and errors.count("\n") == 1 and errors.endswith(f"pip install 'circpeft[{extra}]'\n"), errors
    assert not list(work.iterdir())


def test_without_extras_doctor_names_what_the_course_needs(command):
    code, out, _ = command("doctor")
    assert code == 1 and "jupyterlab is not installed" in out and "pip install 'circpeft[course]'" in out


def test_help_and_a_wrong_command_take_less_than_half_the_time_of_importing_torch(command):
    def seconds(function) -> float:
        function()  # compiles the modules
        before = os.times()
        function()
        after = os.times()  # processor time: another process may delay this one
        return after.children_user + after.children_system - before.children_user - before.children_system

    torch = seconds(lambda: subprocess.run([BIN / "python", "-c", "import torch"], check=True, env=ENVIRONMENT))
    for arguments in (["--help"], ["trian"]):
        assert seconds(lambda given=arguments: command(*given)) < torch / 2, arguments


def test_doctor_finds_everything(command):
    code, out, _ = command("doctor")
    assert code == 0, out


@pytest.mark.parametrize("kind", ["methods", "tasks", "models", "tables", "notebooks", "backends"])
def test_list(command, kind):
    code, out, _ = command("list", kind)
    assert code == 0 and len(out.splitlines()) > 1


def test_a_run_goes_to_the_working_directory_and_its_adapter_can_be_merged(command, work):
    smallest = ["--task", "digits", "--profile", "smoke"]
    code, out, errors = command("train", "c3a", *smallest, "--json")
    assert code == 0, errors
    adapter = json.loads(out.splitlines()[-1])["weights"]
    assert Path(adapter).is_relative_to(work / "runs" / "train")
    code, out, errors = command("merge", adapter, "merged")
    assert code == 0 and (work / "merged" / "config.json").is_file(), errors


def test_lab_copies_the_course_and_starts_the_server(work):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", f"--port={port}", "--IdentityProvider.token=secret", "--ServerApp.port_retries=0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen([BIN / "circpeft", "lab", *options], cwd=work, env=ENVIRONMENT, **pipes) as server:
        try:
            address = f"http://127.0.0.1:{port}/api/contents/notebooks?token=secret"
            listed = answer(address, server, 120)
        finally:
            server.terminate()
        log = server.stdout.read()
    assert "Traceback" not in log and f"The course is now in {work / places.COURSE}." in log
    assert "00_start.ipynb" in {entry["name"] for entry in json.loads(listed)["content"]}


def answer(address: str, server: subprocess.Popen, seconds: float) -> bytes:
    """Return what a server answers, as soon as it does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            return urllib.request.urlopen(address, timeout=10).read()
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"no answer from {address}; exit code {server.poll()}")


def test_a_notebook_of_the_course_runs(command, work):
    code, out, errors = command("course", "00", "--profile", "smoke", "--quiet")
    assert code == 0 and "1 of 1 notebooks finished" in out, out + errors
    assert list((work / places.COURSE / "runs").glob("*-smoke-*/index.html"))


def test_the_installation_was_only_read():
    (record,) = (BIN.parent / "lib").glob("python*/site-packages/circpeft-*.dist-info/RECORD")
    site = record.parents[1]
    installed = {site / row[0] for row in csv.reader(record.read_text(encoding="utf-8").splitlines())}
    there = {path for path in (site / "circpeft").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert there <= installed


def test_the_portable_tests_pass_away_from_the_clone(tmp_path):
    shutil.copytree(places.clone() / "tests", tmp_path / "tests")
    options = ["-q", "--import-mode=importlib", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    command = [BIN / "python", "-m", "pytest", *options, *PORTABLE]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout[-3000:]
