"""Errors of settings, data and models are raised before a training step, and before a file is written."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizerFast, Trainer

from circpeft import training
from circpeft.recipes import Recipe

BAD_SETTINGS = {
    "task": ({"task": "sst"}, ValueError, "unknown task 'sst'; did you mean 'sst2'"),
    "method": ({"method": "c3b"}, ValueError, "'c3b'; did you mean 'c3a'"),
    "method with a rate": ({"method": "c3b", "learning_rate": 0.1}, ValueError, "'c3b'; did you mean 'c3a'"),
    "hyperparameter": (
        {"hyperparameters": {"blocksize": 8}},
        ValueError,
        "'c3a' has no hyperparameter 'blocksize'; did you mean 'block_size'",
    ),
    "block size": (
        {"hyperparameters": {"block_size": 12}},
        ValueError,
        "layer '.*query'.*block_size=12 does not divide 32; nearest divisors: 8, 16",
    ),
    "block size of a wide layer": (
        {"hyperparameters": {"block_size": 64}, "target_modules": ("intermediate.dense",)},
        ValueError,
        "block_size=64 does not divide both d_in=32 and d_out=64; nearest common divisors: 32",
    ),
    "negative block size": ({"hyperparameters": {"block_size": -8}}, ValueError, "block_size must be .* got -8"),
    "layout": ({"hyperparameters": {"layout": "colum"}}, ValueError, "layout 'colum'; did you mean 'column'"),
    "factors": (
        {"method": "cdvft", "hyperparameters": {"num_factors": 4}},
        ValueError,
        "num_factors must be odd .* 3 or 5; got 4",
    ),
    "rank": (
        {"method": "lora", "hyperparameters": {"r": 0}},
        ValueError,
        "method 'lora': r must be a whole number of at least 1, got 0",
    ),
    "layer type": (
        {"target_modules": ("word_embeddings",)},
        TypeError,
        "layer 'bert.embeddings.word_embeddings' is a Embedding.*circpeft adapts nn.Linear",
    ),
    "data_dir": ({"data_dir": "no/such/data"}, FileNotFoundError, "data_dir 'no/such/data' is not a folder"),
    "model name": ({"model": "minlm"}, FileNotFoundError, "'minlm' is neither .* did you mean 'minilm'"),
    "model path": ({"model": "./no_such_model"}, FileNotFoundError, "'./no_such_model' does not exist"),
    "epochs": ({"epochs": 0}, ValueError, "epochs must be an integer of at least 1, got 0"),
    "batch size": ({"batch_size": -2}, ValueError, "batch_size must be an integer of at least 1, got -2"),
    "max_train": ({"max_train": -1}, ValueError, "max_train must be an integer of at least 0, got -1"),
    "rate": ({"learning_rate": -0.1}, ValueError, "learning_rate must be a number of at least 0, got -0.1"),
}


@pytest.fixture
def refused(recipe, monkeypatch):
    """Return a function that asserts that run and check (beside a valid recipe) raise the same error."""

    def never(self, *arguments, **options):
        pytest.fail("training was entered")

    monkeypatch.setattr(Trainer, "train", never)

    def refuse(error: type[Exception], message: str, **settings) -> None:
        good = recipe("c3a")
        for attempt in (training.run, lambda bad: training.check([good, bad])):
            with pytest.raises(error, match=f"(?s){message}"):
                attempt(replace(good, **settings))
        assert not Path(good.output_dir).exists()

    return refuse


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_an_invalid_setting(refused, case):
    settings, error, message = BAD_SETTINGS[case]
    refused(error, message, **settings)


@pytest.mark.parametrize("method", ["full", "head", "lora", "c3a", "cdvft"])
@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (("query", "valeu"), "'valeu' matches no layer: did you mean 'value'"),
        ("query", r"'query' .* matches no layer's full name: .*\['query'\]"),
        (r".*\.qvery", r"regex '\.\*.*qvery' .* matches no layer's full name: .*query"),
    ],
)
def test_a_target_that_matches_nothing(refused, method, targets, message):
    refused(ValueError, message, method=method, target_modules=targets)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": 2}, r"label 2 in split validation .* 0 \(negative\), 1 \(positive\)"),
        ({"label": "good"}, "label 'good' in split validation"),
        ({"label": 0.5}, r"label 0\.5 in split validation"),
        ({"label": -1}, "label -1 in split validation"),
        ({"labels": 1}, "column 'label' is missing in split validation .*; rename 'labels' to 'label'"),
        (None, "empty split: validation"),
    ],
)
def test_invalid_data(refused, tmp_path, data_dir, row, message):
    folder = Path(shutil.copytree(data_dir, tmp_path / "bad"))
    (folder / "validation.jsonl").write_text(json.dumps({"sentence": "a", **row}) if row else "")
    refused(ValueError, message, data_dir=str(folder))


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (("config.json",), "has no config.json"),
        (("model.safetensors",), "has no weights; expected one of: model.safetensors"),
        (("tokenizer.json", "vocab.txt", "tokenizer_config.json"), r"has no tokenizer; expected .*tokenizer\.json"),
    ],
)
def test_an_incomplete_model_folder(refused, tmp_path, tiny_model, missing, message):
    folder = Path(shutil.copytree(tiny_model, tmp_path / "incomplete"))
    for name in missing:
        (folder / name).unlink(missing_ok=True)
    refused(FileNotFoundError, message, model=str(folder))


@pytest.mark.parametrize("labels", [(0.0, 1.0), (False, True)], ids=["0.0 and 1.0", "booleans"])
def test_labels_equal_to_the_class_numbers_are_accepted(recipe, tmp_path, labels):
    for split in ("train", "validation", "test"):
        rows = [{"sentence": "the actor saw a good baker", "label": label} for label in labels * 4]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = training.run(recipe("head", data_dir=str(tmp_path), epochs=1))
    assert result.score == 0.5  # one text under both labels


def test_a_bfloat16_model_is_trained_in_float32(recipe, tiny_model, tmp_path):
    folder = Path(shutil.copytree(tiny_model, tmp_path / "half"))
    BertModel.from_pretrained(tiny_model).bfloat16().save_pretrained(folder)
    seen = []

    def watching(self, *arguments, **options):
        seen.append({p.dtype for p in self.model.parameters()})
        return real(self, *arguments, **options)

    real = Trainer.train
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train", watching)
        result = training.run(recipe("c3a", model=str(folder)))
    assert [{str(dtype) for dtype in found} for found in seen] == [{"torch.float32"}] and result.score >= 0.9


def test_a_checkpoint_of_another_task_is_accepted(recipe, tiny_model, pairs_dir, tmp_path):
    """Its three classes and its loss are replaced, here for a regression."""
    folder = Path(shutil.copytree(tiny_model, tmp_path / "other"))
    other = BertForSequenceClassification.from_pretrained(tiny_model, num_labels=3)
    other.config.problem_type = "single_label_classification"
    other.save_pretrained(folder)
    result = training.run(recipe("c3a", model=str(folder), task="stsb", data_dir=pairs_dir, epochs=1))
    assert result.head_parameters == 33 and 0.1 < result.losses[0]["loss"] < 25  # squares of 0 to 5


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_may_have_another_column(recipe, data_dir, tmp_path, split):
    folder = Path(shutil.copytree(data_dir, tmp_path / "more"))
    rows = [json.loads(row) | {"source": "a book"} for row in (folder / f"{split}.jsonl").read_text().splitlines()]
    (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert training.run(recipe("head", data_dir=str(folder), epochs=1)).rows["test"] == 32


def test_texts_are_truncated_at_the_tokenizers_limit(recipe, tmp_path):
    BertTokenizerFast(str(_vocabulary(tmp_path)), model_max_length=16).save_pretrained(tmp_path / "short")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 32, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=8, max_position_embeddings=16, **sizes)).save_pretrained(tmp_path / "short")
    for split in ("train", "validation", "test"):
        rows = [{"sentence": "good bad " * 20, "label": label} for label in (0, 1)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made = recipe("head", model=str(tmp_path / "short"), data_dir=str(tmp_path), epochs=1)
    assert training.run(made).rows["train"] == 2


def _vocabulary(folder: Path) -> Path:
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\nbad\nsaw")
    return folder / "vocab.txt"


def test_check_of_valid_recipes_trains_nothing(recipe, steps):
    recipes = [recipe(method) for method in ("full", "head", "lora", "c3a", "cdvft")]
    training.check([*recipes, recipe("c3a", target_modules="all-linear"), *(r.with_seed(1) for r in recipes)])
    assert steps == [] and not Path(recipes[0].output_dir).exists()
    assert isinstance(recipes[0], Recipe)


@pytest.mark.parametrize("method", ["full", "lora", "c3a"])
def test_a_diverged_training_raises(recipe, method):
    """The error is not about singular values that cannot be computed."""
    with pytest.raises(FloatingPointError, match="the training diverged; lower its learning_rate"):
        training.run(recipe(method, learning_rate=1e30, epochs=1))


def test_truncated_texts_are_counted(recipe, data_dir, tmp_path):
    folder = Path(shutil.copytree(data_dir, tmp_path / "long"))
    rows = [json.loads(row) for row in (folder / "train.jsonl").read_text().splitlines()]
    rows[3]["sentence"], rows[5]["sentence"] = (
        "good " * 30,
        "good " * 6,
    )  # the second has eight tokens, so it is not truncated
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made = recipe("head", data_dir=str(folder), epochs=1, max_length=8)
    with pytest.warns(
        UserWarning, match="task 'sst2': rows longer than 8 tokens are truncated: 1 of train, 0 of validation"
    ):
        training.run(made)
