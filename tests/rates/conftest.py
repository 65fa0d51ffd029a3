"""A model and data on which a trial takes a moment."""

import itertools
import json

import pytest

from circpeft import results
from circpeft.recipes import Recipe

WORDS = {"good": 1, "fine": 1, "bad": 0, "poor": 0}
NOUNS = ("actor", "baker", "clerk", "doctor")


@pytest.fixture(scope="session")
def rated_model(tmp_path_factory, save_bert) -> str:
    return save_bert(tmp_path_factory.mktemp("model"), ["the", "saw", *NOUNS, *WORDS])


@pytest.fixture(scope="session")
def rated_data(tmp_path_factory) -> str:
    rows = [
        {"sentence": f"the {a} saw the {word} {b}", "label": label}
        for a, b, (word, label) in itertools.product(NOUNS, NOUNS, WORDS.items())
    ]
    folder = tmp_path_factory.mktemp("data")
    for split, part in {"train": rows[:48], "validation": rows[48:56], "test": rows[56:]}.items():
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, part)))
    return str(folder)


@pytest.fixture
def rated(rated_model, rated_data, tmp_path, monkeypatch):
    """Return a function that makes a recipe."""
    monkeypatch.setattr(results, "code_version", lambda: "test")

    def make(method: str = "c3a", **settings) -> Recipe:
        defaults = {"model": rated_model, "data_dir": rated_data, "target_modules": ("query", "dense"), "batch_size": 8}
        return Recipe("sst2", method, **{**defaults, "output_dir": str(tmp_path / "out"), **settings})

    return make
