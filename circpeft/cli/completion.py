"""The `completion` command: print a script with which a shell completes commands, options and names."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from circpeft.course.parameters import PROFILES, RequestError
from circpeft.suggest import nearest

SHELLS = ("bash", "zsh", "tcsh")
FOLDERS = ("FOLDER", "ADAPTER", "ADAPTER_OR_RUN", "OUT")
INSTALL = {
    "bash": "circpeft completion bash > ~/.local/share/bash-completion/completions/circpeft",
    "zsh": "circpeft completion zsh > ~/.zfunc/_circpeft  (a folder of fpath)",
    "tcsh": "circpeft completion tcsh > ~/.circpeft.csh; source ~/.circpeft.csh",
}


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command(
        "completion",
        "Print a script with which your shell completes circpeft's commands.",
        "\n  ".join(INSTALL.values()),
        "The script contains the names of methods, tasks, models, tables and notebooks, so that completing does "
        "not start Python. Print it again after an upgrade.",
    )
    parser.add_argument("shell", metavar="SHELL", help=", ".join(SHELLS))
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Print the script.

    Raises: RequestError for an unknown shell; ModuleNotFoundError without shtab.
    """
    if options.shell not in SHELLS:
        raise RequestError(f"unknown shell {options.shell!r}; {nearest(options.shell, SHELLS)}")
    import shtab

    add_names(options.parser.commands, known_names(), shtab.FILE, shtab.DIRECTORY)
    print(shtab.complete(options.parser, options.shell))
    return 0


def known_names() -> dict[tuple[str, str], list[str]]:
    """Return the names that can be completed, by the command ("" for every command) and the option or metavar."""
    from circpeft import models, recipes, tasks
    from circpeft.cli.export import FORMS
    from circpeft.cli.list_command import KINDS
    from circpeft.cli.merge import DTYPES
    from circpeft.course.parameters import select
    from circpeft.report import FORMATS

    methods, tables = list(recipes.LEARNING_RATES), list(recipes.TABLES)
    return {
        ("", "METHOD"): methods,
        ("", "--profile"): list(PROFILES),
        ("", "--task"): list(tasks.TASKS),
        ("", "--table"): tables,
        ("", "--base"): list(models.EMBEDDED),
        ("", "MODEL"): list(models.EMBEDDED),
        ("", "--dtype"): list(DTYPES),
        ("", "--set"): list(recipes.SETTINGS),
        ("", "SHELL"): list(SHELLS),
        ("", "KIND"): list(KINDS),
        ("", "NOTEBOOK"): [path.stem for path in select()],
        ("sweep", "TABLE"): tables,
        ("export", "--to"): list(FORMS),
        ("report", "--format"): list(FORMATS),
        ("report", "--method"): methods,
    }


def add_names(
    commands: Mapping[str, argparse.ArgumentParser],
    names: Mapping[tuple[str, str], Iterable[str]],
    file: Mapping[str, str],
    folder: Mapping[str, str],
) -> None:
    """Give the actions of parsers the choices, files or folders that complete them.

    The parsers are for the script only: they would refuse a name that is not a choice without naming the nearest.

    >>> parser = argparse.ArgumentParser()
    >>> action = parser.add_argument("--task")
    >>> add_names({"train": parser}, {("", "--task"): ["rte"]}, {}, {})
    >>> action.choices
    ['rte']
    """
    for command, parser in commands.items():
        action: Any  # shtab reads its attribute `complete`
        for action in parser._actions:
            keys = (*action.option_strings, action.metavar)
            known = [names[owner, key] for owner in (command, "") for key in keys if (owner, key) in names]
            if known:
                action.choices = list(known[0])
            elif action.metavar in FOLDERS:
                action.complete = folder
            elif action.metavar == "FILE":
                action.complete = file
