"""A model sharded over two processes (FSDP2) trains as an unsharded one does."""

from pathlib import Path

import pytest
import torch.distributed as dist
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

from tests.versions import needs

pytestmark = [
    pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="needs gloo"),
    needs("torch", "2.6", "older versions have no FSDP2"),
]

FSDP = ("--use_fsdp", "--fsdp_version", "2", "--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP")
SHARDED = {
    "c3a": {"kind": "text", "method": "c3a"},
    "cdvft": {"kind": "text", "method": "cdvft"},
    "full": {"kind": "text", "method": "full", "learning_rate": 1e-3},
    "mixed": {"kind": "text", "method": "c3a", "base_dtype": "bfloat16"},
    "bf16": {"kind": "text", "method": "c3a", "precision": "bf16"},
    "words": {"kind": "words", "method": "c3a"},
}


@pytest.fixture(scope="module")
def fsdp(accelerated):
    """Run the first job, and one that is not possible."""
    return accelerated(FSDP, {"c3a": SHARDED["c3a"], "lamda": {"kind": "text", "method": "lamda"}})


@pytest.fixture(scope="module")
def further(accelerated):
    """Run the other jobs, and then one that is interrupted in its second epoch, and continues."""
    stopped = {"kind": "text", "method": "cdvft", "seed": 1}
    last = {"stopped": {**stopped, "until": 2}, "resumed": {**stopped, "of": "stopped"}}
    return accelerated(FSDP, {name: job for name, job in SHARDED.items() if name != "c3a"} | last)


@pytest.fixture
def check(alone, compare):
    """Return a function that asserts that a sharded model trained as an unsharded one does."""

    def same(shared, name: str) -> None:
        result, recipe = alone(SHARDED[name])
        rounded = {} if recipe.base_dtype == recipe.precision == "float32" else {"close": 5e-2}
        compare(shared, result, recipe, **rounded)
        assert {kind for _, kind in shared.both[1]["steps"]} == {"DTensor"}
        assert shared.both[1]["device"] == "CPU, 1 threads, 2 processes (FSDP)"

    return same


def test_a_sharded_model_trains_as_an_unsharded_one_does(fsdp, check):
    check(fsdp["c3a"], "c3a")


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name in SHARDED if name != "c3a"])
def test_further_sharded_models_train_as_unsharded_ones_do(further, check, name):
    check(further[name], name)


@pytest.mark.full
def test_a_sharded_run_continues(further, alone, compare):
    result, recipe = alone({"kind": "text", "method": "cdvft", "seed": 1})
    assert [outcome["error"] for outcome in further["stopped"].both] == ["KeyboardInterrupt: "] * 2
    compare(further["resumed"], result, recipe)
    assert [len(outcome["steps"]) for outcome in further["resumed"].both] == [6, 6]


def test_the_adapter_of_a_sharded_run_is_complete(fsdp, tiny_model):
    recipe = fsdp["c3a"].recipe
    base = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=2)
    adapter = PeftModel.from_pretrained(base, Path(recipe.output_dir) / "adapters" / recipe.name)
    kernels = {name: p for name, p in adapter.named_parameters() if name.endswith("kernel")}
    assert len(kernels) == 2 * 5 + 1 and all(p.count_nonzero() == p.numel() for p in kernels.values())


def test_fsdp_raises_for_a_method_that_freezes_parameters(fsdp):
    for outcome in fsdp["lamda"].both:
        assert outcome["error"].startswith("ValueError: method 'lamda' freezes") and outcome["steps"] == []
