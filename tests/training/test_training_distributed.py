"""A run shared by two processes, which the usual launchers start, is the run of one."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, ViTConfig, ViTImageProcessor, ViTModel

from circpeft import results, training
from circpeft.recipes import Recipe
from circpeft.training import distributed

pytestmark = pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="needs gloo")

SECONDS, CLOSE = 240, 1e-5
SCRIPT = Path(__file__).with_name("launched.py")
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ACCELERATE = ("accelerate.commands.launch", "--num_processes", "2", "--num_machines", "1")
ACCELERATE += ("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")
FSDP = ("--use_fsdp", "--fsdp_version", "2", "--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP")
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}
# In the last training batch of the first two kinds the second process has no row; in images, one less.
TEXT, WORDS, IMAGES = {"train": 84, "validation": 31, "test": 29}, {"train": 41, "validation": 15, "test": 13}, 13


def cut(source: str, folder: Path, counts: dict[str, int]) -> str:
    """The first rows of a data folder."""
    folder.mkdir()
    for split, count in counts.items():
        rows = (Path(source) / f"{split}.jsonl").read_text().splitlines()
        (folder / f"{split}.jsonl").write_text("\n".join(rows[:count]))
    return str(folder)


def save_vit(folder: Path) -> str:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": 2}
    torch.manual_seed(0)
    ViTModel(ViTConfig(image_size=16, patch_size=8, initializer_range=0.1, **sizes)).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return str(folder)


def save_images(folder: Path) -> str:
    for split in ("train", "validation", "test"):
        for name, colour in COLOURS.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(IMAGES):
                seen = tuple(max(0, value - 7 * number) for value in colour)
                Image.new("RGB", (16, 16), seen).save(folder / split / name / f"{number}.png")
    return str(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_model, data_dir, tiny_llama, questions_dir):
    """A function that makes a recipe on data that two processes cannot share equally."""
    folder = tmp_path_factory.mktemp("shared")
    text = {"task": "sst2", "model": tiny_model, "data_dir": cut(data_dir, folder / "text", TEXT), "batch_size": 16}
    text["target_modules"] = ("query", "value", "dense")
    words = {"task": "gsm8k", "model": tiny_llama, "data_dir": cut(questions_dir, folder / "words", WORDS)}
    words |= {"batch_size": 8, "max_new_tokens": 6, "target_modules": "all-linear"}
    vit = {"task": "images", "model": save_vit(folder / "vit"), "data_dir": save_images(folder / "images")}
    vit |= {"batch_size": 8, "target_modules": "all-linear"}
    kinds = {"text": text, "words": words, "images": vit}

    def make(kind: str, method: str, output_dir: Path, **settings) -> Recipe:
        rate = {"c3a": 0.3, "cdvft": 1e-2}.get(method, 1e-2)
        common = {"epochs": 2, "learning_rate": rate, "head_learning_rate": 1e-2, "base_dropout": 0.0}
        return Recipe(method=method, output_dir=str(output_dir), **{**common, **kinds[kind], **settings})

    return make


JOBS = {
    "c3a": {"kind": "text", "method": "c3a"},
    "cdvft": {"kind": "text", "method": "cdvft", "gradient_accumulation": 2},
    "lora": {"kind": "text", "method": "lora", "gradient_checkpointing": True},
    "lamda": {"kind": "text", "method": "lamda"},
    "images": {"kind": "images", "method": "c3a"},
    "words": {"kind": "words", "method": "c3a", "gradient_accumulation": 2},
}
SHARDED = {
    "c3a": {"kind": "text", "method": "c3a"},
    "cdvft": {"kind": "text", "method": "cdvft"},
    "full": {"kind": "text", "method": "full", "learning_rate": 1e-3},
    "mixed": {"kind": "text", "method": "c3a", "base_dtype": "bfloat16"},
    "bf16": {"kind": "text", "method": "c3a", "precision": "bf16"},
    "words": {"kind": "words", "method": "c3a"},
}


@pytest.fixture(scope="module")
def launch(tmp_path_factory, made):
    """A function that has two processes run jobs; returns by job what both got, and the recipe."""

    def start(launcher: tuple[str, ...], jobs: dict[str, dict], folder: Path | None = None, code: int = 0) -> dict:
        folder = folder or tmp_path_factory.mktemp("launched")
        plan = {}
        for name, job in jobs.items():
            job = dict(job)
            told = {key: job.pop(key) for key in ("until", "kill") if key in job}
            recipe = made(job.pop("kind"), job.pop("method"), folder / job.pop("of", name), **job)
            plan[name] = {"recipe": asdict(recipe), **told}
        (folder / "jobs.json").write_text(json.dumps(plan))
        command = [sys.executable, "-m", *launcher, str(SCRIPT), str(folder)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        environment["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=SECONDS)
        assert done.returncode == code, f"{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
        found = {}
        for name, job in plan.items():
            told = [folder / f"{name}.{rank}.json" for rank in (0, 1)]
            both = [json.loads(path.read_text()) for path in told if path.exists()]
            found[name] = SimpleNamespace(both=both, recipe=Recipe(**job["recipe"]), folder=folder)
        return found

    return start


@pytest.fixture(scope="module")
def ddp(launch):
    """All jobs, and then one in whose second epoch both processes are killed."""
    killed = {"kind": "text", "method": "c3a", "until": 2, "kill": True}
    return launch(TORCHRUN, {**JOBS, "killed": killed}, code=1)


@pytest.fixture(scope="module")
def again(launch, ddp):
    """What another launcher makes where the first one's records and checkpoints are."""
    uneven = {"kind": "text", "method": "c3a", "batch_size": 15}
    jobs = {"c3a": JOBS["c3a"], "uneven": uneven, "killed": {"kind": "text", "method": "c3a"}}
    return launch((*ACCELERATE, "--multi_gpu"), jobs, ddp["killed"].folder)


