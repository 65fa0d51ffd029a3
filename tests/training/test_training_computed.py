"""How a run was computed is in its record. The environment cannot change that unnoticed."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from accelerate.utils import DynamoBackend
from torch import nn
from transformers import TrainingArguments

from circpeft import results, training, use_backend
from circpeft.recipes import Recipe
from circpeft.training import computed, contradictions, trainer
from tests.versions import needs

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def plain(make_once):
    """Return a finished run, and its recipe."""
    return make_once("c3a", epochs=1)


@pytest.fixture(scope="module")
def make_once(tiny_model, data_dir, tmp_path_factory):
    """Return a function that trains once for all tests of this module."""
    folder = tmp_path_factory.mktemp("once")

    def make(method: str, **settings):
        common = {"model": tiny_model, "data_dir": data_dir, "batch_size": 16, "output_dir": str(folder)}
        made = Recipe("sst2", method, target_modules=("query", "value"), **common, **settings)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(results, "code_version", lambda: "test")
            return training.run(made), made

    return make


def test_a_record_has_the_facts_of_the_run(plain):
    result, _ = plain
    assert result.computation == {
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "processes": 1,
        "sharded": False,
        "precision": "float32",
        "float32_products": "float32",
        "float32_convolutions": "float32",
        "weights": "float32",
        "batch": 16,
        "gradient_accumulation": 1,
        "attention": "sdpa",
        "experts": "",
        "deterministic": False,
        "compiled": "",
        "backend": "auto",
        "circulant_products": ["fold"],
        "switches": {},
    }


def test_settings_of_the_recipe_and_of_torch_are_in_the_record(make_once, monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    settings = {"precision": "bf16", "gradient_accumulation": 2, "base_dtype": "bfloat16", "deterministic": True}
    with use_backend("reference"):
        result, _ = make_once("c3a", epochs=1, **settings)
    found = result.computation
    assert (found["precision"], found["weights"], found["deterministic"]) == ("bf16", "bfloat16", True)
    assert (found["batch"], found["gradient_accumulation"]) == (32, 2)
    assert (found["backend"], found["circulant_products"]) == ("reference", ["reference"])
    assert found["switches"] == {"mkldnn.enabled": False}
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_record_computed_otherwise_is_not_taken_for_the_same(plain, monkeypatch):
    result, made = plain
    assert training.recorded(made, result.data) == result
    with use_backend("rfft"):
        assert training.recorded(made, result.data) is None
    with monkeypatch.context() as patch:
        patch.setenv("ACCELERATE_DYNAMO_BACKEND", "inductor")
        assert training.recorded(made, result.data) is None
    with monkeypatch.context() as patch:
        patch.setattr(computed, "float32_products", lambda device: "bf16")
        assert training.recorded(made, result.data) is None
    torch.use_deterministic_algorithms(True)
    try:
        assert training.recorded(made, result.data) is None
    finally:
        torch.use_deterministic_algorithms(False)
    assert training.recorded(made, result.data) == result


def test_a_record_from_another_device_is_read(plain):
    result, made = plain
    path = results.path_of(made.name, made.output_dir)
    text = path.read_text()
    on_gpu = result.computation | {"device": "cuda", "float32_convolutions": "tf32"}
    results.write(replace(result, computation=on_gpu), path)
    try:
        assert training.recorded(made, result.data).computation == on_gpu
    finally:
        path.write_text(text)


def test_a_run_is_not_resumed_under_another_computation(recipe, interrupt, steps):
    made = recipe("c3a")
    interrupt(made)
    del steps[:]
    with use_backend("rfft"):
        result = training.run(made)
    assert len(steps) == 18 and result.computation["backend"] == "rfft"


@pytest.mark.parametrize(
    ("variables", "settings", "message"),
    [
        (
            {"ACCELERATE_MIXED_PRECISION": "bf16"},
            {},
            "'bf16' contradicts .* precision='float32' .* set precision='bf16'",
        ),
        ({"ACCELERATE_MIXED_PRECISION": "fp16"}, {"precision": "bf16"}, "'fp16' contradicts .* precision='bf16'"),
        ({"ACCELERATE_MIXED_PRECISION": "fp8"}, {}, "'fp8' contradicts .*unset it$"),
        ({"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"}, {}, "=4 contradicts .* gradient_accumulation=1"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, {}, "asks for DeepSpeed"),
        ({"ACCELERATE_USE_MEGATRON_LM": "1"}, {}, "asks for Megatron-LM"),
        ({"ACCELERATE_USE_PARALLELISM_CONFIG": "true"}, {}, "asks for tensor or context parallelism"),
        ({"ACCELERATE_TORCH_DEVICE": "meta"}, {}, "'meta' would put the data on another device"),
        ({"ACCELERATE_DYNAMO_BACKEND": "inducter"}, {}, "'inducter'; did you mean 'inductor'"),
    ],
)
def test_what_contradicts_the_recipe_is_refused(recipe, monkeypatch, steps, variables, settings, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    made = recipe("head", **settings)
    for attempt in (training.run, lambda bad: training.check([bad])):
        with pytest.raises(ValueError, match=f"{next(iter(variables))}.*{message}"):
            attempt(made)
    assert steps == [] and not os.path.exists(made.output_dir)


@pytest.mark.parametrize(
    ("variables", "settings"),
    [
        ({"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_DYNAMO_BACKEND": "no"}, {"precision": "bf16"}),
        ({"ACCELERATE_MIXED_PRECISION": "bf16"}, {"precision": "bf16"}),
        ({"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "2"}, {"gradient_accumulation": 2}),
        ({"ACCELERATE_USE_DEEPSPEED": "false", "ACCELERATE_DYNAMO_BACKEND": "INDUCTOR"}, {}),
    ],
)
def test_what_agrees_with_the_recipe_is_accepted(recipe, monkeypatch, variables, settings):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    contradictions.check(recipe("head", **settings))


@needs("torch", "2.5", "older versions do not tell the device of a with statement")
def test_torchs_own_defaults_are_checked(recipe):
    made = recipe("head")
    torch.set_default_dtype(torch.bfloat16)
    try:
        with pytest.raises(ValueError, match=r"default dtype is torch\.bfloat16.*set_default_dtype\(torch.float32\)"):
            training.run(made)
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.device("meta"), pytest.raises(ValueError, match="default device is 'meta'"):
        contradictions.check(made)
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(ValueError, match=r"autocast to torch\.bfloat16"):
        training.run(made)


def test_a_trainer_that_differs_from_the_recipe_is_refused_before_it_trains(recipe, steps, monkeypatch):
    """A change of the Trainer from a source that no check knows."""

    class Doubled(TrainingArguments):
        def __init__(self, **options):
            super().__init__(**options | {"per_device_train_batch_size": 32})

    monkeypatch.setattr(trainer, "TrainingArguments", Doubled)
    with pytest.raises(ValueError, match="the Trainer has batch=32, but the recipe says 16"):
        training.run(recipe("head"))
    assert steps == []


def test_a_run_leaves_no_precision_for_the_next_one(recipe, monkeypatch):
    """transformers 4 writes the variable."""

    real = TrainingArguments.__post_init__

    def writing(self):
        real(self)
        os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"

    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    monkeypatch.setattr(TrainingArguments, "__post_init__", writing)
    training.run(recipe("head", epochs=1, precision="bf16"))
    assert "ACCELERATE_MIXED_PRECISION" not in os.environ


def test_products_are_measured_where_a_setting_allows_to_round(monkeypatch):
    monkeypatch.setattr(computed, "_kept", lambda product, ones: "measured")
    assert computed.float32_products(CPU) == computed.float32_convolutions(CPU) == "float32"
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    assert computed.float32_products(CPU) == computed.float32_convolutions(CPU) == "measured"
    monkeypatch.delenv("ONEDNN_DEFAULT_FPMATH_MODE")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert computed.float32_products(CPU) == "measured"
    finally:
        torch.set_float32_matmul_precision(before)


def test_the_measurement_tells_the_number_formats_apart():
    def rounded(bits: int):
        """Round to a mantissa of so many bits, as a product in that format does."""
        return lambda numbers: torch.round(numbers * 2**bits) / 2**bits

    ones = torch.ones(2, 2)
    assert [computed._kept(rounded(bits), ones) for bits in (23, 10, 7)] == ["float32", "tf32", "bf16"]
    assert computed._kept(lambda numbers: numbers @ torch.eye(2), ones) == "float32"


def test_settings_of_a_gpu_count_on_a_gpu_only(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    assert computed.switches(CPU) == {} and computed.switches(GPU).get("cudnn.benchmark") is True


def test_compilation_and_experts_are_read_from_what_runs():
    plugin = SimpleNamespace(backend=DynamoBackend.INDUCTOR, mode="default")
    assert computed._compiler(plugin) == "inductor"
    plugin.mode = "max-autotune"
    assert computed._compiler(plugin) == "inductor (max-autotune)"
    with torch._dynamo.config.patch(disable=True):
        assert computed._compiler(plugin) == ""
    model = nn.Module()
    model.config = SimpleNamespace(_attn_implementation="eager", _experts_implementation="grouped_mm")
    model.vision = nn.Module()
    model.vision.config = SimpleNamespace(_attn_implementation="sdpa")
    assert computed._implementation(model, "_attn_implementation") == "eager, sdpa"
    assert computed._experts(model) == ""
    model.experts = nn.Linear(1, 1)
    assert computed._experts(model) == "grouped_mm"
