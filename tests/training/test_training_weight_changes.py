"""The file of weight changes: its values against numpy, resumption, size and damage; and training without it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, TrainerCallback

from circpeft import methods, results, training
from circpeft.ops import block_circulant
from circpeft.training import change_recorder, weight_changes
from circpeft.training.spectra import circulant_singular_values
from tests.versions import LOADS_OPTIMIZERS

CHANGING = [name for name in methods.METHODS if name not in ("head", "bitfit")]
LAYERS = ["0.attention.self.query", "1.attention.self.query", "1.output.dense"]


def file_of(recipe) -> Path:
    return Path(recipe.output_dir) / "weight_changes" / f"{recipe.name}.json"


def base_of(folder: str):
    return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)


def agree(change: weight_changes.LayerChange, number: int, expected: np.ndarray) -> None:
    """Assert that one epoch of a file is that of a matrix."""
    cells = expected[:: change.step, :: change.step]
    # Half a level of 127, and float32 of the reference.
    assert np.abs(change.maps[number] - cells).max() <= np.abs(cells).max() * 0.51 / 127 + 1e-6
    values = np.linalg.svd(expected.astype(np.float64), compute_uv=False)
    expected_values = values[np.array(change.index) - 1]
    assert change.singular_values[number] == pytest.approx(expected_values, rel=6e-3, abs=values[0] * 1e-5)
    assert change.ranks[number] == np.linalg.matrix_rank(expected, tol=1e-5 * values[0])


@pytest.mark.parametrize("method", CHANGING)
def test_the_last_epoch_is_the_saved_weight_minus_the_initial_one(recipe, tiny_model, method):
    made = recipe(method, epochs=2, tested_epoch="last", hyperparameters={"r": 3} if method == "lora" else {})
    result = training.run(made)
    assert result.weight_changes == f"weight_changes/{made.name}.json"
    changes = weight_changes.read(Path(made.output_dir) / result.weight_changes)
    assert [change.layer.removeprefix("bert.encoder.layer.") for change in changes] == LAYERS
    assert [change.shape for change in changes] == [(32, 32), (32, 32), (32, 64)]
    assert [change.step for change in changes] == [1, 1, 2]
    base = base_of(tiny_model)
    initial = {change.layer: base.get_submodule(change.layer).weight.detach().clone() for change in changes}
    if method == "full":
        trained = AutoModelForSequenceClassification.from_pretrained(training.weights_of(made))
    else:
        trained = PeftModel.from_pretrained(base, training.weights_of(made)).merge_and_unload()
    for change in changes:
        expected = (trained.get_submodule(change.layer).weight.detach() - initial[change.layer]).numpy()
        assert change.epochs == [1, 2] and np.abs(expected).max() > 1e-3
        if method in ("lora", "lamda", "vera", "ia3", "boft", "dora", "fourierft", "full"):
            # The rounding of the merged weight blurs small singular values, so only the large ones are compared.
            values = np.linalg.svd(expected, compute_uv=False)
            found = np.array(change.singular_values[-1])
            np.testing.assert_allclose(found, values, rtol=6e-3, atol=2e-5)
            cells = expected[:: change.step, :: change.step]
            assert np.abs(change.maps[-1] - cells).max() <= np.abs(cells).max() * 0.51 / 127 + 1e-6
        else:
            agree(change, -1, expected)
    if method == "lora":
        assert [change.ranks for change in changes] == [[3, 3]] * 3


class Weights(TrainerCallback):
    """Copies the weights of a model after each epoch."""

    def __init__(self) -> None:
        self.copies = []

    def on_epoch_end(self, args, state, control, model=None, **_) -> None:
        self.copies.append({name: p.detach().clone() for name, p in model.named_parameters()})


def test_every_epoch_of_full_fine_tuning_is_recorded(recipe, tiny_model):
    made, weights = recipe("full", epochs=3), Weights()
    training.run(made, [weights])
    base = dict(base_of(tiny_model).named_parameters())
    for change in weight_changes.read(file_of(made)):
        assert change.epochs == [1, 2, 3]
        for number, copied in enumerate(weights.copies):
            name = f"{change.layer}.weight"
            agree(change, number, (copied[name] - base[name]).detach().numpy())


@pytest.mark.parametrize("method", ["c3a", "lora", "full"])
def test_the_training_is_the_same_without_it(recipe, tmp_path, method):
    """The tiny model has dropout, so that a drawn random number would change everything after it."""
    weights, outcomes = [], []
    for on in (True, False):
        made, copies = recipe(method, epochs=2, weight_changes=on, output_dir=str(tmp_path / str(on))), Weights()
        result = training.run(made, [copies])
        weights.append(copies.copies)
        outcomes.append((made.name, result.losses, result.epochs, result.predictions, result.settings))
        assert file_of(made).exists() == on == bool(result.weight_changes)
    assert outcomes[0] == outcomes[1]
    for copy, other in zip(*weights, strict=True):
        assert copy.keys() == other.keys() and all(torch.equal(copy[name], other[name]) for name in copy)


def test_a_run_without_it_leaves_no_file_of_an_earlier_one(recipe):
    made = recipe("c3a", epochs=1)
    training.run(made)
    assert file_of(made).exists()
    results.path_of(made.name, made.output_dir).unlink()
    assert training.run(recipe("c3a", epochs=1, weight_changes=False)).weight_changes == ""
    assert not file_of(made).exists()


@pytest.mark.parametrize("method", ["head", "bitfit"])
def test_methods_that_change_no_matrix_have_no_file(recipe, method):
    made = recipe(method, epochs=1)
    assert training.run(made).weight_changes == "" and not file_of(made).parent.exists()


@LOADS_OPTIMIZERS
@pytest.mark.parametrize("method", ["c3a", "full"])
def test_a_resumed_run_has_each_epoch_once(recipe, interrupt, tmp_path, method):
    whole = recipe(method, output_dir=str(tmp_path / "whole"))
    training.run(whole)
    made = recipe(method)
    folder = interrupt(made)  # the second epoch is recorded, and trained again
    recorded = json.loads((folder / "weight_changes.json").read_text())["epochs"]
    assert [entry["epoch"] for entry in recorded] == [1, 2]
    training.run(made)
    assert file_of(made).read_bytes() == file_of(whole).read_bytes()
    assert [change.epochs for change in weight_changes.read(file_of(made))] == [[1, 2, 3]] * 3


@LOADS_OPTIMIZERS
def test_a_damaged_part_is_lost_and_the_run_continues(recipe, interrupt):
    made = recipe("c3a")
    (interrupt(made) / "weight_changes.json").write_text('{"epochs": [{"epo')
    with pytest.warns(UserWarning, match="before the interruption are lost: .*weight_changes.json"):
        result = training.run(made)
    assert [row["epoch"] for row in result.epochs] == [1, 2, 3]
    assert [change.epochs for change in weight_changes.read(file_of(made))] == [[2, 3]] * 3


def test_a_layer_too_large_has_a_map_only_except_with_kernels(recipe, monkeypatch):
    monkeypatch.setattr(change_recorder, "LARGEST", 32 * 32)
    found = {}
    for method in ("lora", "c3a"):
        made = recipe(method, epochs=1)
        training.run(made)
        found[method] = weight_changes.read(file_of(made))[-1]
    assert found["lora"].index == [] and found["lora"].ranks is None and found["lora"].singular_values == [[]]
    assert len(found["c3a"].singular_values[0]) == 32 and found["c3a"].ranks[0] > 16
    assert found["lora"].maps[0].shape == found["c3a"].maps[0].shape == (16, 32)
    assert np.abs(found["lora"].maps[0]).max() > 1e-4


def test_what_is_not_finite_is_not_recorded(recipe, monkeypatch):
    real, calls = change_recorder.learnt_change, []

    def broken(*arguments):
        calls.append(arguments)
        return real(*arguments) * (float("nan") if len(calls) == 4 else 1)  # the first layer in the second epoch

    monkeypatch.setattr(change_recorder, "learnt_change", broken)
    made = recipe("c3a")
    training.run(made)
    assert weight_changes.read(file_of(made))[0].epochs == [1, 3]


@pytest.mark.parametrize("layout", ["row", "column"])
@pytest.mark.parametrize("shape", [(1, 1, 12), (2, 3, 5), (3, 1, 8)])
def test_the_singular_values_of_kernels_are_those_of_the_matrix(layout, shape):
    kernels = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = np.linalg.svd(block_circulant(kernels, layout).numpy(), compute_uv=False)
    np.testing.assert_allclose(circulant_singular_values(kernels), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("epochs", "shape"), [(1, (48, 48)), (3, (768, 768)), (100, (4096, 11008)), (8, (5, 4000))])
def test_a_file_is_small(epochs, shape):
    numbers = np.random.default_rng(0)
    planned = weight_changes.epochs_to_record(epochs)
    step, index = weight_changes.step_of(shape, 3 * len(planned)), weight_changes.recorded_index(min(shape))
    assert planned[0] == 1 and planned[-1] == epochs and len(planned) <= 8 and index[-1] == min(shape)
    cells = numbers.standard_normal(shape)[::step, ::step]
    values = [float(f"{value:.3g}") for value in 1e-3 * numbers.random(len(index))]
    layer = {"name": "model.encoder.layers.10.self_attn.q_proj", "shape": shape, "step": step, "index": index}
    entry = {**weight_changes.encoded_map(cells), "rank": min(shape), "singular_values": values}
    text = weight_changes.content("a" * 80, [layer] * 3, [{"epoch": e, "layers": [entry] * 3} for e in planned])
    assert len(text) < 60_000 and max(cells.shape) <= 48


DAMAGES = {
    "half": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "list": lambda text: "[]",
    "schema": lambda text: text.replace('"schema":1', '"schema":99'),
    "layers": lambda text: text.replace('"layers"', '"lairs"', 1),
    "cells": lambda text: text.replace('"cells":"', '"cells":"AAAA'),
    "base64": lambda text: text.replace('"cells":"', '"cells":"!'),
    "values": lambda text: text.replace('"singular_values":[', '"singular_values":[1.0,'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named(tmp_path, damage):
    entry = {**weight_changes.encoded_map(np.eye(2)), "rank": 2, "singular_values": [1.0, 1.0]}
    layer = {"name": "query", "shape": (2, 2), "step": 1, "index": [1, 2]}
    text = weight_changes.content("run", [layer], [{"epoch": 1, "layers": [entry]}])
    path = tmp_path / "run.json"
    path.write_text(text)
    [change] = weight_changes.read(path)
    assert np.array_equal(change.maps[0], np.eye(2)) and change.singular_values == [[1.0, 1.0]]
    path.write_text(DAMAGES[damage](text))
    with pytest.raises(ValueError, match="run.json is not a file of weight changes: .*delete it"):
        weight_changes.read(path)


def test_a_map_of_zeros_stays_zero():
    assert weight_changes.encoded_map(np.zeros((2, 2))) == {"largest": 0.0, "cells": "AAAAAA=="}
