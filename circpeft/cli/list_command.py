"""The `list` command: the names that the other commands take."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from importlib.util import find_spec

from circpeft import places
from circpeft.course.parameters import RequestError, read_notebook, select
from circpeft.escaping import json_text, print_text
from circpeft.suggest import nearest

KINDS = ("methods", "tasks", "models", "tables", "notebooks", "backends")
TRAINS = {
    "adapter": "an adapter beside the frozen model",
    "head": "the head",
    "part": "some of the model's own weights, and the head",
    "all": "all weights",
}


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command(
        "list",
        "List the names that the other commands take.",
        "circpeft list tasks\n  circpeft list models --json",
    )
    parser.add_argument(
        "kind", metavar="KIND", nargs="?", default="", help=f"{', '.join(KINDS)} (default: list these kinds)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object per line")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Print the names of a kind, each with what it stands for; without a kind, print the kinds.

    Raises: RequestError for an unknown kind.
    """
    if not options.kind:
        print_text(json.dumps(list(KINDS)) if options.json else "\n".join(KINDS))
        return 0
    if options.kind not in KINDS:
        raise RequestError(f"unknown kind {options.kind!r}; {nearest(options.kind, KINDS)}")
    rows = ROWS[options.kind]()
    if options.json:
        for row in rows:
            print_text(json_text(row))
        return 0
    widths = [max(len(str(row[key])) for row in rows) for key in rows[0]]
    for row in rows:
        line = "  ".join(f"{value!s:<{width}}" for value, width in zip(row.values(), widths, strict=True))
        print_text(line.rstrip())
    return 0


def methods() -> list[dict]:
    """Return each method with what it trains and its default learning rate."""
    from circpeft.method_specs import SPECS

    return [
        {"name": name, "learning_rate": f"rate {spec.learning_rate:g}", "trains": TRAINS[spec.trains]}
        for name, spec in SPECS.items()
    ]


def tasks() -> list[dict]:
    """Return each task with its kind, its columns, its metric and where its data is."""
    from circpeft.tasks import TASKS, embedded

    own = {"digits", *embedded.DATA_FOLDERS}
    return [
        {
            "name": name,
            "kind": task.kind,
            "columns": ", ".join(getattr(task, "columns", ("image", "label"))),
            "metric": task.metric,
            "data": " ".join(task.hub) if task.hub else "embedded" if name in own else "a folder (--data-dir)",
        }
        for name, task in TASKS.items()
    ]


def models() -> list[dict]:
    """Return each embedded model, with how to install it where it is missing."""
    from circpeft import models

    rows = []
    for name in models.EMBEDDED:
        module = models.INSTALLED[name][0] if name in models.INSTALLED else None
        module = models.WHEELS[name].package if name in models.WHEELS else module
        there = module is None or find_spec(module) is not None
        make = "make smollm2" if name in models.WHEELS else "make setup"
        state = "installed"
        if not there:
            state = f"not installed; run `{make if places.clone() else models.install_command(name)}`"
        rows.append({"name": name, "state": state})
    return rows


def tables() -> list[dict]:
    """Return each table of the papers with its kind of tasks and its columns."""
    from circpeft.recipes import TABLES

    return [{"name": name, "kind": table.kind, "columns": ", ".join(table.columns)} for name, table in TABLES.items()]


def notebooks() -> list[dict]:
    """Return each notebook of the course with its title."""
    rows = []
    for path in select():
        first = "".join(read_notebook(path).cells[0].source).splitlines()[0]
        rows.append({"name": path.stem, "title": first.removeprefix("# ").partition(" · ")[2] or first})
    return rows


def backends() -> list[dict]:
    """Return each backend of the circulant products, with the devices that can use it here."""
    import torch

    from circpeft.ops import available_backends
    from circpeft.ops.backends import BACKENDS

    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    usable = {device: available_backends(device) for device in devices}
    return [{"name": name, "devices": ", ".join(d for d in devices if name in usable[d])} for name in BACKENDS]


ROWS = {kind: getattr(sys.modules[__name__], kind) for kind in KINDS}