@pytest.fixture(scope="module")
def fsdp(launch):
    """All jobs, and then one that is broken off in its second epoch, and goes on."""
    stopped = {"kind": "text", "method": "cdvft", "seed": 1}
    last = {"stopped": {**stopped, "until": 2}, "resumed": {**stopped, "of": "stopped"}}
    return launch((*ACCELERATE, *FSDP), {**SHARDED, **last, "lamda": JOBS["lamda"]})


@pytest.fixture
def alone(made, tmp_path):
    """A function that makes the same run in this one process."""

    def run(job: dict) -> tuple[results.Result, Recipe]:
        job = dict(job)
        recipe = made(job.pop("kind"), job.pop("method"), tmp_path / "alone", **job)
        return training.run(recipe), recipe

    return run


def weights(recipe: Recipe) -> dict[str, torch.Tensor]:
    if recipe.method == "full":
        return load_file(Path(recipe.output_dir) / "models" / recipe.name / "model.safetensors")
    return load_file(Path(recipe.output_dir) / "adapters" / recipe.name / "adapter_model.safetensors")


def compare(shared: SimpleNamespace, result: results.Result, recipe: Recipe, close: float = CLOSE) -> None:
    first, second = shared.both
    assert first == second
    assert [e["loss"] for e in first["losses"]] == pytest.approx([e["loss"] for e in result.losses], abs=close)
    assert [e["epoch"] for e in first["losses"]] == [e["epoch"] for e in result.losses]
    for told, expected in zip(first["epochs"], result.epochs, strict=True):
        assert told == pytest.approx(expected, abs=close)
    for name in ("score", "test_score", "start_score", "flops_per_token", "base_flops_per_token"):
        assert first[name] == pytest.approx(getattr(result, name), abs=close), name
    for name in ("best_epoch", "trainable_parameters", "head_parameters", "rows", "settings", "data"):
        assert first[name] == getattr(result, name), name
    assert first["predictions"] == result.predictions and first["start_predictions"] == result.start_predictions
    for name, values in result.spectra.items():
        assert first["spectra"][name] == pytest.approx(values, abs=max(close, 1e-4))
    found, expected = weights(shared.recipe), weights(recipe)
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        # Softmax does not see a key's bias: its gradient is rounding alone, which Adam makes steps of.
        atol = 10 * close if "key.bias" in name else close
        torch.testing.assert_close(found[name], weight, atol=atol, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("name", JOBS)
def test_two_processes_train_like_one(ddp, alone, name):
    result, recipe = alone(JOBS[name])
    compare(ddp[name], result, recipe)
    assert {kind for kind, _ in ddp[name].both[0]["steps"]} == {"DistributedDataParallel"}


def test_the_record_is_of_both(ddp):
    first, second = ddp["c3a"].both
    assert first["device"] == second["device"] == "CPU, 1 threads, 2 processes"
    assert first["peak_bytes"] > 2**20 or not Path("/proc/self/clear_refs").exists()
    recipe = ddp["c3a"].recipe
    written = results.read(results.path_of(recipe.name, recipe.output_dir))
    assert asdict(written) == {name: value for name, value in first.items() if name != "steps"}
    assert not list((Path(recipe.output_dir) / "checkpoints").iterdir())


def test_a_record_is_read_by_both(ddp, again):
    for before, after in zip(ddp["c3a"].both, again["c3a"].both, strict=True):
        assert after == {**before, "steps": []}


def test_killed_processes_go_on_after_their_last_epoch(ddp, again, alone):
    assert ddp["killed"].both == []
    result, recipe = alone(JOBS["c3a"])
    compare(again["killed"], result, recipe)
    assert [len(told["steps"]) for told in again["killed"].both] == [6, 6]  # of twelve


def test_a_batch_that_two_cannot_share_is_refused_by_both(again):
    for told in again["uneven"].both:
        assert told["steps"] == [] and told["error"].startswith("ValueError: batch_size=15 is the batch of all 2 proc")
        assert told["error"].endswith(": 14, 16")


@pytest.mark.parametrize("name", SHARDED)
def test_a_sharded_model_trains_like_a_whole_one(fsdp, alone, name):
    result, recipe = alone(SHARDED[name])
    compare(fsdp[name], result, recipe, CLOSE if recipe.base_dtype == recipe.precision == "float32" else 5e-2)
    assert {kind for _, kind in fsdp[name].both[1]["steps"]} == {"DTensor"}
    assert fsdp[name].both[1]["device"] == "CPU, 1 threads, 2 processes (FSDP)"


def test_a_sharded_run_goes_on(fsdp, alone):
    result, recipe = alone({"kind": "text", "method": "cdvft", "seed": 1})
    assert [told["error"] for told in fsdp["stopped"].both] == ["KeyboardInterrupt: "] * 2
    compare(fsdp["resumed"], result, recipe)
    assert [len(told["steps"]) for told in fsdp["resumed"].both] == [6, 6]


def test_the_adapter_of_a_sharded_run_is_a_whole_one(fsdp, tiny_model):
    recipe = fsdp["c3a"].recipe
    base = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=2)
    adapter = PeftModel.from_pretrained(base, Path(recipe.output_dir) / "adapters" / recipe.name)
    kernels = {name: p for name, p in adapter.named_parameters() if name.endswith("kernel")}
    assert len(kernels) == 2 * 5 + 1 and all(p.count_nonzero() == p.numel() for p in kernels.values())


