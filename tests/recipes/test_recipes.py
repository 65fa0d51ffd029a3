"""Recipes: their validation, their identity, and methods written as text."""

import dataclasses
import math
import re

import pytest

from circpeft import methods, recipes
from circpeft.method_specs import SPECS
from circpeft.recipes import Recipe, parse_method, parse_methods
from circpeft.recipes.recipe import LONGEST_NAME

BASE = Recipe("entailment", "c3a")
# Another value for every field that influences the outcome of a run.
OTHER = {
    "task": "rte",
    "method": "lora",
    "model": "other/model",
    "hyperparameters": {"block_size": 64},
    "target_modules": ("query",),
    "target_parameters": ("experts.down_proj",),
    "data_dir": "elsewhere",
    "epochs": 4,
    "tested_epoch": "last",
    "hold_out": False,
    "batch_size": 8,
    "max_length": 64,
    "max_train": 100,
    "max_eval": 100,
    "learning_rate": 0.123,
    "head_learning_rate": 0.0123,
    "warmup": 0.1,
    "weight_decay": 0.01,
    "adam_beta2": 0.95,
    "base_dropout": 0.0,
    "gradient_accumulation": 2,
    "gradient_checkpointing": True,
    "precision": "bf16",
    "base_dtype": "bfloat16",
    "quantization": "4bit",
    "deterministic": True,
    "max_new_tokens": 8,
    "generation_batch_size": 64,
    "chat_template": False,
    "feature_order": "permuted",
    "seed": 1,
}


@pytest.mark.parametrize("name", OTHER)
def test_every_setting_changes_the_name(name):
    assert dataclasses.replace(BASE, **{name: OTHER[name]}).name != BASE.name


def test_only_four_fields_are_not_part_of_the_identity():
    outside = {"output_dir": "elsewhere", "report_to": "tensorboard", "save_model": False, "weight_changes": False}
    assert {field.name for field in dataclasses.fields(Recipe)} == {*OTHER, *outside}
    assert dataclasses.replace(BASE, **outside).name == BASE.name
    assert len({dataclasses.replace(BASE, **{name: value}).name for name, value in OTHER.items()}) == len(OTHER)


def test_fields_that_came_later_leave_older_records_as_they_are():
    """The settings of a recipe that does not use them are those of a record from before."""
    later = {"target_parameters", "tested_epoch", "hold_out", "adam_beta2", "chat_template", "feature_order"}
    later |= {"generation_batch_size"}
    assert set(BASE.settings) == set(OTHER) - later
    for name in later:
        assert set(dataclasses.replace(BASE, **{name: OTHER[name]}).settings) == set(BASE.settings) | {name}
    assert Recipe("entailment", "c3a").name == "entailment-c3a-s0-635c1b149d"


def test_a_changed_default_rate_is_another_run(monkeypatch):
    before = BASE.name
    monkeypatch.setitem(SPECS, "c3a", dataclasses.replace(SPECS["c3a"], learning_rate=0.777))
    assert recipes.LEARNING_RATES["c3a"] == BASE.rates[0] == 0.777 and BASE.name != before


@pytest.mark.parametrize("given", [{"learning_rate": 0.02}, {"head_learning_rate": 0.02}])
def test_the_method_head_has_one_rate(given):
    assert Recipe("sst2", "head", **given).rates == Recipe("sst2", "head", hyperparameters=given).rates == (0.02, 0.02)
    assert Recipe("sst2", "head", hyperparameters=given, learning_rate=0.5).rates == (0.02, 0.02)
    assert Recipe("sst2", "head", model="owner/bert").rates == (1e-3, 1e-3)
    assert Recipe("sst2", "head", model="minilm").rates == (1e-2, 1e-2)
    assert Recipe("digits", "head", model="small-vit").rates == (0.1, 0.1)


def test_the_small_models_have_rates_of_their_own():
    small, large = Recipe("digits", "lora", model="small-vit"), Recipe("digits", "lora", model="owner/vit")
    assert small.rates[0] > large.rates[0] and small.rates[1] == large.rates[1]
    assert dataclasses.replace(small, learning_rate=0.5).rates[0] == 0.5
    assert Recipe("digits", "full", model="small-vit").rates == (1e-3, 1e-3)


