"""What a prediction needs beside a trained model: number formats, further columns, and the names of the classes."""

import json
from datetime import datetime
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset

from circpeft import prediction, tasks, training
from circpeft.cli import main
from circpeft.prediction import predicting, trained
from circpeft.recipes import Recipe


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a machine with only a CPU")
def test_a_run_in_bf16_is_predicted_on_a_cpu(tmp_path):
    """transformers refuses bf16 there, unless it is told to use the CPU."""
    arguments = predicting._arguments(Recipe("sst2", "lora", precision="bf16"), str(tmp_path), progress=False)
    assert arguments.bf16 and arguments.use_cpu


def test_columns_that_json_does_not_have_are_written_as_texts(tmp_path, monkeypatch, capsys):
    rows = Dataset.from_dict({"sentence": ["a"], "seen": [datetime(2026, 1, 2, 3, 4)]})
    rows.to_parquet(tmp_path / "rows.parquet")
    monkeypatch.setattr(prediction, "open_trained", lambda *_: SimpleNamespace(task=tasks.get("sst2")))
    monkeypatch.setattr(prediction, "predict", lambda *_, **__: [{"prediction": "positive"}])
    assert main(["predict", "a run", "--file", str(tmp_path / "rows.parquet"), "--quiet"]) == 0
    expected = {"sentence": "a", "seen": "2026-01-02 03:04:00", "prediction": "positive"}
    assert json.loads(capsys.readouterr().out) == expected


def test_data_with_other_classes_than_those_of_the_run_is_refused(monkeypatch):
    labels = SimpleNamespace(features={"label": SimpleNamespace(names=["cat", "dog"])})
    monkeypatch.setattr(training, "data_of", lambda recipe: SimpleNamespace(data={"train": labels}))
    model = SimpleNamespace(config=SimpleNamespace(num_labels=2))
    recipe = Recipe("images", "lora", data_dir="pictures")
    given = (tasks.get("images"), model, recipe)
    assert trained._named(*given, scored=["dog"]).labels == ("cat", "dog")
    with pytest.raises(ValueError, match="the data has no class 'bird', on which the run was scored; give the data"):
        trained._named(*given, scored=["dog", "bird"])
    model.config.num_labels = 3
    with pytest.raises(ValueError, match="the data has 2 classes, and the model has 3"):
        trained._named(*given)