def test_fsdp_refuses_a_method_that_freezes(fsdp):
    for told in fsdp["lamda"].both:
        assert told["error"].startswith("ValueError: method 'lamda' freezes") and told["steps"] == []


@pytest.mark.parametrize(
    ("settings", "environment", "said"),
    [
        ({"batch_size": 3}, {}, "batch_size=3 is the batch of all 4 .* can: 4"),
        ({"batch_size": 10}, {}, "they can: 8, 12"),
        ({}, {"VERSION": "1"}, "--fsdp_version 2"),
        ({}, {"VERSION": "2", "AUTO_WRAP_POLICY": "SIZE_BASED_WRAP"}, "TRANSFORMER_BASED_WRAP"),
        ({}, {"VERSION": "2", "ACTIVATION_CHECKPOINTING": "true"}, "gradient_checkpointing"),
        ({"quantization": "4bit"}, {"VERSION": "2"}, "leave quantization empty"),
        ({"method": "bitfit", "base_dtype": "bfloat16"}, {"VERSION": "2"}, "choose float32"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(monkeypatch, settings, environment, said):
    monkeypatch.setattr(distributed, "state", lambda: SimpleNamespace(num_processes=4, distributed_type="MULTI_GPU"))
    for name, value in environment.items():
        monkeypatch.setenv(f"FSDP_{name}", value)
        monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    recipe = Recipe("sst2", **{"method": "c3a", **settings})
    with pytest.raises(ValueError, match=said):
        distributed.check(recipe)


def test_processes_that_differ_say_in_what(monkeypatch, tmp_path):
    distributed.agree("data", "a")
    monkeypatch.setattr(distributed, "gathered", lambda value: [value, "b"])
    with pytest.raises(ValueError, match="differ in data: a on process 0, b on process 1"):
        distributed.agree("data", "a")
    here = SimpleNamespace(num_processes=2, is_main_process=True, wait_for_everyone=lambda: None)
    monkeypatch.setattr(distributed, "state", lambda: here)
    monkeypatch.setattr(distributed, "gathered", lambda value: [value, False])
    with pytest.raises(ValueError, match="not seen by 1; give an output_dir that all hosts share"):
        distributed.share_folder(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
