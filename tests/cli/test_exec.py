"""`circpeft exec`: the program runs as without it, knows the methods in all its processes, and errors are clear."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from circpeft import cli
from circpeft.cli import exec_command, programs

# What a program can see of how it was started.
PROBE = """
import json, os, sys
import __main__
print(json.dumps({
    "argv": sys.argv, "name": __name__, "file": globals().get("__file__"), "path": sys.path[0],
    "spec": getattr(__main__.__spec__, "name", None), "main": __main__.__dict__ is globals(),
    "flags": list(sys.flags), "folder": os.getcwd(),
}))
print("circpeft" in sys.modules, os.getpid(), file=sys.stderr)
"""
VERBATIM = ["run", "--help", "--version", "-m", "x", "--", "-h", "", "a b"]


@pytest.fixture
def start(tmp_path):
    """Return a function that starts Python in a folder of its own, with or without `circpeft exec`."""

    def run(*command: str, with_circpeft: bool = True, **variables: str) -> subprocess.CompletedProcess:
        launcher = ["-m", "circpeft", "exec"] if with_circpeft else []
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **variables}
        command = [sys.executable, *launcher, *command]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)

    return run


def script(path: Path, source: str, interpreter: str = "") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{interpreter}\n{source}" if interpreter else source)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("command", [["./probe.py"], ["folder"], ["-m", "probe"], ["-m", "package.probe"]], ids=str)
def test_a_program_sees_the_same_as_without_the_launcher(start, tmp_path, command):
    for name in ("probe.py", "folder/__main__.py", "package/probe.py"):
        script(tmp_path / name, PROBE)
    plain, launched = start(*command, *VERBATIM, with_circpeft=False), start(*command, *VERBATIM)
    assert plain.returncode == launched.returncode == 0, launched.stderr
    assert plain.stdout == launched.stdout and json.loads(plain.stdout)["argv"][1:] == VERBATIM
    assert plain.stderr.startswith("False ") and launched.stderr.startswith("True ")


def test_a_console_script_on_path_sees_the_same(start, tmp_path):
    path = script(tmp_path / "bin" / "my-probe", PROBE, sys.executable)
    variables = {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    plain = subprocess.run([path, *VERBATIM], capture_output=True, text=True, cwd=tmp_path)
    launched = start("my-probe", *VERBATIM, **variables)
    assert launched.stdout == plain.stdout and launched.stderr.startswith("True ")


def test_python_itself_may_be_the_command(start):
    code = "import sys; print(sys.argv, 'circpeft' in sys.modules)"
    assert start("python", "-c", code, "-I", "--help").stdout == "['-c', '-I', '--help'] True\n"


def test_an_entry_point_without_a_file_is_called(tmp_path, start, monkeypatch):
    script(tmp_path / "site" / "tool.py", "import sys\ndef main():\n    print(sys.argv)\n    return 5\n")
    metadata = tmp_path / "site" / "tool-1.dist-info"
    script(metadata / "METADATA", "Name: tool\nVersion: 1\n")
    script(metadata / "entry_points.txt", "[console_scripts]\nmy-tool = tool:main\n")
    (tmp_path / "my-tool").mkdir()  # a folder of the same name, such as a clone of the tool
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    done = start("my-tool", "--help", PYTHONPATH=path)
    assert (done.returncode, done.stdout) == (5, "['my-tool', '--help']\n"), done.stderr


ENDS = {
    "a code": "import sys; sys.exit(3)",
    "a message": "raise SystemExit('no data')",
    "an error": "def f():\n    raise ValueError('bad')\nf()",
    "a signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "wrong syntax": "x = = 1",
}


@pytest.mark.parametrize("end", ENDS)
def test_exit_code_and_traceback_are_the_programs_own(start, tmp_path, end):
    script(tmp_path / "ends.py", ENDS[end])
    plain, launched = start("ends.py", with_circpeft=False), start("ends.py")
    assert plain.returncode == launched.returncode != 0
    assert plain.stderr == launched.stderr and "circpeft" not in launched.stderr


def test_an_interruption_reaches_the_program_in_the_same_process(tmp_path):
    program = (
        "import os, time\ntry:\n    print(os.getpid(), flush=True)\n    time.sleep(60)\nexcept KeyboardInterrupt:\n"
    )
    path = script(tmp_path / "waits.py", f"{program}    print('interrupted', flush=True)\n    raise\n")
    command = [sys.executable, "-m", "circpeft", "exec", path]
    # A shell that runs the tests in the background ignores the signal, and its children inherit that.
    options = {"text": True, "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as running:
        assert int(running.stdout.readline()) == running.pid
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=600)
    assert out == "interrupted\n" and running.returncode == -signal.SIGINT and err.endswith("KeyboardInterrupt\n")


CHILDREN = """
import multiprocessing, os, subprocess, sys

