"""The record of a run agrees with what happened in the run."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer

from circpeft import costs, methods, results, tasks, training
from circpeft.course import comparison

METHODS = tuple(methods.METHODS)
ADAPTERS = tuple(name for name in METHODS if name not in ("full", "head", "bitfit"))


def outcome(result: results.Result) -> dict:
    """Return everything in a record that the seed determines."""
    clocks = ("seconds", "tokens_per_second", "peak_bytes", "finished", "commit")
    return {name: value for name, value in dataclasses.asdict(result).items() if name not in clocks}


def adapter(recipe) -> Path:
    return Path(recipe.output_dir) / "adapters" / recipe.name


@torch.no_grad()
def logits_one_by_one(model, folder: str, rows: list[dict], columns: tuple[str, ...]) -> torch.Tensor:
    """Return logits, one row at a time: no batches, no padding, no Trainer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model.eval()
    return torch.cat([model(**tokenizer(*(row[c] for c in columns), return_tensors="pt")).logits for row in rows])


@pytest.mark.parametrize("method", METHODS)
def test_a_run_learns_and_writes_a_complete_record(recipe, tiny_model, method):
    made = recipe(method)
    result = training.run(made)
    written = json.loads(results.path_of(made.name, made.output_dir).read_text())
    needed = "task method seed metric score test_score trainable_parameters seconds peak_bytes device versions commit"
    assert set(needed.split()) <= set(written)
    assert results.read(results.path_of(made.name, made.output_dir)) == result
    assert (result.task, result.method, result.seed, result.metric) == ("sst2", method, 0, "accuracy")
    assert result.rows == {"train": 96, "validation": 32, "test": 32} and result.split == "test: as published"
    assert result.settings == made.settings
    assert result.seconds > 0 and (result.peak_bytes > 2**20 or not Path("/proc/self/clear_refs").exists())
    assert result.tokens_per_second > 0 and result.state == "finished"
    extra = result.flops_per_token - result.base_flops_per_token
    assert (extra > 0) == (method in ADAPTERS) and result.base_flops_per_token > 0
    if method == "lora":  # the cost model counts the scaling of the output as part of the product
        targets = list(made.target_modules)
        assert extra == pytest.approx(costs.model_flops(tiny_model, "lora", targets, **made.options), rel=0.02)
    assert [row["epoch"] for row in result.epochs] == [1, 2, 3]
    assert result.score == max(row["score"] for row in result.epochs) == result.epochs[result.best_epoch - 1]["score"]
    assert result.test_score == result.score  # the same rows
    assert len(result.losses) == 18 and result.head_parameters == 2 * 32 + 2
    assert comparison.parameters(made) == result.trainable_parameters
    # With random weights in the base model, a head and biases are not enough to learn.
    assert result.score >= 0.9 or method in ("head", "bitfit")
    assert not (Path(made.output_dir) / "checkpoints" / made.name).exists()
    assert adapter(made).is_dir() == (method in ADAPTERS)
    whole = Path(made.output_dir) / "models" / made.name
    assert whole.is_dir() != (method in ADAPTERS)
    # The saved weights give the recorded score.
    if method in ADAPTERS:
        base = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=2)
        saved, folder = PeftModel.from_pretrained(base, adapter(made)), tiny_model
    else:
        saved, folder = AutoModelForSequenceClassification.from_pretrained(whole), str(whole)
        assert saved.config.id2label == dict(enumerate(tasks.get("sst2").labels))
    rows = tasks.load("sst2", made.data_dir)[0]["test"].to_list()
    logits = logits_one_by_one(saved, folder, rows, ("sentence",))
    right = logits.argmax(-1) == torch.tensor([row["label"] for row in rows])
    assert right.double().mean().item() == pytest.approx(result.test_score)


def test_a_model_is_not_kept_without_save_model(recipe):
    made = recipe("full", epochs=1, save_model=False)
    training.run(made)
    assert not (Path(made.output_dir) / "models").exists()


