"""Sweep files and texts of methods: whatever they hold, they are plans and methods, or one ValueError.

`make test-full` tries many more of them (CIRCPEFT_FUZZ).
"""

import json
from collections import Counter
from datetime import date

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from circpeft import recipes

from . import readers
from .bounds import BOUNDS, show

METHODS = ["lora", "c3a:block_size=64", "cdvft", "full", "lora:r=8"]
ODD_METHODS = ["c3b", "", ":", "c3a:alpha={1}", "c3a:alpha=[1]", "c3a:learning_rate=1e999"]
TASKS = ["entailment", "word_problems", "digits", "rte", "sst2"]
ODD_TASKS = ["no", "", "a/b", "\0"]
ROWS = ["all", "LoRA", "CDVFT p=768", "lora:r=8", "LLaMA2-7B LoRA r=32"]
NAMES = ["alpha", "learning_rate", "epochs", "r", "block_size", "target_modules", "tested_epoch", "no"]
# Settings, the names of arguments of the functions that plan, and one that does not exist.
SETTINGS = [*recipes.SETTINGS, "data", "profile", "rows", "seeds", "name", "overrides", "output_dir", "content", "no"]
WORDS = st.sampled_from(["", "auto", "paper", "best", "\0", "é" * 300, "~no", "$HOME", "query, value", "a\nb", "(q"])
NUMBERS = st.sampled_from([0, 1, 2, -1, 10**5, 10**9, 2**63, 10**30, 10**400, 0.5, 1e308, float("inf"), float("nan")])
SCALARS = WORDS | NUMBERS | st.booleans() | st.just(date(2026, 1, 2)) | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=2), max_leaves=4
)


def some(usual, odd=VALUES):
    """Return usual values, and odd ones now and then, so that many files pass the first checks."""
    return st.integers(0, 9).flatmap(lambda n: odd if n == 9 else usual)


def some_of(names, odd=("no", "")):
    usual = st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)
    return some(usual, VALUES | st.lists(st.sampled_from([*names, *odd]), max_size=3))


LISTED = {"epochs": [1, 4], "max_train": [0, 10], "learning_rate": [1e-3], "target_modules": ["query", ["a"]]}
SETTING_VALUES = some(
    st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in LISTED.items()}),
    st.dictionaries(st.sampled_from(SETTINGS), VALUES, max_size=2) | VALUES,
)
GRIDS = some(st.lists(st.sampled_from([1, 2, 0.5]), max_size=3, unique=True), VALUES | st.just([*range(300)]))
OVERRIDES = some(
    st.dictionaries(st.sampled_from(ROWS), st.dictionaries(st.sampled_from(NAMES), GRIDS, max_size=2), max_size=1)
)
SEEDS = some(st.integers(1, 3), NUMBERS)
PROFILES = some(st.sampled_from(["smoke", "cpu", "paper"]))
OF_BOTH = {"seeds": SEEDS, "settings": SETTING_VALUES, "overrides": OVERRIDES}
OF_BOTH["statistic"] = some(st.sampled_from(["mean", "median"]))
LISTS = st.fixed_dictionaries(
    {"tasks": some_of(TASKS, ODD_TASKS), "methods": some_of(METHODS, ODD_METHODS)},
    optional=OF_BOTH | {"profile": PROFILES, "data": WORDS},
)
# The models of tables are those of the paper, so that nothing is looked up on the hub.
TABLES = st.fixed_dictionaries(
    {"table": some(st.sampled_from([*recipes.TABLES])), "profile": st.just("paper")},
    optional=OF_BOTH | {"rows": some_of(["LoRA", "CDVFT p=768"]), "columns": some_of(["RTE", "SQL"])},
)


