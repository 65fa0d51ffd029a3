"""LaMDA in a run: second projections train, then freeze one after the other; the saved adapter is a plain LoRA."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer

from circpeft import methods, tasks, training
from tests.versions import LOADS_OPTIMIZERS

RANK = {"hyperparameters": {"r": 4}}


@pytest.fixture
def watched(monkeypatch) -> list[dict]:
    """Return a list with each step's number, and the second projections and square cores before it."""
    found, real = [], Trainer.training_step

    def watching(self, model, *arguments, **options):
        layers = [layer for layer in model.modules() if isinstance(getattr(layer, "lora_A", None), torch.nn.ModuleDict)]
        second = [layer.lora_B["default"].weight for layer in layers]
        found.append(
            {
                "step": self.state.global_step,
                "trains": [weight.requires_grad for weight in second],
                "second": [weight.detach().clone() for weight in second],
                "core": [layer.lora_A["default"].core.detach().clone() for layer in layers],
            }
        )
        return real(self, model, *arguments, **options)

    monkeypatch.setattr(Trainer, "training_step", watching)
    return found


def test_second_projections_are_frozen_after_three_tenths_of_the_steps(recipe, watched):
    training.run(recipe("lamda", batch_size=8, **RANK))
    assert len(watched) == 36  # all are frozen from step 10.8 on
    layers = len(watched[0]["trains"])
    assert layers == 11 and all(watched[0]["trains"])
    for state in watched:
        frozen = layers if state["step"] >= 10.8 else int(layers * max(0, state["step"] - 1) / 9.8)
        assert state["trains"] == [False] * frozen + [True] * (layers - frozen)
    assert not any(watched[11]["trains"]) and any(watched[10]["trains"])
    for now, then in zip(watched, watched[1:], strict=False):
        for number, trains in enumerate(now["trains"]):
            assert torch.equal(now["second"][number], then["second"][number]) != trains or now["step"] == 0
    # Each has changed before it was frozen (the first step of a warm-up has a rate of zero). Every core still trains.
    moved = [not torch.equal(a, b) for a, b in zip(watched[-1]["core"], watched[12]["core"], strict=True)]
    assert moved == [True] * layers == [bool(weight.any()) for weight in watched[-1]["second"]]


@pytest.mark.parametrize("batch_size", [24, 96])
def test_a_short_run_changes_all_before_it_freezes_any(recipe, watched, batch_size):
    """There are more layers than steps in which to freeze them."""
    training.run(recipe("lamda", batch_size=batch_size, **RANK))
    assert all(weight.any() for weight in watched[-1]["second"]) and not all(watched[-1]["trains"])


def test_the_record_counts_the_parameters_that_train_at_the_start(recipe, tiny_model):
    result = training.run(recipe("lamda", epochs=1, **RANK))
    base = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=2)
    model = methods.apply(base, "lamda", target_modules=("query", "value", "dense"), r=4)
    seconds = sum(p.numel() for name, p in model.named_parameters() if "lora_B" in name)
    assert result.trainable_parameters == 11 * 4 * 4 + seconds and result.head_parameters == 66


def test_the_saved_adapter_is_a_plain_lora_with_the_same_logits(recipe, tiny_model, monkeypatch):
    logits, real = [], training.kinds.classification.score
    monkeypatch.setattr(
        training.kinds.classification, "score", lambda p, task: logits.append(p.predictions) or real(p, task)
    )
    made = recipe("lamda", **RANK)
    training.run(made)
    folder = Path(made.output_dir) / "adapters" / made.name
    base = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=2)
    model = PeftModel.from_pretrained(base, folder).eval()
    assert model.peft_config["default"].peft_type == "LORA"
    assert not [name for name, _ in model.named_parameters() if "core" in name or "projection" in name]
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    texts = list(tasks.load("sst2", made.data_dir)[0]["test"]["sentence"])
    with torch.no_grad():
        found = model(**tokenizer(texts, return_tensors="pt", padding=True)).logits
    torch.testing.assert_close(found, torch.as_tensor(logits[-1]), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found, torch.as_tensor(logits[0]), atol=1e-2)


@LOADS_OPTIMIZERS
@pytest.mark.parametrize(("epochs", "frozen"), [(2, "all"), (4, "some")])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(recipe, same_when_resumed, watched, epochs, frozen):
    """One interruption is after the last freezing, the other in the middle of it."""
    same_when_resumed(recipe, "lamda", epochs=epochs, batch_size=32, **RANK)
    resumed = next(state["trains"] for state in watched[3 * epochs + 3 :] if state["step"] == 3)
    assert any(resumed) == (frozen == "some") and not all(resumed)
