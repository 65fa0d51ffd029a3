"""The `circpeft` command: exit codes, messages, and the functions that each command calls."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import circpeft
from circpeft import cli, places
from circpeft.course import doctor, runner
from circpeft.course.parameters import declared


def notebook(path, source):
    first = new_code_cell('profile: str = "cpu"\nseeds: int = 1', metadata={"tags": ["parameters"]})
    nbformat.write(new_notebook(cells=[first, new_code_cell(source)]), str(path))
    return str(path)


def test_a_failed_notebook_is_reported_with_exit_code_1(tmp_path, capsys):
    good, bad = (
        notebook(tmp_path / "00_a.ipynb", "1"),
        notebook(tmp_path / "01_b.ipynb", "x = 1\nraise ValueError('no')"),
    )
    runs = str(tmp_path / "runs")
    assert cli.main(["course", "--profile", "smoke", "--output-dir", runs, "--quiet", bad, good]) == 1
    out = capsys.readouterr().out
    assert "01_b failed in cell 2 (In [3]): ValueError: no\n    | x = 1\n    | raise ValueError('no')" in out
    assert "1 of 2 notebooks finished: " in out and "index.html" in out


def test_run_passes_parameters_to_the_notebook(tmp_path, capsys):
    path = notebook(tmp_path / "00_a.ipynb", "assert (profile, seeds) == ('smoke', 3)")
    arguments = ["run", path, "-p", "profile", "smoke", "-p", "seeds", "3", "--output-dir", str(tmp_path / "runs")]
    assert cli.main([*arguments, "--json"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert "-smoke-" in folder.name
    printed = json.loads(capsys.readouterr().out)
    assert printed["folder"] == str(folder) and [entry["status"] for entry in printed["notebooks"]] == ["ok"]


def test_a_notebook_that_failed_is_resumed_in_its_folder(tmp_path, capsys):
    path = notebook(tmp_path / "00_a.ipynb", f"open({str(tmp_path / 'made')!r})")
    command = ["run", path, "-p", "seeds", "3", "--output-dir", str(tmp_path / "runs"), "--quiet"]
    assert cli.main(command) == 1
    assert "Add --resume to the same command" in capsys.readouterr().out
    (folder,) = (tmp_path / "runs").iterdir()
    (tmp_path / "made").touch()
    assert cli.main([*command, "--resume"]) == 0
    assert "--resume" not in capsys.readouterr().out
    assert list((tmp_path / "runs").iterdir()) == [folder]
    assert cli.main([*command, "--resume"]) == 2 and "nothing to resume" in capsys.readouterr().err


def test_a_course_without_a_place_for_its_runs_is_not_copied(tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    runs = str(tmp_path / "taken" / "runs")
    assert cli.main(["course", "--folder", str(tmp_path / "course"), "--output-dir", runs]) == 2
    assert f"cannot write in --output-dir {runs!r}: '{tmp_path / 'taken'}' is not a folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_papermill_reads_every_parameter_of_the_course():
    """papermill's own list of parameters omits one if its default contains a second equals sign."""
    for path in sorted((places.clone() / "notebooks").glob("*.ipynb")):
        assert list(papermill.inspect_notebook(str(path))) == list(declared(path)), path.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "seed", "3"], "did you mean 'seeds'?"),
        (["-p", "seeds", "abc"], "seeds='abc' does not fit: expected int, as in `seeds: int = 1`"),
        (["-p", "profile", "papier"], "did you mean 'paper'?"),
        (["-p", "seeds", "1", "-p", "seeds", "2"], "parameter 'seeds' is given twice"),
        (["--cell-timeout", "0"], "cell timeout 0.0"),
    ],
)
def test_wrong_parameters_of_run_are_exit_code_2(tmp_path, capsys, arguments, message):
    path = notebook(tmp_path / "00_a.ipynb", "1")
    assert cli.main(["run", path, *arguments, "--output-dir", str(tmp_path / "runs")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["corse"], "unknown command 'corse'; did you mean 'course'?"),
        (["course", "--prifile", "cpu"], "unknown arguments: --prifile; did you mean '--profile'?"),
        (["train", "c3a", "--max-length", "64"], "arguments: --max-length 64; set it with --set max_length VALUE"),
        (["sweep", "c3a-2", "--epochs=1"], "arguments: --epochs=1; set it with --set epochs VALUE"),
        (["train", "c3a", "--sed", "1"], "--sed 1; did you mean '--seed'? (see `circpeft train --help`)"),
        (["course", "--cell-timeout", "soon"], "invalid float value: 'soon'"),
        (["run"], "NOTEBOOK"),
    ],
)
def test_wrong_arguments_are_exit_code_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_an_unknown_notebook_or_profile_is_exit_code_2(tmp_path, monkeypatch, capsys):
    (tmp_path / "notebooks").mkdir()
    notebook(tmp_path / "notebooks" / "00_start.ipynb", "1")
    monkeypatch.setattr(places, "clone", lambda: tmp_path)
    assert cli.main(["run", "00_stort"]) == 2
    assert "did you mean '00_start'?" in capsys.readouterr().err
    assert cli.main(["course", "--profile", "smok"]) == 2
    assert "did you mean 'smoke'?" in capsys.readouterr().err