def toml(value):
    """Return a value as TOML writes it within a line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(name)} = {toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, (str, bool)):
        return json.dumps(value, ensure_ascii=False)
    return f"{value}"


def as_file(content):
    return "".join(f"{name} = {toml(value)}\n" for name, value in content.items()).encode(errors="surrogatepass")


LIST = {"tasks": ["rte"], "methods": ["lora"]}


@pytest.mark.filterwarnings("ignore")
def test_sweep_files(tmp_path):
    counts = Counter()

    @settings(**BOUNDS)
    @example(LIST | {"settings": {"data": "x"}}, b"", 0)
    @example(LIST | {"settings": {"overrides": 3}}, b"", 0)
    @example({"table": "cdvft-1", "settings": {"rows": []}}, b"", 0)
    @example(LIST | {"seeds": 10**30}, b"", 0)
    @example(LIST | {"seeds": 10**9}, b"", 0)
    @example(LIST | {"overrides": {"all": {name: list(range(1, 100)) for name in NAMES[:5]}}}, b"", 0)
    @example(LIST | {"overrides": {"all": {"alpha": date(2026, 1, 2)}}}, b"", 0)
    @example(LIST | {"settings": {"target_modules": [date(2026, 1, 2)]}}, b"", 0)
    @example(LIST | {"settings": {"learning_rate": 10**400}}, b"", 0)
    @example(LIST | {"data": "~\0"}, b"", 0)
    @example({"tasks": ["rte"], "methods": ["lora:alpha={[]}"]}, b"", 0)
    @example({"tasks": ["rte"], "methods": [""]}, b"", 0)
    @given(LISTS | TABLES, st.binary(max_size=3), st.integers(0, 400))
    def check(content, junk, place):
        text = as_file(content)
        if place < len(text) and place % 4 == 0:
            text = text[:place] + junk + text[place + len(junk) :]
        counts[readers.sweep_file(tmp_path / "mine.toml", text)] += 1

    check()
    show("sweep files", counts)
    assert counts["read"] and counts["refused"]


PIECES = [
    *METHODS,
    ":",
    "=",
    ",",
    "alpha",
    "alpha=",
    "learning_rate=",
    " ",
    "all",
    "{1}",
    "{[]: 1}",
    "{[]}",
    "...",
    "1j",
]
PIECES += ["b'x'", "1e999", "nan", "None", "true", "(", "[", "{", "-", "9", "0x", "f", "'", '"', "\\", "\0", "\n", "#"]
PIECES += ["[1, [2]]", "{'a': (1, 2)}", "{(1, 2): 3}", "\ud800", "é", "lambda: 0", "1_0", "1e-3", "if", "0b2", "not "]
TEXTS = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from([1, 1, 1, 2, 30, 3000])), max_size=8).map(
    lambda parts: "".join(piece * times for piece, times in parts)
)


@pytest.mark.filterwarnings("ignore")
def test_texts_of_methods():
    counts = Counter()

    @settings(**BOUNDS)
    @example("c3a:alpha={[]}")
    @example("c3a:alpha={1}")
    @example("c3a:alpha=1j")
    @example("c3a:alpha=1e999")
    @example("c3a:alpha=" + "-" * 50_000 + "1")
    @example("c3a:alpha=0x" + "f" * 50_000)
    @example("c3a:learning_rate=" + "9" * 400)
    @given(TEXTS | TEXTS.map("c3a:alpha={}".format) | st.text(max_size=20).map("lora:r={}".format))
    def check(text):
        counts[readers.method_text(text)] += 1

    check()
    show("texts of methods", counts)
    assert counts["read"] and counts["refused"]


@pytest.mark.parametrize("text", ["{[]}", "{1}", "1j", "b'x'", "...", "1e999", "[{1}]"])
def test_a_text_that_spells_no_plain_value_stays_a_text(text):
    assert recipes.parse_method(f"c3a:alpha={text}") == ("c3a", {"alpha": text})


@pytest.mark.parametrize("text", ["", " ", ":r=8"])
def test_a_method_has_a_name(text):
    with pytest.raises(ValueError, match="no name of a method in "):
        recipes.parse_method(text)


@pytest.mark.parametrize("value", [{1}, 1j, b"x", float("nan"), date(2026, 1, 2)])
def test_a_recipe_refuses_what_a_record_cannot_hold(value):
    with pytest.raises(ValueError, match="alpha of method 'c3a' must be a number or a text, got "):
        recipes.Recipe("entailment", "c3a", hyperparameters={"alpha": value})
    with pytest.raises(ValueError, match="target_modules must be a string or a list of names"):
        recipes.Recipe("entailment", "c3a", target_modules=["query", value])


@pytest.mark.parametrize("name", ["data", "profile", "rows", "seeds", "overrides", "output_dir", "statistic"])
def test_a_setting_with_the_name_of_an_argument_is_unknown(tmp_path, name):
    for first in (LIST, {"table": "cdvft-1"}):
        (tmp_path / "mine.toml").write_bytes(as_file(first | {"settings": {name: 1}}))
        with pytest.raises(ValueError, match=rf"mine\.toml: unknown setting '{name}'"):
            recipes.plan_file(tmp_path / "mine.toml")


def test_a_plan_of_more_runs_than_the_limit_is_refused_before_it_is_made(tmp_path, monkeypatch):
    grids = {"alpha": [*range(1, 200)], "r": [*range(1, 200)]}
    for given_, words in (
        ({"seeds": 10**15}, "seeds: 1,000,000,000,000,000 runs"),
        ({"overrides": {"all": grids}}, "39,601 runs"),
    ):
        (tmp_path / "mine.toml").write_bytes(as_file(LIST | given_))
        with pytest.raises(ValueError, match=rf"mine\.toml: .*{words} exceed the limit of 10,000"):
            recipes.plan_file(tmp_path / "mine.toml")
    monkeypatch.setenv("CIRCPEFT_MAX_RUNS", "3")
    (tmp_path / "mine.toml").write_bytes(as_file(LIST | {"seeds": 3}))
    assert len(recipes.plan_file(tmp_path / "mine.toml").cells) == 3
    (tmp_path / "mine.toml").write_bytes(as_file(LIST | {"seeds": 2, "tasks": ["rte", "sst2"]}))
    with pytest.raises(ValueError, match="the plan: 4 runs exceed the limit of 3"):
        recipes.plan_file(tmp_path / "mine.toml")
