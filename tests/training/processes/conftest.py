"""Runs of two processes, started by the usual launchers, and the same runs in one process."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import ViTConfig, ViTImageProcessor, ViTModel

from circpeft import results, training
from circpeft.recipes import Recipe
from circpeft.training import weight_changes

SECONDS, CLOSE = 600, 1e-5
SCRIPT = Path(__file__).with_name("launched.py")
ACCELERATE = ("accelerate.commands.launch", "--num_processes", "2", "--num_machines", "1")
ACCELERATE += ("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}
# In the last training batch of texts and instructions the second process has no row; of images one less than the first.
TEXT, WORDS, IMAGES = {"train": 84, "validation": 31, "test": 29}, {"train": 41, "validation": 15, "test": 13}, 13


def cut(source: str, folder: Path, counts: dict[str, int]) -> str:
    """Copy the first rows of a data folder, and return the copy."""
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
    """Return a function that makes a recipe with data that two processes cannot share equally."""
    folder = tmp_path_factory.mktemp("shared")
    text = {"task": "sst2", "model": tiny_model, "data_dir": cut(data_dir, folder / "text", TEXT), "batch_size": 16}
    text["target_modules"] = ("query", "value", "dense")
    words = {"task": "gsm8k", "model": tiny_llama, "data_dir": cut(questions_dir, folder / "words", WORDS)}
    words |= {"batch_size": 8, "max_new_tokens": 6, "target_modules": "all-linear"}
    vit = {"task": "images", "model": save_vit(folder / "vit"), "data_dir": save_images(folder / "images")}
    vit |= {"batch_size": 8, "target_modules": "all-linear"}
    kinds = {"text": text, "words": words, "images": vit}

    def make(kind: str, method: str, output_dir: Path, **settings) -> Recipe:
        common = {"epochs": 2, "learning_rate": 1e-2, "head_learning_rate": 1e-2, "base_dropout": 0.0}
        return Recipe(method=method, output_dir=str(output_dir), **{**common, **kinds[kind], **settings})

    return make


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Return the environment of processes that communicate on this machine only, each with one thread."""
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "GLOO_SOCKET_IFNAME": loopback}


@pytest.fixture(scope="module")
def launch(tmp_path_factory, made, environment):
    """Return a function that has two processes run jobs. For each job it returns both outcomes, and the recipe."""

    def start(launcher: tuple[str, ...], jobs: dict[str, dict], folder: Path | None = None, code: int = 0) -> dict:
        folder = folder or tmp_path_factory.mktemp("launched")
        plan = {}
        for name, job in jobs.items():
            job = dict(job)
            stops = {key: job.pop(key) for key in ("until", "kill") if key in job}
            recipe = made(job.pop("kind"), job.pop("method"), folder / job.pop("of", name), **job)
            plan[name] = {"recipe": asdict(recipe), **stops}
        (folder / "jobs.json").write_text(json.dumps(plan))
        command = [sys.executable, "-m", *launcher, str(SCRIPT), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=SECONDS)
        assert done.returncode == code, f"{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
        found = {}
        for name, job in plan.items():
            paths = [folder / f"{name}.{rank}.json" for rank in (0, 1)]
            both = [json.loads(path.read_text()) for path in paths if path.exists()]
            found[name] = SimpleNamespace(both=both, recipe=Recipe(**job["recipe"]), folder=folder)
        return found

    return start


@pytest.fixture
def alone(made, tmp_path):
    """Return a function that makes the same run in this process."""

    def run(job: dict) -> tuple[results.Result, Recipe]:
        job = dict(job)
        recipe = made(job.pop("kind"), job.pop("method"), tmp_path / "alone", **job)
        return training.run(recipe), recipe

    return run


def weights(recipe: Recipe) -> dict[str, torch.Tensor]:
    if recipe.method == "full":
        return load_file(Path(recipe.output_dir) / "models" / recipe.name / "model.safetensors")
    return load_file(Path(recipe.output_dir) / "adapters" / recipe.name / "adapter_model.safetensors")


@pytest.fixture
def compare():
    """Return a function that asserts that two processes give what one gives."""

    def check(shared: SimpleNamespace, result: results.Result, recipe: Recipe, close: float = CLOSE) -> None:
        first, second = shared.both
        assert first == second
        assert [e["loss"] for e in first["losses"]] == pytest.approx([e["loss"] for e in result.losses], abs=close)
        assert [e["epoch"] for e in first["losses"]] == [e["epoch"] for e in result.losses]
        for epoch, expected in zip(first["epochs"], result.epochs, strict=True):
            assert epoch == pytest.approx(expected, abs=close)
        for name in ("score", "test_score", "start_score", "flops_per_token", "base_flops_per_token"):
            assert first[name] == pytest.approx(getattr(result, name), abs=close), name
        for name in ("best_epoch", "trainable_parameters", "head_parameters", "rows", "settings", "data"):
            assert first[name] == getattr(result, name), name
        assert first["predictions"] == result.predictions and first["start_predictions"] == result.start_predictions
        for name, values in result.spectra.items():
            assert first["spectra"][name] == pytest.approx(values, abs=max(close, 1e-4))
        grown = [weight_changes.read(Path(r.output_dir) / result.weight_changes) for r in (shared.recipe, recipe)]
        for change, expected in zip(*grown, strict=True):
            assert change.epochs == expected.epochs and np.abs(expected.maps[-1]).max() > 0
            level = np.abs(expected.maps).max() / 127
            assert np.abs(np.subtract(change.maps, expected.maps)).max() <= level + close
        found, expected = weights(shared.recipe), weights(recipe)
        assert found.keys() == expected.keys()
        for name, weight in expected.items():
            # A key's bias does not change the softmax: its gradient is only rounding, from which Adam makes steps.
            atol = 10 * close if "key.bias" in name else close
            torch.testing.assert_close(found[name], weight, atol=atol, rtol=0, msg=lambda m, n=name: f"{n}: {m}")

    return check


@pytest.fixture(scope="module")
def accelerated(launch):
    """Return the same function for ``accelerate launch`` with given options."""

    def start(options: tuple[str, ...], *arguments, **options_of_launch) -> dict:
        return launch((*ACCELERATE, *options), *arguments, **options_of_launch)

    return start
