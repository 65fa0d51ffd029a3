"""Find the Python program that a command line names: a console script, a file, a folder or a module."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from circpeft.suggest import nearest

NOT_FOUND, NOT_RUNNABLE, WRONG_USAGE = 127, 126, 2  # a shell's exit codes
FORMS = "write `circpeft exec COMMAND ...`, `circpeft exec FILE.py ...` or `circpeft exec -m MODULE ...`"
SUFFIXES = (".py", ".pyw", ".pyc", ".pyz")
# `#!/venv/bin/python3`, or the two lines that pip writes if that path is long or has blanks:
# `#!/bin/sh` and `'''exec' "/a venv/bin/python3" "$0" "$@"`.
INTERPRETER = re.compile(rb"""(?:^\#!\s*|^\#!/bin/sh\n'''exec'\s+)"?([^"\n]*?python[\d.]*)["\s]""")
IGNORES_PYTHONPATH = re.compile(r"-[bBdhiOPqsuv]*[IES]")
WINDOWS = os.name == "nt"
METHODS = {"CIRCONV": "C3A", "CDVFT": "CDVFT"}


class ProgramError(Exception):
    """A command that cannot be run, with the exit code that a shell has for it."""

    def __init__(self, message: str, exit_code: int = NOT_RUNNABLE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def replace_by(command: Sequence[str]) -> int:
    """Replace this process by a program. On Windows, which cannot do that, run it and return its exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    if WINDOWS:
        return subprocess.call(command)
    return os.execv(command[0], [*command])


def python_arguments(command: Sequence[str]) -> list[str]:
    """Return the arguments with which Python runs a command.

    Raises: ProgramError for a command that is missing, is not found, or is not a Python program.

    >>> python_arguments(["-m", "json.tool", "--help"])
    ['-m', 'json.tool', '--help']
    """
    command = list(command[1:] if command[:1] == ["--"] else command)
    if not command or command == ["-m"]:
        raise ProgramError(f"{'no module after -m' if command else 'no command'}; {FORMS}", WRONG_USAGE)
    name, *arguments = command
    if name == "-m":
        return command
    if name.startswith("-"):
        raise ProgramError(f"unknown option {name!r} before the command; {FORMS}", WRONG_USAGE)
    path = _locate(name)
    if path is None:
        return ["-c", _entry_point(name), *arguments]
    if _is_this_python(path):
        _check_isolation(arguments)
        return arguments
    _check_program(path)
    return [path, *arguments]


def _locate(name: str) -> str | None:
    """Return the file or folder of a command; None for a name that is neither a script nor in the working directory."""
    if os.sep in name or (name.endswith(SUFFIXES) and os.path.isfile(name)):
        return name
    script = os.path.join(sysconfig.get_path("scripts"), name)
    found = script if os.path.isfile(script) else shutil.which(name)
    if found is None and os.path.exists(name) and name not in _console_scripts():
        return name
    return found


def _console_scripts() -> dict[str, str]:
    """Return what every installed console script calls, by its name."""
    from importlib.metadata import entry_points  # here, because it takes as long as the other imports together

    return {script.name: script.value for script in entry_points(group="console_scripts")}


def _entry_point(name: str) -> str:
    """Return code that calls a console script whose file was not installed."""
    value = _console_scripts().get(name)
    if value is None:
        raise ProgramError(f"command not found: {name!r}; {_nearest_program(name)}", NOT_FOUND)
    module, _, function = value.partition(":")
    function = function.partition("[")[0].strip()
    start = function.partition(".")[0]
    return f"import sys; from {module.strip()} import {start}; sys.argv[0] = {name!r}; sys.exit({function}())"


def _nearest_program(name: str) -> str:
    if os.path.isfile(f"{name}.py"):
        return f"for the file write `circpeft exec {name}.py`"
    if _is_runnable_module(name):
        return f"for the module write `circpeft exec -m {name}`"
    close = get_close_matches(name, sorted(_console_scripts()), n=3)
    return nearest(name, close) if close else FORMS


def _is_runnable_module(name: str) -> bool:
    """Tell whether ``python -m`` has a file to run. Nothing is imported, because a parent package may be large."""
    spec, folders = None, None
    for end in range(1, name.count(".") + 2):
        spec = _find(".".join(name.split(".")[:end]), folders)
        if spec is None:
            return False
        folders = list(spec.submodule_search_locations or [])
    return not folders or _find(f"{name}.__main__", folders) is not None


def _find(name: str, folders: list[str] | None) -> ModuleSpec | None:
    return PathFinder.find_spec(name, folders) if name.isascii() and "\0" not in name else None


def _of_this_environment(path: str) -> bool:
    folders = (os.path.dirname(sys.executable), sysconfig.get_path("scripts"))
    return os.path.realpath(os.path.dirname(path)) in {os.path.realpath(folder) for folder in folders}


def _is_this_python(path: str) -> bool:
    # A virtual environment has a link to the Python that it was made with: the same file, another environment.
    return os.path.exists(path) and os.path.samefile(path, sys.executable) and _of_this_environment(path)


def _check_isolation(arguments: Sequence[str]) -> None:
    for argument in arguments:
        if not argument.startswith("-") or argument in ("-c", "-m", "-"):
            return
        if IGNORES_PYTHONPATH.match(argument):
            message = f"python {argument} would not import circpeft at startup; leave out -I, -E and -S"
            raise ProgramError(message, WRONG_USAGE)


def _check_program(path: str) -> None:
    """Raise ProgramError for a path that Python cannot run, or that belongs to another Python."""
    if os.path.isdir(path):
        _check_folder(Path(path))
    elif not os.path.exists(path):
        folder = os.path.dirname(path)
        files = [os.path.join(folder, file.name) for file in Path(folder).glob("*.py")]
        close = get_close_matches(path, files, n=3)
        raise ProgramError(f"no such file: {path}; {nearest(path, close) if close else FORMS}", NOT_FOUND)
    elif not path.endswith(SUFFIXES):
        start = _start_of(path)
        match = INTERPRETER.match(start)
        if match is None:
            script = start.startswith(b"#!")
            advice = "; write `circpeft exec` before the Python command in it" if script else ""
            raise ProgramError(f"{path} is not a Python program{advice}")
        interpreter = os.fsdecode(match[1])
        if not (_of_this_environment(path) or "/env " in interpreter or _of_this_environment(interpreter)):
            raise ProgramError(
                f"{path} runs in another environment, that of {interpreter}; install circpeft there, or install the "
                f"command in the environment of {sys.executable}"
            )


def _start_of(path: str) -> bytes:
    if not os.path.isfile(path):  # a socket or a pipe, which may have no end
        return b""
    try:
        with open(path, "rb") as file:
            return file.read(1024)
    except OSError as error:
        raise ProgramError(f"{path} cannot be read: {error.strerror}") from error


def _check_folder(path: Path) -> None:
    config = path / "adapter_config.json"
    if config.is_file():
        try:
            fields = json.loads(config.read_text(encoding="utf-8"))
            method, base = fields["peft_type"], fields.get("base_model_name_or_path") or "BASE_MODEL"
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ProgramError(f"{path} is not a command, and its {config.name} is not readable: {error}") from error
        raise ProgramError(
            f"{path} is an adapter of {METHODS.get(method, method)}, not a command; give it to a program: "
            f"`circpeft exec lm_eval --model hf --model_args pretrained={base},peft={path} --tasks TASK`"
        )
    if not (path / "__main__.py").is_file():
        raise ProgramError(f"{path} is a folder without __main__.py; {FORMS}")
