"""`circpeft list`, `--version`, and what a missing extra is told by."""

import json

import pytest

import circpeft
from circpeft import models, recipes, tasks
from circpeft.cli import extras, list_command, main
from circpeft.method_specs import SPECS
from circpeft.ops.dispatch import BACKENDS

NAMES = {
    "methods": list(SPECS),
    "tasks": list(tasks.TASKS),
    "models": list(models.EMBEDDED),
    "tables": list(recipes.TABLES),
    "backends": list(BACKENDS),
}


@pytest.mark.parametrize("kind", list_command.KINDS)
def test_every_name_has_a_line(kind, capsys):
    assert main(["list", kind, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [row["name"] for row in rows]
    if kind == "notebooks":
        assert rows[0] == {"name": "00_start", "title": "Start"}
    else:
        assert [row["name"] for row in rows] == NAMES[kind]


def test_without_a_kind_the_kinds_are_listed(capsys):
    assert main(["list"]) == 0 and capsys.readouterr().out.splitlines() == list(list_command.KINDS)


def test_an_unknown_kind_gets_the_nearest(capsys):
    assert main(["list", "task"]) == 2
    assert "unknown kind 'task'; did you mean 'tasks'?" in capsys.readouterr().err


def test_a_model_that_is_not_installed_says_how(monkeypatch):
    monkeypatch.setattr(list_command, "find_spec", lambda name: None)
    states = {row["name"]: row["state"] for row in list_command.models()}
    assert states["smollm2"] == "not installed; run `make smollm2`" and states["small-vit"] == "installed"


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out == f"circpeft {circpeft.__version__}\n"


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("datasets", "train"),
        ("sklearn.metrics", "train"),
        ("papermill", "course"),
        ("ray", "cluster"),
        ("torch", None),
        ("unknown", None),
    ],
)
def test_the_smallest_extra_is_named(module, extra):
    assert extras.extra_of(module) == extra


def test_a_command_without_its_extra_names_it(monkeypatch, capsys):
    def execute(options):
        raise ModuleNotFoundError("No module named 'datasets'", name="datasets")

    monkeypatch.setattr(list_command, "execute", execute)
    assert main(["list", "tasks"]) == 2
    assert capsys.readouterr().err == (
        "circpeft list: error: the package 'datasets' is missing; install it with: pip install 'circpeft[train]'\n"
    )


def test_a_module_that_no_extra_installs_is_an_error_of_its_own(monkeypatch):
    def execute(options):
        raise ModuleNotFoundError("No module named 'other'", name="other")

    monkeypatch.setattr(list_command, "execute", execute)
    with pytest.raises(ModuleNotFoundError, match="other"):
        main(["list", "tasks"])