def test_an_interruption_is_exit_code_130(monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_course", interrupted)
    assert cli.main(["course"]) == 130


@pytest.mark.parametrize("ready", [True, False])
def test_the_exit_code_of_doctor_is_its_result(monkeypatch, ready):
    hub_values = []
    monkeypatch.setattr(doctor, "print_report", lambda hub: hub_values.append(hub) or ready)
    assert cli.main(["doctor", "--hub"]) == (0 if ready else 1)
    assert hub_values == [True]


def test_every_command_has_help_with_an_example(capsys):
    for name in cli.build_parser().commands:
        with pytest.raises(SystemExit) as stop:
            cli.main([name, "--help"])
        assert stop.value.code == 0
        assert f"example:\n  circpeft {name}" in capsys.readouterr().out


def test_lab_starts_jupyterlab_on_the_first_notebook(monkeypatch, tmp_path, capsys):
    called = []
    monkeypatch.setattr(cli.lab.os, "execv", lambda program, arguments: called.append((program, arguments)))
    monkeypatch.setattr(places, "clone", lambda: tmp_path)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/etc/other")
    monkeypatch.setattr(cli.lab, "_is_taken", lambda port: False)
    assert cli.main(["lab"]) == 2 and called == []
    assert "00_start.ipynb is missing" in capsys.readouterr().err
    (tmp_path / "notebooks").mkdir()
    notebook(tmp_path / "notebooks" / "00_start.ipynb", "1")
    cli.main(["lab", "--port", "8890", "--no-browser"])
    ((program, arguments),) = called
    assert program == sys.executable and arguments[1:3] == ["-m", "circpeft.cli.lab_server"]
    assert f"--ServerApp.root_dir={tmp_path}" in arguments
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start.ipynb" in arguments
    assert arguments[-3:] == ["--port", "8890", "--no-browser"]
    first, *others = os.environ["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert others == ["/etc/other"]
    defaults = json.loads((Path(first) / "labconfig" / "default_setting_overrides.json").read_text())
    assert defaults == {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}


def test_lab_names_a_free_port_if_the_chosen_one_is_taken(monkeypatch, capsys):
    called = []
    monkeypatch.setattr(cli.lab.os, "execv", lambda program, arguments: called.append(arguments))
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for arguments in (["--port", str(port)], [f"--port={port}"], [f"--ServerApp.port={port}"]):
            assert cli.main(["lab", *arguments]) == 2 and called == []
            error = capsys.readouterr().err
            assert f"port {port} is taken" in error and re.search(r"circpeft lab --port \d+", error)
        monkeypatch.setattr(cli.lab, "USUAL_PORT", port)
        cli.main(["lab"])
    assert len(called) == 1
    assert f"Port {port} is taken, so JupyterLab takes the next free one" in capsys.readouterr().err


def test_lab_names_each_extension_that_is_missing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(cli.lab.os, "execv", lambda program, arguments: None)
    monkeypatch.setattr(cli.lab.lab_extensions, "missing", lambda: {"anywidget": "interactive pieces"})
    monkeypatch.setattr(cli.lab, "_is_taken", lambda port: False)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "")
    cli.main(["lab"])
    [line] = capsys.readouterr().err.splitlines()
    lacking = "JupyterLab lacks anywidget: interactive pieces do not work"
    assert line == f"{lacking}; `circpeft doctor` names what to install."


def test_lab_runs_the_installed_jupyterlab():
    done = subprocess.run([sys.executable, "-m", "circpeft.cli", "lab", "--version"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()[0].isdigit()


def test_the_report_of_doctor_as_json_begins_with_the_version_and_the_system(monkeypatch, capsys):
    found = [doctor.Check("OK", "fine"), doctor.Check("WARN", "so so", "do this")]
    monkeypatch.setattr(doctor, "checks", lambda hub: found)
    assert cli.main(["doctor", "--json"]) == 0
    system, *rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert system["title"].startswith(f"circpeft {circpeft.__version__} on ") and system["status"] == "INFO"
    assert rows[1] == {"status": "WARN", "title": "so so", "advice": "do this"}
    found.append(doctor.Check("FAIL", "broken", "fix it"))
    assert cli.main(["doctor", "--json"]) == 1
