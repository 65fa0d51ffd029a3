"""Runs with permuted features: the recipe, the record, what is saved, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from circpeft import results, training
from circpeft.training import base_model
from tests.versions import LOADS_OPTIMIZERS


@pytest.mark.parametrize("method", ["c3a", "cdvft"])
def test_a_permuted_run_is_another_run_from_the_same_start(recipe, method):
    natural = training.run(recipe(method, epochs=1, max_train=32))
    made = recipe(method, epochs=1, max_train=32, feature_order="permuted")
    permuted = training.run(made)
    assert permuted.start_score == natural.start_score and permuted.losses[0]["loss"] == pytest.approx(
        natural.losses[0]["loss"], rel=1e-4
    )
    assert permuted.losses[-1] != natural.losses[-1] and permuted.spectra != natural.spectra
    assert permuted.settings["feature_order"] == "permuted" and "feature_order" not in natural.settings
    assert permuted.trainable_parameters == natural.trainable_parameters
    path = results.path_of(made.name, made.output_dir)
    assert json.loads(path.read_text())["settings"]["feature_order"] == "permuted"


@LOADS_OPTIMIZERS
def test_an_interrupted_permuted_run_ends_like_an_uninterrupted_one(recipe, same_when_resumed):
    same_when_resumed(recipe, "c3a", feature_order="permuted", epochs=2)


def test_no_adapter_is_saved_and_loading_says_why(recipe):
    made = recipe("c3a", epochs=1, max_train=16, feature_order="permuted")
    training.run(made)
    assert not training.weights_of(made).exists() and not (Path(made.output_dir) / "adapters").exists()
    with pytest.raises(ValueError, match="has saved no adapter, because feature_order='permuted' is for comparisons"):
        training.load_trained(made)


def test_what_cannot_be_permuted_is_refused_before_training(recipe):
    with pytest.raises(ValueError, match="permutes the features of c3a and cdvft, got method 'lora'"):
        training.check([recipe("lora", feature_order="permuted")])
    experts = replace(recipe("c3a", feature_order="permuted"), target_parameters=("experts.down_proj",))
    with pytest.raises(ValueError, match="cannot permute fused experts"):
        base_model.check(experts)
    with pytest.raises(ValueError, match="unknown feature_order 'permute'; did you mean 'permuted'"):
        recipe("c3a", feature_order="permute")


def test_a_permuted_recipe_passes_the_check(recipe):
    training.check([recipe("cdvft", feature_order="permuted")])
