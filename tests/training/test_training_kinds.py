"""Kinds of tasks: each keeps to the protocol, and a new one trains without any other change."""

import inspect
from dataclasses import dataclass

import pytest
from transformers import AutoModelForSequenceClassification, default_data_collator

from circpeft import results, tasks, training
from circpeft.training import TaskKind
from circpeft.training.exact_trainer import ExactTrainer

METHODS = [name for name, member in vars(TaskKind).items() if inspect.isfunction(member) and not name.startswith("_")]
ATTRIBUTES = [name for name, member in vars(TaskKind).items() if isinstance(member, property)]
LENGTH = 16


class CharacterKind:
    """Texts, character by character; without a tokenizer."""

    model_class = AutoModelForSequenceClassification
    has_new_head = True
    example_models = "bert"
    loading_options = {}
    predictions_kept = 5

    class Alphabet:
        """Saves nothing, so that a whole model can be saved without it."""

        def save_pretrained(self, folder):
            (folder / "alphabet.txt").write_text("bytes")

    def load_processor(self, folder):
        return self.Alphabet()

    def config_options(self, task):
        return {"num_labels": task.num_labels}

    def encode(self, data, task, processor, config, recipe):
        def coded(row: dict) -> dict:
            codes = [1 + ord(letter) % 10 for letter in row["sentence"].split()[4][:LENGTH]]
            return {"input_ids": codes + [0] * (LENGTH - len(codes)), "labels": row["label"]}

        return data.map(coded, remove_columns=data["train"].column_names)

    def make_trainer(self, task, processor, recipe, **options):
        def metric(outputs) -> dict:
            return {"score": task.score(outputs.label_ids, task.predictions(outputs.predictions))}

        return ExactTrainer(data_collator=default_data_collator, compute_metrics=metric, **options)

    def predictions(self, task, outputs):
        return task.predictions(outputs).tolist()

    def count_tokens(self, rows, config):
        return LENGTH * len(rows["input_ids"])


def test_the_protocol_has_members():
    assert set(METHODS) >= {"load_processor", "config_options", "encode", "make_trainer", "predictions", "count_tokens"}
    assert set(ATTRIBUTES) >= {"model_class", "has_new_head", "example_models", "loading_options", "predictions_kept"}


@pytest.mark.parametrize("kind", [*training.KINDS.values(), CharacterKind()], ids=lambda kind: type(kind).__name__)
def test_every_kind_keeps_to_the_protocol(kind):
    for name in ATTRIBUTES:
        assert hasattr(kind, name), name
    assert isinstance(kind.has_new_head, bool) and isinstance(kind.example_models, str)
    assert hasattr(kind.model_class, "from_pretrained") and isinstance(dict(kind.loading_options), dict)
    assert kind.predictions_kept is None or kind.predictions_kept > 0
    for name in METHODS:
        given, expected = (inspect.signature(getattr(owner, name)).parameters for owner in (type(kind), TaskKind))
        assert list(given) == list(expected), name
        assert [p.kind for p in given.values()] == [p.kind for p in expected.values()], name
    extra = {name for name in dir(kind) if not name.startswith("_")} - {*METHODS, *ATTRIBUTES, "Alphabet"}
    assert not extra


def test_every_task_has_a_kind():
    assert {task.kind for task in tasks.TASKS.values()} == set(training.KINDS)


@pytest.mark.parametrize("method", ["c3a", "full"])
def test_a_toy_kind_trains_and_is_recorded(recipe, monkeypatch, method):
    @dataclass(frozen=True)
    class Characters(tasks.Task):
        kind = "characters"

        def read_with_unused(self, folder):
            return of_text.read_with_unused(folder)

    of_text = tasks.get("sst2")
    toy = Characters("sst2", of_text.columns, of_text.labels, of_text.metric, of_text.hub)
    monkeypatch.setitem(tasks.TASKS, "sst2", toy)
    monkeypatch.setitem(training.KINDS, "characters", CharacterKind())
    made = recipe(method, epochs=4)
    training.check([made])
    result = training.run(made)
    assert result.score >= 0.9 and len(result.predictions) == 5 and len(result.start_predictions) == 20
    assert result.tokens_per_second > 0 and result.flops_per_token > 0
    assert results.read(results.path_of(made.name, made.output_dir)) == result
    assert training.weights_of(made).is_dir()