def test_a_default_rate_given_explicitly_is_the_same_run():
    rate, head_rate = BASE.rates
    assert dataclasses.replace(BASE, learning_rate=rate, head_learning_rate=head_rate).name == BASE.name


def test_names_are_file_names():
    recipe = Recipe("entailment", "c3a", hyperparameters={"init_weights": "../x y", "alpha": 0.5})
    assert recipe.name.replace("-", "").replace("_", "").isalnum()


def test_a_name_is_cut_only_where_it_would_be_too_long():
    """Task, method, hyperparameters, seed and hash are all in it; a long one loses the end of the hyperparameters."""

    def name(words):
        return Recipe("entailment", "c3a", hyperparameters={"init_weights": words}, seed=3, learning_rate=0.1).name

    start, end = "entailment-c3a-init-weights-", re.compile(r"-s3-[0-9a-f]{10}$")
    room = LONGEST_NAME - len(start) - len("-s3-") - 10
    for words in ("", "zero", "x" * (room - 1), "x" * room):
        assert end.split(name(words))[0] == start + words
    for words in ("x" * (room + 1), "x" * 300):
        assert end.split(name(words))[0] == start + "x" * room and len(name(words)) == LONGEST_NAME
    for words in ("é" * 200, "x" + "é" * 200):  # two bytes each; half a letter is left out
        assert LONGEST_NAME - 2 < len(name(words).encode()) <= LONGEST_NAME and end.search(name(words))
    assert LONGEST_NAME + 40 < 255  # bytes of a file name on usual systems


def test_a_list_of_targets_becomes_a_tuple():
    recipe = Recipe("entailment", "c3a", target_modules=["query", "value"])
    assert recipe.target_modules == ("query", "value")
    assert recipe.name == Recipe("entailment", "c3a", target_modules=("query", "value")).name
    assert Recipe("entailment", "c3a", target_modules="all-linear").target_modules == "all-linear"


def test_a_set_of_targets_has_one_order():
    """The order of a set differs from process to process, and with it the name of the run would."""
    names = {"value", "query", "dense", "key", "up_proj"}
    assert Recipe("entailment", "c3a", target_modules=names).target_modules == tuple(sorted(names))
    assert Recipe("entailment", "c3a", target_parameters=frozenset(names)).target_parameters == tuple(sorted(names))


@pytest.mark.parametrize(
    ("name", "whole"),
    [*((name, 1) for name in ("learning_rate", "head_learning_rate", "weight_decay")), ("warmup", 0)]
    + [("adam_beta2", 0), ("base_dropout", 0)],
)
def test_a_whole_number_and_the_same_float_are_the_same_run(name, whole):
    first, second = (dataclasses.replace(BASE, **{name: value}) for value in (whole, float(whole)))
    assert first == second and first.name == second.name != BASE.name