def known(_=None):
    return "circpeft" in sys.modules

if __name__ == "__main__":
    code = "import sys; print('circpeft' in sys.modules)"
    print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip())
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # as torch's compile workers are started
    print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=paths).stdout.strip())
    for method in ("spawn", "forkserver", "fork"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(pool.apply(known))
"""


def test_child_processes_know_the_methods(start, tmp_path):
    script(tmp_path / "children.py", CHILDREN)
    done = start("children.py")
    assert done.stdout.split() == ["True"] * 5, done.stderr
    assert start("children.py", with_circpeft=False).stdout.split() == ["False"] * 5


RANK = "import os, sys\nopen(f\"rank{os.environ.get('RANK', 0)}\", 'w').write(str('circpeft' in sys.modules))\n"
LAUNCHERS = {
    "torchrun": ["--standalone", "--nproc-per-node", "2"],
    "accelerate": ["launch", "--num_processes", "1", "--num_machines", "1", "--mixed_precision", "no"]
    + ["--dynamo_backend", "no", "--cpu"],
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_processes_of_a_launcher_know_the_methods(start, tmp_path, launcher):
    pytest.importorskip("accelerate")
    script(tmp_path / "rank.py", RANK)
    done = start(launcher, *LAUNCHERS[launcher], "rank.py")
    assert done.returncode == 0, done.stderr
    known = {path.name: path.read_text() for path in tmp_path.glob("rank?")}
    assert known == ({"rank0": "True", "rank1": "True"} if launcher == "torchrun" else {"rank0": "True"})


def test_another_sitecustomize_still_runs(start, tmp_path):
    script(tmp_path / "site" / "sitecustomize.py", "print('theirs', __file__)\nVALUE = 7\n")
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    code = "import sitecustomize, sys; print(sitecustomize.VALUE, 'circpeft' in sys.modules)"
    launched = start("python", "-c", code, PYTHONPATH=path)
    # Once in the launcher, and once in the program.
    assert launched.stdout == f"theirs {tmp_path}/site/sitecustomize.py\n" * 2 + "7 True\n", launched.stderr
    script(tmp_path / "site" / "sitecustomize.py", "1 / 0")
    plain, launched = (
        start("-c", "", with_circpeft=False, PYTHONPATH=path),
        start("python", "-c", "", PYTHONPATH=path),
    )
    assert "ZeroDivisionError" in plain.stderr and 2 * plain.stderr == launched.stderr


def test_a_python_without_circpeft_starts_as_usual(tmp_path):
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = "import sys, sitecustomize; print('circpeft' in sys.modules, sitecustomize.__file__)"

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-S", *arguments]  # without the installed packages
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=without | variables)

    # Some systems, such as Debian, have a sitecustomize of their own, which then takes the place of the launcher's.
    found = run("-c", "import importlib.util as u; s = u.find_spec('sitecustomize'); print(s.origin if s else '')")
    expected = found.stdout.strip() or exec_command.STARTUP / "sitecustomize.py"
    done = run("-c", code, PYTHONPATH=str(exec_command.STARTUP))
    assert done.stdout == f"False {expected}\n" and done.stderr == ""


def test_the_path_of_a_second_launcher_has_the_folder_once(monkeypatch):
    folder = str(exec_command.STARTUP)
    monkeypatch.setattr(sys, "path", ["/elsewhere"])
    assert exec_command.python_path(None) == exec_command.python_path("") == exec_command.python_path(folder) == folder
    assert exec_command.python_path(f":/lib:{folder}") == f"{folder}::/lib"
    root = str(exec_command.STARTUP.parents[2])
    monkeypatch.setattr(sys, "path", [root])  # python -m circpeft in a clone
    assert exec_command.python_path("/lib") == f"{folder}:/lib:{root}"


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ([], 2, "no command; write `circpeft exec COMMAND ...`, `circpeft exec FILE.py ...` or `circpeft exec -m MOD"),
        (["--"], 2, "no command"),
        (["-m"], 2, "no module after -m"),
        (["--quiet", "lm_eval"], 2, "unknown option '--quiet' before the command"),
        (["python", "-uI", "x.py"], 2, "python -uI would not import circpeft at startup; leave out -I, -E and -S"),
        (["torchrum"], 127, "command not found: 'torchrum'; did you mean 'torchrun'?"),
        (["zzzzzzzz"], 127, "command not found: 'zzzzzzzz'; write `circpeft exec COMMAND"),
        (["train"], 127, "command not found: 'train'; for the file write `circpeft exec train.py`"),
        (["json.tool"], 127, "for the module write `circpeft exec -m json.tool`"),
        (["./trian.py"], 127, "no such file: ./trian.py; did you mean './train.py'?"),
        (["elsewhere/train.py"], 127, "no such file: elsewhere/train.py"),
        (["ls"], 126, "/ls is not a Python program"),
        (["./run.sh"], 126, "./run.sh is not a Python program; write `circpeft exec` before the Python command in it"),
        (["./other"], 126, "./other runs in another environment, that of /no/venv/bin/python3; install circpeft there"),
        (
            ["adapter"],
            126,
            "adapter is an adapter of C3A, not a command; give it to a program: `circpeft exec lm_eval ",
        ),
        (["./adapter/"], 126, "pretrained=/my/base,peft="),
        (["damaged"], 126, "damaged is not a command, and its adapter_config.json is not readable"),
        (["empty"], 126, "empty is a folder without __main__.py"),
    ],
    ids=str,
)
def test_a_command_that_cannot_run_has_a_shells_exit_code(tmp_path, monkeypatch, capsys, command, code, message):
    script(tmp_path / "train.py", "")
    script(tmp_path / "run.sh", "python train.py", "/bin/sh")
    script(tmp_path / "other", "", "/no/venv/bin/python3")
    fields = {"peft_type": "CIRCONV", "base_model_name_or_path": "/my/base"}
    script(tmp_path / "adapter" / "adapter_config.json", json.dumps(fields))
    script(tmp_path / "damaged" / "adapter_config.json", "{")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execv", lambda *arguments: pytest.fail(f"started {arguments}"))
    assert cli.main(["exec", *command]) == code
    printed = capsys.readouterr().err
    assert printed.startswith("circpeft exec: error: ") and message in printed and printed.count("\n") == 1


@pytest.mark.parametrize(
    "start_of_file",
    [
        f"#!{sys.executable}\n",
        f"#! {sys.executable} -s\n",
        "#!/usr/bin/env python3\n",
        f"#!/bin/sh\n'''exec' \"{sys.executable}\" \"$0\" \"$@\"\n' '''\n",
        f"#!/bin/sh\n'''exec' {sys.executable} \"$0\" \"$@\"\n' '''\n",
    ],
)
def test_the_starts_that_installers_write_are_those_of_python_programs(tmp_path, start_of_file):
    (tmp_path / "tool").write_text(start_of_file)
    path = str(tmp_path / "tool")
    assert programs.python_arguments([path, "-x"]) == [path, "-x"]


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch, capsys):
    path = script(tmp_path / "tool", "", sys.executable)

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(programs, "open", refuse, raising=False)
    assert cli.main(["exec", path]) == 126
    assert capsys.readouterr().err == f"circpeft exec: error: {path} cannot be read: Permission denied\n"
