"""The hyperparameters that are not given have the values that the methods themselves have."""

import inspect

import peft
import pytest

from circpeft import costs
from circpeft.costs.hyperparameters import DEFAULTS, resolve
from circpeft.method_specs import SPECS
from circpeft.recipes import TABLES

# Hyperparameters of the cost model only: facts of a layer, and how a product is computed.
OF_THE_LAYER = {"bias": False, "feedforward": False, "frozen": False, "backend": "rfft"}
OF_PEFT = {
    "lora": (peft.LoraConfig(), {"r": "r"}),
    "dora": (peft.LoraConfig(), {"r": "r"}),
    "vera": (peft.VeraConfig(), {"r": "r"}),
    "fourierft": (peft.FourierFTConfig(), {"n_frequency": "n_frequency"}),
    "boft": (peft.BOFTConfig(), {"block_size": "boft_block_size", "n_butterfly_factor": "boft_n_butterfly_factor"}),
}


@pytest.mark.parametrize("method", costs.METHODS)
def test_the_defaults_are_those_of_the_method_that_trains(method):
    arguments = inspect.signature(SPECS[method].implementation).parameters
    of_method = {name: value for name, value in DEFAULTS[method].items() if name not in OF_THE_LAYER}
    assert of_method == {name: arguments[name].default for name in of_method}
    rest = DEFAULTS[method].items() - of_method.items()
    assert rest <= OF_THE_LAYER.items()


@pytest.mark.parametrize("method", OF_PEFT)
def test_the_defaults_are_those_of_peft_for_its_methods(method):
    config, names = OF_PEFT[method]
    assert DEFAULTS[method] == {ours: getattr(config, theirs) for ours, theirs in names.items()}


def test_the_rank_of_lamda_is_that_of_cdvft_table_3():
    [row] = [row for row in TABLES["cdvft-3"].rows if row.method == "lamda"]
    assert DEFAULTS["lamda"]["r"] == row.options["r"]


@pytest.mark.parametrize(
    ("method", "given", "meant"),
    [
        ("fourierft", {"n": 7}, {"n_frequency": 7}),
        ("boft", {"b": 8, "m": 2}, {"block_size": 8, "n_butterfly_factor": 2}),
        ("boft", {"boft_block_size": 8, "boft_n_butterfly_factor": 2}, {"block_size": 8, "n_butterfly_factor": 2}),
        ("c3a", {"b": 16}, {"block_size": 16}),
        ("cdvft", {"b": 16}, {"block_size": 16}),
        ("cdvft", {"p": 16}, {"block_size": 16}),
    ],
)
def test_the_letters_of_the_papers_and_pefts_names_are_other_names(method, given, meant):
    assert resolve(method, 32, 64, given) == resolve(method, 32, 64, meant) != resolve(method, 32, 64, {})
