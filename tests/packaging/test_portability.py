"""The package can be imported where Unix's modules and functions are missing, as on Windows.

Nothing of it has been run on Windows or macOS. These tests keep out what cannot work there.
"""

import ast
import os
import subprocess
import sys
from itertools import groupby
from pathlib import PurePosixPath

import pytest

from circpeft import places

UNIX = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")
# Functions and constants that Windows does not have. Code with `hasattr` or a comparison with "nt" may use them.
UNIX_ONLY = {
    "os": {"chown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getpgid", "getuid", "killpg", "mkfifo", "nice"}
    | {"posix_spawn", "pread", "pwrite", "sched_getaffinity", "setsid", "statvfs", "sync", "sysconf", "uname"},
    "signal": {"SIGALRM", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGUSR2", "alarm", "pause", "setitimer"},
    "socket": {"AF_UNIX", "socketpair"},
    "time": {"tzset"},
}
GUARDED = {
    "circpeft/cli/lab.py": "hasattr(os",
    "circpeft/course/exercises/time_limit.py": "hasattr(signal",
    "circpeft/files/syncing.py": 'if sys.platform == "darwin":\n    from fcntl',
}
FILES = sorted(places.PACKAGE.rglob("*.py"))
# Modules that another program, or Triton, imports.
NOT_HERE = ("_plugin", "_kernels", "__main__", "sitecustomize")

BLOCKED = """
import importlib, sys
for library in {libraries!r}:  # they may use what they like
    importlib.import_module(library)
for name in {unix!r}:
    sys.modules[name] = None
for module in {modules!r}:
    importlib.import_module(module)
    print(module)
"""


def test_every_module_is_imported_without_the_modules_of_unix():
    names = [".".join(("circpeft", *path.relative_to(places.PACKAGE).with_suffix("").parts)) for path in FILES]
    modules = [name.removesuffix(".__init__") for name in names if not name.endswith(NOT_HERE)]
    assert len(modules) > 200
    libraries = ["transformers", "peft", "datasets", "accelerate", "pandas", "sklearn.metrics", "matplotlib.pyplot"]
    libraries += ["IPython.display", "ipywidgets", "anywidget", "plotly.graph_objects", "jupyter_client", "nbconvert"]
    source = BLOCKED.format(libraries=libraries, unix=UNIX, modules=modules)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, cwd=places.PACKAGE.parent)
    assert done.returncode == 0 and done.stdout.split() == modules, done.stderr[-2000:]


@pytest.mark.parametrize("module", sorted({*UNIX, *UNIX_ONLY}))
def test_what_only_unix_has_is_used_only_behind_a_guard(module):
    used = []
    for path in FILES:
        text, name = path.read_text(encoding="utf-8"), path.relative_to(places.PACKAGE.parent).as_posix()
        for node in ast.walk(ast.parse(text)):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            attribute = isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == module
            missing = attribute and node.attr in UNIX_ONLY.get(module, ())
            if (missing or (module in UNIX and module in imported)) and GUARDED.get(name, "\0") not in text:
                used.append(f"{name}:{node.lineno}")
    assert not used


def test_texts_are_opened_with_an_encoding():
    """Windows reads and writes another one by default."""
    ruff = ["-m", "ruff", "check", "--isolated", "--preview", "--select", "PLW1514", "--quiet", str(places.PACKAGE)]
    done = subprocess.run([sys.executable, *ruff], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def shipped() -> list[str]:
    own = [path.relative_to(places.PACKAGE.parent).as_posix() for path in FILES]
    return sorted({*own, *places.course_files()})


def test_names_of_files_are_allowed_on_windows():
    reserved = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))}
    for name in shipped():
        for part in PurePosixPath(name).parts:
            assert not set(part) & set('<>:"\\|?*') and part.isprintable() and part[-1] not in ". ", name
            assert part.split(".")[0].lower() not in reserved, name
        assert len(name) < 150, name  # Windows allows 260 characters, with the folder of the installation


def test_no_two_files_differ_only_in_the_case_of_letters():
    names = sorted(shipped(), key=str.lower)
    assert not [same for _, found in groupby(names, str.lower) if len(same := list(found)) > 1]


def test_a_link_that_windows_forbids_is_a_copy(tmp_path, monkeypatch):
    from circpeft.data_folders import table_cache

    def forbidden(self, target):
        error = OSError("A required privilege is not held by the client")
        error.winerror = 1314
        raise error

    (tmp_path / "table").write_text("a,b\n", encoding="utf-8")
    monkeypatch.setattr(table_cache.Path, "symlink_to", forbidden)
    table_cache._link(tmp_path / "copy", tmp_path / "table")
    assert (tmp_path / "copy").read_text(encoding="utf-8") == "a,b\n" and not os.path.islink(tmp_path / "copy")


@pytest.mark.parametrize("windows", [True, False])
def test_a_program_takes_the_place_of_this_process_or_runs_below_it(monkeypatch, windows):
    from circpeft.cli import programs

    def call(command):
        return command[-1]

    monkeypatch.setattr(programs, "WINDOWS", windows)
    monkeypatch.setattr(programs.os, "execv", lambda program, command: f"{program} as {command[-1]}")
    monkeypatch.setattr(programs.subprocess, "call", call)
    assert programs.replace_by(["python", "x.py"]) == ("x.py" if windows else "python as x.py")