def test_with_seed_changes_only_the_seed():
    assert BASE.with_seed(5) == dataclasses.replace(BASE, seed=5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.seed = 5


@pytest.mark.parametrize("name", ["epochs", "batch_size", "max_length", "max_train", "max_eval", "seed"])
@pytest.mark.parametrize("value", [-1, 1.5, "3", None, True, math.nan])
def test_counts_must_be_integers_in_range(name, value):
    with pytest.raises(ValueError, match=f"{name} must be an integer of at least .*, got {value!r}"):
        dataclasses.replace(BASE, **{name: value})


SMALLEST = {"epochs": 1, "batch_size": 1, "max_length": 8, "max_train": 0, "max_eval": 0, "seed": 0}
SMALLEST |= {"gradient_accumulation": 1, "max_new_tokens": 0, "generation_batch_size": 0}


@pytest.mark.parametrize(("name", "smallest"), SMALLEST.items())
def test_the_smallest_count_is_taken_and_the_next_smaller_refused(name, smallest):
    assert getattr(dataclasses.replace(BASE, **{name: smallest}), name) == smallest
    with pytest.raises(ValueError, match=f"{name} must be an integer of at least {smallest}, got {smallest - 1}"):
        dataclasses.replace(BASE, **{name: smallest - 1})


@pytest.mark.parametrize("name", ["learning_rate", "head_learning_rate", "weight_decay"])
@pytest.mark.parametrize("value", [-1e-3, math.nan, math.inf, 10**400])
def test_rates_must_be_finite_and_not_negative(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a number of at least 0, got {value!r}"):
        dataclasses.replace(BASE, **{name: value})


@pytest.mark.parametrize("value", [-0.1, 1.0, math.nan])
def test_dropout_must_be_a_probability_below_one(value):
    with pytest.raises(ValueError, match=rf"base_dropout must be in \[0, 1\) or None, got {value!r}"):
        dataclasses.replace(BASE, base_dropout=value)


@pytest.mark.parametrize("value", [-0.1, 1.0, 6, math.nan])
def test_beta2_must_be_below_one(value):
    with pytest.raises(ValueError, match=rf"adam_beta2 must be in \[0, 1\), such as 0.999 or 0.95, got {value!r}"):
        dataclasses.replace(BASE, adam_beta2=value)


@pytest.mark.parametrize("value", ["no", None, 0])
@pytest.mark.parametrize(
    "name", ["hold_out", "gradient_checkpointing", "deterministic", "save_model", "weight_changes"]
)
def test_a_switch_is_true_or_false(name, value):
    with pytest.raises(ValueError, match=f"{name} must be True or False, got {value!r}"):
        dataclasses.replace(BASE, **{name: value})


@pytest.mark.parametrize("name", ["task", "method", "model", "data_dir", "report_to", "output_dir"])
def test_names_and_folders_are_strings(name):
    with pytest.raises(ValueError, match=f"{name} must be a string, got 3"):
        dataclasses.replace(BASE, **{name: 3})


@pytest.mark.parametrize("name", ["learning_rate", "head_learning_rate", "weight_decay", "adam_beta2", "warmup"])
@pytest.mark.parametrize("value", ["0.1", None, True])
def test_rates_and_shares_are_numbers(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a number, got {value!r}"):
        dataclasses.replace(BASE, **{name: value})


@pytest.mark.parametrize("value", ["r=8", None, [("r", 8)]])
def test_hyperparameters_are_a_dictionary(value):
    with pytest.raises(ValueError, match=r"hyperparameters must be a dictionary such as .*, got "):
        dataclasses.replace(BASE, hyperparameters=value)


@pytest.mark.parametrize("value", [-0.1, 1.0, 6])
def test_warmup_must_be_a_share(value):
    with pytest.raises(ValueError, match=rf"warmup must be a share .*, got {value!r}"):
        dataclasses.replace(BASE, warmup=value)


def test_a_misspelt_method_names_the_nearest():
    with pytest.raises(ValueError, match="method 'c3b'; did you mean 'c3a'"):
        _ = Recipe("entailment", "c3b").name


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("full", ("full", {})),
        (" c3a:block_size=64 ", ("c3a", {"block_size": 64})),
        ("lora:r=4:alpha=1e-1", ("lora", {"r": 4, "alpha": 0.1})),
        ("cdvft:init_weights=gaussian", ("cdvft", {"init_weights": "gaussian"})),
        ("c3a:init_weights=False:block_size=auto", ("c3a", {"init_weights": False, "block_size": "auto"})),
    ],
)
def test_parse_method(text, parsed):
    assert parse_method(text) == parsed
    assert parse_method(Recipe("entailment", *parsed[:1], hyperparameters=parsed[1]).label) == parsed


def test_the_text_of_a_method_may_have_its_rates():
    name, own = parse_method("c3a:block_size=8:learning_rate=0.15:head_learning_rate=1e-4")
    recipe = Recipe("entailment", name, hyperparameters=own, learning_rate=0.5)
    assert recipe.rates == (0.15, 1e-4) and recipe.options == {"block_size": 8}
    assert recipe.settings["learning_rate"] == 0.15 and "learning_rate=0.15" in recipe.label
    both = Recipe("entailment", "c3a", hyperparameters={"head_learning_rate": 1e-4}, head_learning_rate=0.5)
    assert both.rates[1] == 1e-4 and dataclasses.replace(both, hyperparameters={}).rates[1] == 0.5
    for value in (0, -0.1, "fast", True, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"learning_rate of method 'c3a' must be a positive number, got {value!r}"):
            Recipe("entailment", "c3a", hyperparameters={"learning_rate": value})


@pytest.mark.parametrize("character", "*|()[]\\^$+?")
def test_a_regular_expression_is_told_by_its_characters(character):
    assert recipes.targets(f" a,b{character} ") == f"a,b{character}"
    assert recipes.targets("layer.0.query, ,value") == ("layer.0.query", "value")


@pytest.mark.parametrize("name", ["0", "Wqkv", "aa", "all-linea", "all-linear2", "all_linear", "value"])
def test_any_other_name_is_the_name_of_a_layer(name):
    assert recipes.targets(f" {name} ") == (name,) and recipes.targets(f"{name},query") == (name, "query")
    assert recipes.targets(" all-linear ") == "all-linear"


@pytest.mark.parametrize("text", ["{1}", "1j", "1st", "b'a'", "nan"])
def test_a_text_that_spells_no_plain_value_is_a_word(text):
    assert recipes.hyperparameter(text) == text


@pytest.mark.parametrize("text", ["c3a:block_size", "c3a:=64", "c3a:block_size=", "c3a:"])
def test_parse_method_says_the_form(text):
    with pytest.raises(ValueError, match="expected name:key=value"):
        parse_method(text)


def test_parse_methods():
    assert parse_methods("lora, c3a:block_size=8,") == [("lora", {}), ("c3a", {"block_size": 8})]
    assert [name for name, _ in parse_methods("all")] == list(methods.METHODS)
    for text in ("", " , "):
        with pytest.raises(ValueError, match="methods is empty; expected names such as full"):
            parse_methods(text)
    with pytest.raises(ValueError, match="methods has 'c3a:block_size=8' twice; for more runs of it raise seeds"):
        parse_methods("c3a:block_size=8,c3a, c3a:block_size=8")


@pytest.mark.parametrize("name", ["target_modules", "target_parameters"])
def test_a_layer_that_is_named_twice_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} has 'query' twice; give each value once"):
        dataclasses.replace(BASE, **{name: ("query", "value", "query")})


