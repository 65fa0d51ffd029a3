"""The notebook runner on tiny notebooks: records, rejected requests, failures, interruptions and resuming."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from itertools import chain, repeat

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from circpeft.course import course_run
from circpeft.course.course_run import make_folder
from circpeft.course.parameters import RequestError, check, convert, declared, select
from circpeft.course.runner import run_course
from circpeft.files import locked

WRITES_A_RECORD = """
import json, os, pathlib, sys
record = dict(task="toy", method="c3a", label="c3a", seed=0, metric="accuracy", score=0.5, test_score=0.5, seeds=seeds)
record |= dict.fromkeys(["start_score", "seconds", "tokens_per_second"], 0.5)
record |= dict.fromkeys(["best_epoch", "trainable_parameters", "head_parameters", "peak_bytes"], 1)
record |= dict.fromkeys(["split", "device", "commit", "code", "data", "finished"], "")
record |= dict(flops_per_token=None, base_flops_per_token=None, rows={}, versions={}, schema=3)
record |= dict(settings=dict(hyperparameters={}, model="bert"))
record |= dict(executable=sys.executable, pid=os.getpid(), cwd=os.getcwd())
(pathlib.Path(output_dir) / "results" / "first.json").write_text(json.dumps(record))
"""
PARAMETERS = 'profile: str = "cpu"  # smoke | cpu | paper\n'


def write_notebook(path, parameter_lines, *cells):
    first = new_code_cell(parameter_lines, metadata={"tags": ["parameters"]})
    cells = [new_markdown_cell("# A title"), first, *map(new_code_cell, cells)]
    nbformat.write(new_notebook(cells=cells), str(path))
    return path


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    further = 'seeds: int = 1  # how many\noutput_dir: str = "."\n'
    return [
        write_notebook(folder / "00_first.ipynb", PARAMETERS + further, WRITES_A_RECORD, "secret = 1"),
        write_notebook(folder / "01_fails.ipynb", PARAMETERS, "x = 1", "y = x / 0\nz = 2", "print('not reached')"),
        write_notebook(folder / "02_last.ipynb", PARAMETERS, "assert 'secret' not in globals()", "print(profile)"),
    ]


@pytest.fixture(scope="module")
def finished(notebooks, tmp_path_factory):
    """A finished run, made where Jupyter would find a python3 kernel that cannot start."""
    elsewhere = tmp_path_factory.mktemp("jupyter")
    spec = elsewhere / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({"argv": ["/bin/false"], "display_name": "x", "language": "python"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(elsewhere))
        return run_course(
            "smoke", notebooks, {"seeds": "3"}, output_dir=tmp_path_factory.mktemp("runs"), progress=False
        )


def test_a_failing_notebook_is_reported_with_its_cell_and_the_others_continue(finished):
    assert [entry["status"] for entry in finished.record["notebooks"]] == ["ok", "failed", "ok"]
    assert finished.record["status"] == "failed"
    error = finished.failed[0]["error"]
    assert (error["cell"], error["ename"], error["evalue"]) == (4, "ZeroDivisionError", "division by zero")
    assert error["source"].startswith("y = x / 0")
    partial = nbformat.read(finished.folder / "01_fails.ipynb", as_version=4)
    assert any(output.output_type == "error" for cell in partial.cells for output in cell.get("outputs", []))


def test_the_kernel_is_this_interpreter_and_each_notebook_has_its_own(finished):
    record = json.loads((finished.folder / "results" / "first.json").read_text())
    assert record["executable"] == sys.executable
    assert record["pid"] != os.getpid()
    assert record["cwd"] == str(finished.folder)
    # 02_last asserts that a name defined in 00_first does not exist.
    assert finished.record["notebooks"][2]["status"] == "ok"


def test_values_reach_the_notebooks_that_have_the_parameter(finished):
    assert json.loads((finished.folder / "results" / "first.json").read_text())["seeds"] == 3
    last = nbformat.read(finished.folder / "02_last.ipynb", as_version=4)
    injected = [cell.source for cell in last.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert len(injected) == 1 and 'profile = "smoke"' in injected[0] and "seeds" not in injected[0]
    assert last.cells[-1].outputs[0].text == "smoke\n"


def test_the_record_holds_device_versions_and_seconds(finished):
    on_disk = json.loads((finished.folder / "run.json").read_text())
    assert on_disk == finished.record
    for entry in on_disk["notebooks"]:
        assert entry["profile"] == "smoke" and entry["seconds"] > 0 and entry["device"]
        assert entry["versions"]["python"] == sys.version.split()[0]
    page = (finished.folder / "index.html").read_text()
    for stem in ("00_first", "01_fails", "02_last"):
        assert f'href="html/{stem}.html"' in page and (finished.folder / "html" / f"{stem}.html").is_file()
    assert "ZeroDivisionError" in page and "<td>toy</td>" in page


def test_a_slow_cell_and_a_dead_kernel_are_failures_with_a_cell(tmp_path):
    slow = write_notebook(tmp_path / "10_slow.ipynb", PARAMETERS, "x = 1", "import time\ntime.sleep(60)")
    dead = write_notebook(tmp_path / "11_dead.ipynb", PARAMETERS, "import os\nos._exit(1)")
    chosen = {"output_dir": tmp_path / "runs", "progress": False}
    first = run_course("smoke", [slow], cell_timeout=4, **chosen).failed[0]["error"]
    second = run_course("smoke", [dead], **chosen).failed[0]["error"]
    assert (first["ename"], first["cell"]) == ("CellTimeoutError", 4)
    assert (second["ename"], second["cell"]) == ("DeadKernelError", 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": "3"}, "'seed'.*did you mean 'seeds'"),
        ({"seeds": "abc"}, "seeds='abc'.*expected int"),
        ({"seeds": "2.5"}, "seeds='2.5'.*expected int"),
        ({"seeds": True}, "seeds=True.*expected int"),
        ({"profile": "smok"}, "'smok'.*did you mean 'smoke'"),
        ({"output_dir": "here"}, "use --output-dir"),
    ],
)
def test_bad_parameters_are_rejected_before_anything_runs(notebooks, tmp_path, given, message):
    with pytest.raises(RequestError, match=message):
        run_course(None, notebooks, given, output_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_one_notebook_rejects_a_parameter_that_only_another_has(notebooks):
    assert check(notebooks, {"seeds": "2"})[notebooks[0]] == {"seeds": 2}
    with pytest.raises(RequestError, match="unknown parameter 'seeds' of 02_last"):
        check(notebooks[2:], {"seeds": "2"})


def test_type_hints_that_papermill_misses_are_read(tmp_path):
    lines = 'a: int | None = None\nb: list[str] = [\n    "q",\n]\nc: int | str = "auto"  # "x" # y\n'
    lines += "d: float = 1\ne = False\nf = g()"
    found = declared(write_notebook(tmp_path / "x.ipynb", lines))
    given = {"a": "4", "b": "['k']", "c": "auto", "d": "3", "e": "yes", "f": "word"}
    values = {name: convert(found[name], value) for name, value in given.items()}
    assert values == {"a": 4, "b": ["k"], "c": "auto", "d": 3.0, "e": True, "f": "word"}
    assert convert(found["a"], "None") is None and convert(found["c"], "64") == 64
    assert type(values["d"]) is float
    with pytest.raises(RequestError, match="expected list"):
        convert(found["b"], "k")


def test_notebooks_are_selected_by_number_name_or_path(notebooks):
    folder = notebooks[0].parent
    assert select(directory=folder) == notebooks
    assert select(["2", "00", "01_fails.ipynb"], folder) == [notebooks[2], notebooks[0], notebooks[1]]
    assert select([str(notebooks[1])], folder) == [notebooks[1]]
    with pytest.raises(RequestError, match="did you mean '02_last'"):
        select(["02_lost"], folder)
    with pytest.raises(RequestError, match="twice"):
        select(["0", "00_first"], folder)
    with pytest.raises(RequestError, match="'7'.*choices: 00_first"):
        select(["7"], folder)


def test_two_runs_cannot_share_a_folder(tmp_path, monkeypatch):
    suffixes = chain(["aaaa"] * 4, repeat("bbbb"))
    monkeypatch.setattr(course_run.secrets, "token_hex", lambda size: next(suffixes))

    class Still(course_run.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)

    monkeypatch.setattr(course_run, "datetime", Still)
    first, second = make_folder(tmp_path, "cpu"), make_folder(tmp_path, "cpu")
    assert [first.name, second.name] == ["20260102T030405Z-cpu-aaaa", "20260102T030405Z-cpu-bbbb"]


def test_an_interrupted_run_keeps_finished_notebooks_and_resumes(tmp_path):
    log = tmp_path / "log"
    note = f"open({str(log)!r}, 'a').write({{!r}})"
    first = write_notebook(tmp_path / "00_a.ipynb", PARAMETERS, note.format("a"))
    wait = f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.1)"
    second = write_notebook(tmp_path / "01_b.ipynb", PARAMETERS, note.format("b"), wait)
    third = write_notebook(tmp_path / "02_c.ipynb", PARAMETERS, note.format("c"))
    command = [sys.executable, "-m", "circpeft.cli", "course", "--profile", "smoke"]
    command += ["--output-dir", str(tmp_path / "runs"), str(first), str(second), str(third)]

    def text():
        return log.read_text() if log.exists() else ""

    # A shell starts background processes with SIGINT ignored, and children inherit that: restore the default.
    restore_sigint = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=restore_sigint)
    deadline = time.monotonic() + 600
    while text() != "ab" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert text() == "ab"

    # A run that another process works on cannot be resumed.
    with pytest.raises(RequestError, match=f"nothing to resume.* works on .*host .*, process {process.pid}"):
        run_course("smoke", [first, second, third], output_dir=tmp_path / "runs", resume=True)
    for _ in range(6):  # repeated, because a library may swallow the signal
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
            break
    out, _ = process.communicate(timeout=10)
    assert process.returncode == 130, out.decode()
    assert "circpeft course: interrupted: finished notebooks stay in" in out.decode()
    (folder,) = (tmp_path / "runs").iterdir()
    assert str(folder) in out.decode()
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "interrupted"
    assert [entry["status"] for entry in record["notebooks"]] == ["ok", "interrupted", "pending"]
    assert 'href="html/00_a.html"' in (folder / "index.html").read_text()

    (tmp_path / "go").touch()
    run_course("smoke", [first, second, third], output_dir=tmp_path / "runs", resume=True, progress=False)
    assert text() == "abbc"  # the first did not run again
    assert list((tmp_path / "runs").iterdir()) == [folder]
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    with pytest.raises(RequestError, match="nothing to resume"):
        run_course("smoke", [first, second, third], output_dir=tmp_path / "runs", resume=True)


def test_resume_runs_only_failed_and_changed_notebooks(tmp_path):
    log = tmp_path / "log"
    first = write_notebook(tmp_path / "00_a.ipynb", PARAMETERS, f"open({str(log)!r}, 'a').write('a')")
    second = write_notebook(tmp_path / "01_b.ipynb", PARAMETERS, "1 / 0")
    third = write_notebook(tmp_path / "02_c.ipynb", PARAMETERS, f"open({str(log)!r}, 'a').write('c')")
    chosen = {"notebooks": [first, second, third], "output_dir": tmp_path / "runs", "progress": False}
    run = run_course("smoke", **chosen)
    write_notebook(second, PARAMETERS, f"open({str(log)!r}, 'a').write('b')")
    write_notebook(third, PARAMETERS, f"open({str(log)!r}, 'a').write('C')")
    with pytest.raises(RequestError, match="profile 'cpu'"):
        run_course("cpu", **chosen, resume=True)
    with locked(run.folder / ".lock"):
        with pytest.raises(RequestError, match="nothing to resume"):
            run_course("smoke", **chosen, resume=True)
    again = run_course("smoke", **chosen, resume=True)
    assert again.folder == run.folder and not again.unfinished
    assert log.read_text() == "acbC"


def test_sigterm_ends_a_run_with_its_kernel(tmp_path):
    pid = tmp_path / "pid"
    code = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()) + ' ')\ntime.sleep(600)"
    slow = write_notebook(tmp_path / "00_a.ipynb", PARAMETERS, code)
    command = [sys.executable, "-m", "circpeft", "course", "--profile", "smoke", "--quiet", str(slow)]
    command += ["--output-dir", str(tmp_path / "runs")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (pid.exists() and pid.read_text().endswith(" ")):
        assert process.poll() is None
        time.sleep(0.1)
    process.terminate()
    line = process.communicate(timeout=120)[1].strip().splitlines()[-1]
    assert process.returncode == 143
    assert line.startswith("circpeft course: ended by SIGTERM: finished notebooks stay in") and "--resume" in line
    assert not os.path.exists(f"/proc/{int(pid.read_text())}")
    [path] = (tmp_path / "runs").glob("*/run.json")
    record = json.loads(path.read_text())
    assert (record["status"], record["notebooks"][0]["status"]) == ("interrupted", "interrupted")


DAMAGED_RUNS = {
    "cut": lambda text: text[: len(text) // 2],
    "of another type": lambda text: text.replace('"seconds": ', '"seconds": "long", "x": '),
    "without a notebook": lambda text: json.dumps(json.loads(text) | {"notebooks": []}),
    "nested": lambda text: "[" * 100_000,
}


def test_resuming_passes_over_damaged_runs_and_names_them(finished, notebooks, tmp_path, capsys):
    text = (finished.folder / "run.json").read_text()
    for number, change in enumerate(DAMAGED_RUNS.values()):
        folder = tmp_path / f"2026010{number}T000000Z-smoke-aaaa"
        folder.mkdir()
        (folder / "run.json").write_text(change(text))
    (tmp_path / "20260109T000000Z-smoke-aaaa" / "run.json").mkdir(parents=True)
    with pytest.raises(RequestError, match="nothing to resume"):
        run_course("smoke", notebooks, {"seeds": "3"}, output_dir=tmp_path, resume=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 + len(DAMAGED_RUNS)
    assert "is a folder, expected a file" in lines[0] and "is not JSON in UTF-8: recursion limit" in lines[1]
    assert "has 0 notebooks, expected 3" in lines[2] and "notebooks.0.seconds = 'long'" in lines[3]
    assert all(line.startswith("left out: ") and "run.json" in line for line in lines)
