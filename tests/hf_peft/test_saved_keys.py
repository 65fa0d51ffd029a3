"""Keys of a saved adapter on a model: who is asked for renamed parts."""

import sys

import transformers
from torch import nn

from circpeft.hf_peft.saved_keys import ModelKeys


def test_transformers_before_version_5_has_no_table_of_renamed_parts(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers.conversion_mapping", None)
    monkeypatch.setattr(transformers, "__version__", "4.57.6")
    assert ModelKeys(tiny.bert(), ["query.kernel"]).find("query.kernel") == "query.kernel"


def test_transformers_is_not_asked_about_a_model_of_another_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers.conversion_mapping", None)
    keys = ModelKeys(nn.Sequential(nn.Linear(1, 1)), ["0.kernel"])
    assert keys.find("0.kernel") == "0.kernel" and keys.find("1.kernel") is None