def test_the_same_seed_gives_the_same_run_and_another_does_not(recipe, tmp_path):
    first, again = (training.run(recipe("cdvft", output_dir=str(tmp_path / out))) for out in ("a", "b"))
    assert outcome(first) == outcome(again)
    other = training.run(recipe("cdvft", seed=1))
    assert other.losses != first.losses and other.seed == 1


def test_a_recorded_run_is_read_and_not_repeated(recipe, steps, monkeypatch):
    first = training.run(recipe("head", epochs=1))
    taken = len(steps)
    assert taken == 6
    assert training.run(recipe("head", epochs=1)) == first and len(steps) == taken
    training.run(recipe("head", epochs=2))
    assert len(steps) == taken + 12
    monkeypatch.setattr(results, "code_version", lambda: "changed")
    assert training.run(recipe("head", epochs=1)).code == "changed" and len(steps) == taken + 18


def test_a_damaged_record_raises_before_training(recipe, steps):
    made = recipe("head")
    path = results.path_of(made.name, made.output_dir)
    path.parent.mkdir(parents=True)
    path.write_text('{"task": ')
    with pytest.raises(ValueError, match=f"{made.name}.json is not JSON in UTF-8: .*delete it"):
        training.run(made)
    assert steps == []


@pytest.mark.parametrize("method", METHODS)
def test_the_best_epoch_is_tested(recipe, monkeypatch, method):
    """Scores are fixed so that the first epoch is the best. The test must give that epoch's logits."""
    logits, scores = [], iter((0.0, 0.9, 0.1, 0.9))  # before training, two epochs, test

    def by_hand(prediction, task):
        logits.append(torch.as_tensor(prediction.predictions))
        return {"score": next(scores)}

    monkeypatch.setattr(training.kinds.classification, "score", by_hand)
    result = training.run(recipe(method, epochs=2))
    assert (result.best_epoch, result.score) == (1, 0.9)
    _, *epochs, tested = logits
    assert len(epochs) == 2 and torch.equal(tested, epochs[0])
    assert not torch.allclose(epochs[0], epochs[-1], atol=1e-3)


@pytest.mark.parametrize("method", ["c3a", "cdvft"])
def test_head_and_adapter_have_rates_of_their_own(recipe, method):
    def trained(**rates) -> tuple[dict, dict]:
        made = recipe(method, epochs=1, **rates)
        training.run(made)
        weights = load_file(adapter(made) / "adapter_model.safetensors")
        return (
            {name: w for name, w in weights.items() if "classifier" not in name},
            {name: w for name, w in weights.items() if "classifier" in name},
        )

    still = trained(learning_rate=1e-12, head_learning_rate=1e-12)
    adapter_only = trained(learning_rate=1e-2, head_learning_rate=1e-12)
    head_only = trained(learning_rate=1e-12, head_learning_rate=1e-2)

    def moved(which: int, run) -> float:
        return max((run[which][name] - still[which][name]).abs().max().item() for name in still[which])

    assert moved(0, adapter_only) > 1e-3 > 1e-9 > moved(0, head_only)
    assert moved(1, head_only) > 1e-3 > 1e-9 > moved(1, adapter_only)


@pytest.mark.parametrize(("setting", "expected"), [(None, {0.1}), (0.0, {0.0}), (0.5, {0.5})])
def test_the_dropout_of_the_base_model_is_that_of_the_recipe(recipe, monkeypatch, setting, expected):
    found = set()

    def look(self, **options):
        found.update(layer.p for layer in self.model.modules() if isinstance(layer, torch.nn.Dropout))
        raise InterruptedError  # enough was seen

    monkeypatch.setattr(Trainer, "train", look)
    with pytest.raises(InterruptedError):
        training.run(recipe("head", base_dropout=setting))
    assert found == expected


