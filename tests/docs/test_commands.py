"""Every command that a page prints is one that its parser takes; nothing is run."""

import re
import shlex
from pathlib import Path

import pytest

import circpeft
from circpeft import methods, recipes, results, tasks
from circpeft.cli import build_parser
from circpeft.course import parameters
from circpeft.method_specs import SPECS
from circpeft.ops.backends import BACKENDS

ROOT = results.ROOT
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def fenced(text: str) -> list[list[str]]:
    """Return the words of every line of the fenced blocks; a line that ends in a backslash goes on."""
    lines = [line for block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in lines if re.match(r"circpeft |torchrun |make |\.venv/", line)]


def command(words: list[str]) -> list[str]:
    """Return the arguments of circpeft in a line, or nothing if the line calls another program."""
    if words[0] in ("circpeft", ".venv/bin/circpeft"):
        return words[1:]
    return words[words.index("circpeft") + 1 :] if ["-m", "circpeft"] == words[3:5] else []


LINES = [(path.name, words) for path in PAGES for words in fenced(path.read_text(encoding="utf-8"))]
COMMANDS = [(page, command(words)) for page, words in LINES if command(words)]
INLINE = [
    (path.name, code.split()[1:])
    for path in PAGES
    for code in re.findall(r"`((?:\.venv/bin/)?circpeft [^`\n]+)`", path.read_text(encoding="utf-8"))
]


def shown(case: object) -> str:
    return " ".join(case) if isinstance(case, list) else str(case)


def test_the_pages_have_commands():
    used = {words[0] for _, words in COMMANDS}
    named = {"run", "course", "lab", "sweep", "report", "train", "predict", "exec", "rates", "merge", "export"}
    assert used == named and len(COMMANDS) >= 20
    assert any("torchrun" in words for _, words in LINES)


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=shown)
def test_a_command_is_one_that_the_parser_takes(page, words):
    options = build_parser().parse_args(words)
    if options.command == "run":
        given = dict(options.parameter)
        parameters.check(parameters.select(options.notebooks), given)  # raises RequestError for a wrong name or value
        for name in filter(None, given.get("methods", "").split(",")):
            check_method(name)
        assert given.get("task", "entailment") in tasks.TASKS, page
    if options.command == "course":
        assert parameters.select(options.notebooks) and parameters.check_profile(options.profile)
    if options.command in ("sweep", "train"):
        assert all(name in recipes.SETTINGS for name, _ in options.set)
        assert options.profile in ("", "smoke", "cpu", "paper")
    if options.command == "sweep":
        assert options.table in recipes.TABLES or options.table.endswith(".toml")
    if options.command == "train" and options.table:
        chosen = {"rows": [options.row], "columns": [options.column]}
        assert len(recipes.plan_table(options.table, options.profile, 1, **chosen).cells) == 1
    elif options.command == "train":
        check_method(options.method)
        assert options.task in tasks.TASKS


def check_method(name: str) -> None:
    """Raise ValueError for a method or a hyperparameter that does not exist."""
    method, hyperparameters = recipes.parse_method(name)
    rates = ("learning_rate", "head_learning_rate")
    methods.check(method, {key: value for key, value in hyperparameters.items() if key not in rates})


@pytest.mark.parametrize(("page", "words"), INLINE, ids=shown)
def test_a_command_in_the_text_has_a_known_name_and_known_options(page, words, capsys):
    with pytest.raises(SystemExit) as stopped:
        build_parser().parse_args([*(words[:1] if not words[0].startswith("-") else []), "--help"])
    assert stopped.value.code == 0, page
    described = capsys.readouterr().out
    assert all(word in described for word in words if re.match(r"--?[a-z]", word)), page


@pytest.mark.parametrize(("page", "words"), LINES, ids=shown)
def test_a_line_calls_a_make_target_or_a_script_that_exists(page, words):
    if words[0] == "make":
        targets = re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert words[1] in targets, page
    if words[0] == ".venv/bin/python" and words[1] != "-m":
        assert Path(ROOT, words[1]).is_file(), page


def test_every_setting_of_a_run_is_in_the_table_of_settings():
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page[page.index("## Settings of a run") :], re.MULTILINE)
    assert sorted(code.split()[0] for row in rows for code in re.findall("`([^`]+)`", row)) == recipes.SETTINGS


def test_every_method_and_every_task_has_its_place_in_the_tables():
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z0-9-]+)` \| .* \| (?:here|PEFT) \|$", page, re.MULTILINE) == list(methods.METHODS)
    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    rows = "".join(re.findall(r"^\| \d\d \|.*$", page, re.MULTILINE))
    assert {*re.findall("`([^`]+)`", rows)} - {"data_dir"} == {*tasks.TASKS}


def test_the_limits_of_methods_are_those_of_their_specs():
    page = " ".join((ROOT / "docs" / "limits.md").read_text(encoding="utf-8").split())
    never = [name for name, spec in SPECS.items() if not spec.quantization]
    named = f"`{'`, `'.join(never[:-1])}` and `{never[-1]}`"
    assert f"not with {named}; with `dora` only in 4 bits" in page
    partly = {name for name, spec in SPECS.items() if 0 < len(spec.quantization) < 2}
    assert partly == {"dora"} and SPECS["dora"].quantization == ("4bit",)
    assert [name for name, spec in SPECS.items() if spec.no_fsdp] == ["lamda"] and "FSDP does not train `lamda`" in page


def test_every_backend_is_in_the_table_of_backends():
    page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `(\w+)` \|", page[page.index("## Backends") :], re.MULTILINE)
    assert names == [*BACKENDS, "fold"]
    for name in names:
        with circpeft.use_backend(name):
            pass
