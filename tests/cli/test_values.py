"""Values of `-p` and `--set` as they are typed: leading minus signs, None, numbers and words."""

import math

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from circpeft import cli
from circpeft.cli import notebooks, settings
from circpeft.recipes import parse_method

PARAMETERS = """from typing import Literal, Optional
profile: str = "smoke"
shift: float = 0.1
limit: Optional[int] = 3
sizes: list[int] | None = None
name: str = "ab"
way: Literal["up", "down"] = "up"
"""


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Return a function that gives the values which a notebook would get from the arguments of `circpeft run`."""
    cell = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    path = tmp_path / "mine.ipynb"
    nbformat.write(new_notebook(cells=[cell]), str(path))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as some editors save it
    got = []
    monkeypatch.setattr("circpeft.course.runner._run_all", lambda run, paths, values, *rest: got.append(values[path]))
    monkeypatch.setattr(notebooks, "_summary", lambda run: "")

    def values(*arguments: str) -> dict:
        assert cli.main(["run", str(path), *arguments, "--output-dir", str(tmp_path / "runs"), "--quiet"]) in (0, 1)
        return got.pop()

    return values


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("shift", "-1e-3", -1e-3),
        ("shift", "-inf", -math.inf),
        ("limit", "None", None),
        ("limit", "-7", -7),
        ("sizes", "[-1, 2]", [-1, 2]),
        ("sizes", "-1,2", [-1, 2]),
        ("name", "--x=y", "--x=y"),
        ("name", "--", "--"),
        ("name", "", ""),
        ("way", "down", "down"),
    ],
)
def test_a_value_reaches_the_notebook(given, name, text, value):
    assert given("-p", name, text, "--parameter", "profile", "cpu") == {name: value, "profile": "cpu"}


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["shift=-1e-3"], {"shift": -1e-3}),
        (["name=a=b"], {"name": "a=b"}),
        (["name", "a=b"], {"name": "a=b"}),
        (["name="], {"name": ""}),
    ],
)
def test_a_name_and_its_value_may_be_one_word(given, words, value):
    assert given("-p", *words, "-p", "profile=cpu") == {**value, "profile": "cpu"}


def test_an_option_is_not_taken_for_a_missing_value(given, capsys):
    with pytest.raises(SystemExit) as stop:
        given("-p", "name", "--quiet")
    assert stop.value.code == 2 and "expected 2 arguments" in capsys.readouterr().err


def test_a_word_outside_a_literal_is_refused_with_the_nearest(given, capsys):
    with pytest.raises(AssertionError):
        given("-p", "way", "dwn")
    assert "way='dwn' does not fit: expected 'up' or 'down'; did you mean 'down'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("learning_rate", "1e-3", 1e-3),
        ("learning_rate", "-1e-3", -1e-3),
        ("learning_rate", "inf", math.inf),
        ("base_dropout", "None", None),
        ("deterministic", "yes", True),
        ("model", "none", "none"),
        ("model", "7", "7"),
        ("report_to", "", ""),
        ("target_modules", "query,value", "query,value"),
        ("target_modules", "('query', 'value')", ("query", "value")),
        ("epochs", "three", "three"),  # the recipe refuses it
    ],
)
def test_a_setting_has_the_type_of_its_field(name, text, value):
    parser = cli.build_parser()
    options = parser.parse_args(settings.marked(["train", "c3a", "--set", name, text], ["--set"]))
    read = settings.read_settings(options)
    assert read == {name: value} and type(read[name]) is type(value)


def test_true_and_false_of_a_method_are_not_words():
    assert parse_method("lora:use_rslora=false:bias=none") == ("lora", {"use_rslora": False, "bias": "none"})
    assert parse_method("lora:use_rslora=True")[1] == {"use_rslora": True}