def test_group_scores_add_up_to_the_test_score(recipe, tiny_model):
    made = recipe("head", task="entailment", data_dir="", max_train=16, max_eval=40, epochs=1)
    result = training.run(made)
    assert result.rows == {"train": 16, "validation": 40, "test": 40}
    test = tasks.splits.first_rows(tasks.load("entailment")[0]["test"], 40)["phenomenon"]
    assert set(result.groups) == set(test)
    mean = sum(score * test.count(name) for name, score in result.groups.items()) / 40
    assert mean == pytest.approx(result.test_score)


def test_the_spectra_are_of_the_learnt_change(recipe):
    made = recipe("lora", hyperparameters={"r": 3})
    result = training.run(made)
    assert [name.rsplit(".", 2)[-2:] for name in result.spectra] == [["output", "dense"]] * 2
    for values in result.spectra.values():
        assert len(values) == 32 and values == sorted(values, reverse=True)
        assert values[2] > 1e-4 > 1e-6 > values[3]  # rank 3
    assert max(max(values) for values in training.run(recipe("head")).spectra.values()) == 0


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (("query", "dense"), ["attention.output.dense", "output.dense"]),
        (("intermediate.dense",), ["intermediate.dense"]),
        (r".*\.self\.(query|key)", ["attention.self.key"]),
        ("all-linear", ["attention.output.dense", "output.dense"]),
        ((), ["attention.output.dense", "output.dense"]),
    ],
)
def test_the_watched_layers_are_targets(recipe, tiny_model, targets, expected):
    base = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=2)
    found = training.spectra.watched_weights(base, recipe("c3a", target_modules=targets))
    assert list(found) == [f"bert.encoder.layer.1.{name}" for name in expected]


@pytest.mark.parametrize("method", ["full", "ia3", "dora", "vera", "boft", "fourierft", "lamda", "c3a", "cdvft"])
def test_the_spectra_are_of_the_merged_weight(recipe, tiny_model, method):
    made = recipe(method, epochs=2)
    result = training.run(made)
    if method == "full":
        assert all(max(values) > 1e-3 for values in result.spectra.values())
        return
    base = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=2)
    before = {name: base.get_submodule(name).weight.detach().clone() for name in result.spectra}
    merged = PeftModel.from_pretrained(base, adapter(made)).merge_and_unload()
    for name, values in result.spectra.items():
        expected = torch.linalg.svdvals(merged.get_submodule(name).weight.detach() - before[name])
        torch.testing.assert_close(torch.tensor(values), expected, rtol=1e-3, atol=1e-5)
        assert max(values) > 1e-3


def test_regression_has_one_output_and_pearson(recipe, tiny_model, pairs_dir):
    made = recipe("c3a", task="stsb", data_dir=pairs_dir, epochs=2)
    result = training.run(made)
    assert (result.metric, result.head_parameters) == ("pearson", 33)
    base = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=1)
    rows = tasks.load("stsb", made.data_dir)[0]["test"].to_list()
    values = logits_one_by_one(
        PeftModel.from_pretrained(base, adapter(made)), tiny_model, rows, ("sentence1", "sentence2")
    )
    labels = torch.tensor([row["label"] for row in rows])
    together = torch.stack([values[:, 0].double(), labels.double()])
    assert result.test_score == pytest.approx(torch.corrcoef(together)[0, 1].item(), abs=1e-4)
    best = result.epochs[result.best_epoch - 1]
    assert best["loss"] == pytest.approx((values[:, 0] - labels).square().mean().item(), rel=1e-3)


def test_a_record_of_other_rows_is_not_read(tmp_path):
    """The same folder with other rows has another fingerprint."""
    from datasets import Dataset, DatasetDict

    from circpeft.tasks.splits import digest

    def data(text: str) -> DatasetDict:
        return DatasetDict(train=Dataset.from_list([{"sentence": text, "label": 0}, {"sentence": "b", "label": 1}]))

    assert digest(data("a")) == digest(data("a")) != digest(data("c"))
