"""The configs: defaults, saving, patterns, and errors before any model is changed."""

import pytest
import torch
from peft import PeftConfig

from circpeft import C3AConfig, CDVFTConfig


def test_defaults(method):
    config = method.config()
    assert (config.block_size, config.alpha, config.dropout, config.init_weights) == ("auto", "lora", 0.0, True)
    assert (config.bias, config.target_modules, config.layers_to_transform) == ("none", None, None)
    assert config.peft_type == config.peft_type.value == method.name


def test_a_saved_config_is_read_back_equal(method, tmp_path):
    config = method(
        target_modules=("query", "value"),
        block_size=8,
        block_size_pattern={"value": 4},
        alpha_pattern={"query": 2.0},
        layers_to_transform=0,
        modules_to_save=["classifier"],
        dropout=0.1,
    )
    config.save_pretrained(tmp_path)
    loaded = PeftConfig.from_pretrained(tmp_path)
    assert type(loaded) is method.config and loaded.to_dict() == config.to_dict()
    assert config.target_modules == {"query", "value"}


def test_patterns_choose_by_the_end_of_a_name_or_a_regex(method):
    config = method(
        block_size=8, block_size_pattern={"value": 4, r"layer\.0\..*": 2}, alpha=1.0, alpha_pattern={"query": 3.0}
    )
    assert config.for_layer("encoder.layer.1.value") == (4, 1.0)
    assert config.for_layer("encoder.layer.0.key") == (2, 1.0)
    assert config.for_layer("encoder.layer.1.query") == (8, 3.0)
    assert config.for_layer("encoder.layer.1.not_a_query") == (8, 1.0)


def test_building_a_config_draws_no_random_numbers(method):
    state = torch.get_rng_state()
    method()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"block_size": 0}, ["block_size", "0"]),
        ({"block_size": "atuo"}, ["'atuo'", "auto"]),
        ({"block_size": 2.5}, ["2.5"]),
        ({"dropout": 1.5}, ["dropout", "1.5"]),
        ({"alpha": float("inf")}, ["alpha", "inf"]),
        ({"init_weights": "zeros"}, ["'zeros'", "did you mean 'zero'"]),
        ({"bias": "lora_only"}, ["'lora_only'", "_only"]),
        ({"target_modules": ".*query", "layers_to_transform": 0}, ["layers_to_transform", "'.*query'"]),
        ({"target_modules": "all-linear", "layers_to_transform": 0}, ["layers_to_transform", "'all-linear'"]),
        ({"dropout": "0.1"}, ["dropout", "'0.1'"]),
        ({"init_weights": [1]}, ["init_weights", "[1]", "zero"]),
        ({"block_size_pattern": [1]}, ["block_size_pattern", "[1]"]),
        ({"target_modules": ["query"], "layers_pattern": "layer"}, ["layers_pattern", "layers_to_transform"]),
    ],
    ids=str,
)
def test_bad_fields_are_named(method, options, words):
    with pytest.raises(ValueError) as raised:
        method(**options)
    for word in words:
        assert word in str(raised.value)


def test_biases_raise_if_peft_would_not_save_them(method, monkeypatch):
    monkeypatch.setattr("circpeft.hf_peft.configs.SAVES_BIASES", False)
    with pytest.raises(ValueError, match="bias='all' needs a newer peft"):
        method(bias="all")
    assert method(bias="none").bias == "none"


def test_a_misspelt_field_is_named(method):
    with pytest.raises(TypeError, match="blok_size"):
        method(blok_size=4)


def test_fields_of_only_one_method_are_checked():
    with pytest.raises(ValueError, match="'rwo'; did you mean 'row'"):
        C3AConfig(layout="rwo")
    with pytest.raises(ValueError, match="odd.*got 4"):
        CDVFTConfig(num_factors=4)