def test_every_method_has_a_rate_and_every_profile_is_a_recipe():
    assert list(recipes.LEARNING_RATES) == list(methods.METHODS)
    small = {"small-vit", "small-llama"}
    for spec in SPECS.values():  # MiniLM has the general rates, except for those that were tried
        assert small <= set(spec.model_rates) <= {"minilm", *small}
        assert set(spec.model_head_rates) <= small
    for kind, profiles in recipes.PROFILES.items():
        for name, settings in profiles.items():
            assert Recipe("entailment", "c3a", **settings).rates[0] > 0
            assert recipes.profile(name, kind) == settings


def test_a_misspelt_profile_kind_or_choice_names_the_nearest():
    with pytest.raises(ValueError, match="unknown profile 'smok'; did you mean 'smoke'"):
        recipes.profile("smok")
    with pytest.raises(ValueError, match="unknown kind of tasks 'image'; did you mean 'images'"):
        recipes.profile("cpu", "image")
    wrong = (("precision", "bf6", "bf16"), ("quantization", "4bits", "4bit"), ("tested_epoch", "lats", "last"))
    for name, value, nearest in wrong:
        with pytest.raises(ValueError, match=f"unknown {name} '{value}'; did you mean '{nearest}'"):
            dataclasses.replace(BASE, **{name: value})


def test_a_hyperparameter_that_is_given_twice_is_named():
    with pytest.raises(ValueError, match="alpha is given twice in method 'c3a:alpha=lora:alpha=2'; keep one"):
        recipes.parse_method("c3a:alpha=lora:alpha=2")
