"""Settings that change how a run computes, but not what it learns."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, Trainer, modeling_utils

from circpeft import recipes, tasks, training
from circpeft.training import base_model
from tests.versions import needs

needs_bitsandbytes = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed; make test has a run of its own with it"
)


@pytest.fixture
def of_kind(recipe, instruction):
    """Return a function that makes a recipe for texts or instructions, without dropout, which depends on batches."""

    def make(kind: str, method: str, **settings):
        make_one = {"text": recipe, "instructions": instruction}[kind]
        return make_one(method, **{"epochs": 1, "batch_size": 16, "base_dropout": 0.0, "max_eval": 8} | settings)

    return make


@pytest.fixture
def seen(monkeypatch) -> list[dict]:
    """Return a list that gets, after each training, whether each parameter trains, and its number format."""
    found, real = [], Trainer.train

    def watching(self, *arguments, **options):
        done = real(self, *arguments, **options)
        found.append({name: (p.requires_grad, p.dtype) for name, p in self.model.named_parameters()})
        return done

    monkeypatch.setattr(Trainer, "train", watching)
    return found


def losses(result) -> list[float]:
    return [row["loss"] for row in result.losses]


@pytest.mark.parametrize("method", ["full", "c3a"])
@pytest.mark.parametrize("kind", ["text", "instructions"])
def test_two_accumulated_halves_give_the_losses_of_one_batch(of_kind, steps, kind, method):
    whole = training.run(of_kind(kind, method))
    taken = len(steps)
    halves = training.run(of_kind(kind, method, batch_size=8, gradient_accumulation=2))
    assert len(steps) == 3 * taken
    assert len(losses(halves)) == len(losses(whole)) and losses(halves)[0] < 10
    assert losses(halves) == pytest.approx(losses(whole), rel=1e-2)
    assert halves.epochs[0]["loss"] == pytest.approx(whole.epochs[0]["loss"], rel=1e-2)


@pytest.mark.parametrize(("kind", "method"), [("text", "c3a"), ("instructions", "c3a"), ("instructions", "full")])
def test_gradient_checkpointing_does_not_change_the_losses(of_kind, monkeypatch, kind, method):
    checkpointed, real = [], modeling_utils.checkpoint
    plain = training.run(of_kind(kind, method))
    monkeypatch.setattr(modeling_utils, "checkpoint", lambda *a, **o: checkpointed.append(o) or real(*a, **o))
    result = training.run(of_kind(kind, method, gradient_checkpointing=True))
    assert checkpointed and all(options["use_reentrant"] is False for options in checkpointed)
    assert losses(result) == pytest.approx(losses(plain), abs=2e-4) and result.epochs == plain.epochs


@pytest.mark.parametrize(("kind", "method"), [("text", "full"), ("instructions", "c3a")])
def test_bf16_is_used_for_products_but_not_for_parameters(of_kind, seen, monkeypatch, kind, method):
    exact = training.run(of_kind(kind, method))
    answering, write = [], training.kinds.instructions.write_answers

    def watched(model, *arguments, **options):
        answering.append(torch.is_autocast_enabled(model.device.type))
        return write(model, *arguments, **options)

    monkeypatch.setattr(training.kinds.instructions, "write_answers", watched)
    made, real = set(), torch.nn.functional.linear
    monkeypatch.setattr(torch.nn.functional, "linear", lambda *a: (y := real(*a), made.add(y.dtype))[0])
    result = training.run(of_kind(kind, method, precision="bf16"))
    assert torch.bfloat16 in made and all(answering)
    assert {dtype for formats in seen for _, dtype in formats.values()} == {torch.float32}
    assert losses(result) != losses(exact) and losses(result) == pytest.approx(losses(exact), rel=0.1)


LAMDA = pytest.param("text", "lamda", marks=needs("torch", "2.5", "with older products, one loss is 11 % higher"))


@pytest.mark.parametrize(("kind", "method"), [("text", "c3a"), LAMDA, ("instructions", "lora")])
def test_a_bfloat16_base_keeps_adapters_and_a_new_head_in_float32(of_kind, seen, kind, method):
    result = training.run(of_kind(kind, method, base_dtype="bfloat16"))
    trained = {name: dtype for name, (trains, dtype) in seen[0].items() if trains}
    assert set(trained.values()) == {torch.float32} and any("classifier" in n for n in trained) == (kind == "text")
    assert {dtype for name, (_, dtype) in seen[0].items() if "base_layer" in name} == {torch.bfloat16}
    exact = training.run(of_kind(kind, method))
    assert losses(result) == pytest.approx(losses(exact), rel=0.1)


def test_the_papers_settings_for_instructions_work_together(instruction, seen):
    settings = {**recipes.profile("paper", "instructions"), "batch_size": 4, "epochs": 2}
    settings["target_modules"] = recipes.targets(settings["target_modules"])
    result = training.run(instruction("c3a", **{n: v for n, v in settings.items() if n != "model"}))
    assert len(result.losses) == 10 and result.losses[-1]["loss"] < result.losses[0]["loss"]
    assert {dtype for trains, dtype in seen[0].values() if trains} == {torch.float32}
    assert {name.rsplit(".", 1)[-1] for name in result.spectra} == {"v_proj"}


def test_a_dropout_of_integer_zero_is_replaced_as_well(recipe, tiny_model, tmp_path):
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text()) | {"hidden_dropout_prob": 0}
    (folder / "config.json").write_text(json.dumps(config))
    made = recipe("head", model=str(folder), base_dropout=0.5)
    assert base_model.config_of(made, tasks.get("sst2"), training.KINDS["text"], str(folder)).hidden_dropout_prob == 0.5


def test_full_fine_tuning_of_a_bfloat16_base_stays_in_bfloat16(of_kind, seen):
    training.run(of_kind("text", "full", base_dtype="bfloat16"))
    assert {dtype for _, dtype in seen[0].values()} == {torch.bfloat16}


BAD = {
    "fp16 without a GPU": (
        "c3a",
        {"precision": "fp16"},
        "precision='fp16' needs a GPU; .* choose float32 or bf16",
    ),
    "full in float16": ("full", {"base_dtype": "float16"}, "'full' .* base_dtype='float16' is too coarse .* bfloat16"),
    "full in 4 bits": (
        "full",
        {"quantization": "4bit"},
        "'full' cannot use .*'4bit'.* itself; choose one of: ia3, lora, dora",
    ),
    "bitfit in 8 bits": (
        "bitfit",
        {"quantization": "8bit"},
        "'bitfit' cannot .*'8bit'.* itself; choose one of: ia3, lora, vera",
    ),
    "head in 4 bits": ("head", {"quantization": "4bit"}, "'head' cannot .*choose one of: .*c3a"),
    "PEFT's C3A in 4 bits": ("c3a-peft", {"quantization": "4bit"}, "'c3a-peft' .* has no adapter for them; .*c3a"),
    "unknown logger": (
        "c3a",
        {"report_to": "tensorbord"},
        "unknown report_to 'tensorbord'; did you mean 'tensorboard'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_impossible_settings_raise_before_data_is_read(recipe, monkeypatch, case):
    method, settings, message = BAD[case]
    if settings.get("precision") == "fp16" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setattr(tasks, "load", lambda *arguments: pytest.fail("data was read"))
    made = recipe(method, **settings)
    for attempt in (training.run, lambda bad: training.check([bad])):
        with pytest.raises(ValueError, match=message):
            attempt(made)
    assert not Path(made.output_dir).exists()


@pytest.mark.parametrize(("package", "settings"), [("bitsandbytes", {"quantization": "4bit"}), ("wandb", {})])
def test_a_package_that_is_not_installed_is_named(recipe, monkeypatch, package, settings):
    monkeypatch.setattr(base_model, "find_spec", lambda name: None)
    monkeypatch.setattr(training.preparation, "get_available_reporting_integrations", lambda: ["tensorboard"])
    with pytest.raises(ValueError, match=f"{package}.* not installed"):
        training.run(recipe("c3a", **settings or {"report_to": package}))


@pytest.mark.parametrize("before", [(False, False), (True, True)])
def test_deterministic_holds_only_during_the_run(recipe, monkeypatch, before):
    def state() -> tuple[bool, bool]:
        warns = torch.is_deterministic_algorithms_warn_only_enabled()
        return torch.are_deterministic_algorithms_enabled(), warns

    during, real = [], Trainer.train
    monkeypatch.setattr(Trainer, "train", lambda self, **o: during.append(state()) or real(self, **o))
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    try:
        training.run(recipe("head", epochs=1))
        training.run(recipe("head", epochs=1, deterministic=True))
        assert during == [before, (True, False)] and state() == before
        monkeypatch.setattr(Trainer, "train", lambda self, **o: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            training.run(recipe("head", epochs=1, deterministic=True, seed=1))
        assert state() == before
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_a_log_for_tensorboard_is_kept(recipe):
    made = recipe("head", epochs=1, report_to="tensorboard")
    training.run(made)
    [log] = (Path(made.output_dir) / "logs" / made.name).rglob("events.out.tfevents.*")
    assert b"eval/score" in log.read_bytes()


@needs_bitsandbytes
@pytest.mark.parametrize("bits", ["4bit", "8bit"])
@pytest.mark.parametrize("kind", ["text", "instructions"])
def test_c3a_trains_on_rounded_weights(of_kind, seen, kind, bits):
    """Gradients pass through every rounded layer, also after an evaluation: losses are close to unrounded ones."""
    result = training.run(of_kind(kind, "c3a", quantization=bits))
    rounded = [name for name, (_, dtype) in seen[0].items() if dtype in (torch.uint8, torch.int8)]
    assert len(rounded) == {"text": 13, "instructions": 14}[kind]  # BERT has a pooler; heads stay as they are
    exact = training.run(of_kind(kind, "c3a"))
    assert losses(result) == pytest.approx(losses(exact), rel=0.15)
    assert result.trainable_parameters == exact.trainable_parameters
    assert list(result.spectra) == list(exact.spectra) and len(result.spectra) == 2
    for name, values in result.spectra.items():
        assert sum(values) == pytest.approx(sum(exact.spectra[name]), rel=0.15)


@needs_bitsandbytes
@pytest.mark.parametrize("bits", ["4bit", "8bit"])
@pytest.mark.parametrize("method", ["lora", "vera", "boft", "fourierft", "ia3", "lamda", "cdvft"])
def test_the_learnt_change_of_rounded_weights_is_recorded(of_kind, method, bits):
    settings = {"hyperparameters": {"n_frequency": 50}} if method == "fourierft" else {}
    result = training.run(of_kind("text", method, quantization=bits, epochs=1, **settings))
    assert len(result.spectra) == 2 and all(values[0] > 1e-4 for values in result.spectra.values())
    if method == "lora":
        assert all(max(values[8:]) < 1e-3 * values[0] for values in result.spectra.values())


@needs_bitsandbytes
def test_an_adapter_of_rounded_weights_loads_onto_unrounded_ones(of_kind):
    made = of_kind("instructions", "c3a", quantization="8bit", gradient_checkpointing=True)
    training.run(made)
    base = AutoModelForCausalLM.from_pretrained(made.model)
    start = base(torch.arange(3, 9)[None]).logits
    saved = PeftModel.from_pretrained(base, Path(made.output_dir) / "adapters" / made.name)
    assert not torch.allclose(saved(torch.arange(3, 9)[None]).logits, start, atol=1e-2)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_run_on_the_cpu_of_a_machine_with_a_gpu_has_no_fp16(recipe, monkeypatch):
    assert training.distributed.state().device.type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ValueError, match="precision='fp16' needs a GPU; on a CPU choose float32 or bf16"):
        training.check([recipe("c3a", precision="fp16")])
