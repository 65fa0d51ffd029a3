"""A run of two processes, started by the usual launchers, gives what one process gives."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch.distributed as dist

from circpeft import results
from circpeft.recipes import Recipe
from circpeft.training import checkpoints, distributed
from tests.versions import LOADS_OPTIMIZERS

pytestmark = pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="needs gloo")

TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
JOBS = {
    "c3a": {"kind": "text", "method": "c3a"},
    "cdvft": {"kind": "text", "method": "cdvft", "gradient_accumulation": 2},
    "lora": {"kind": "text", "method": "lora", "gradient_checkpointing": True},
    "lamda": {"kind": "text", "method": "lamda"},
    "images": {"kind": "images", "method": "c3a"},
    "words": {"kind": "words", "method": "c3a", "gradient_accumulation": 2},
}


@pytest.fixture(scope="module")
def ddp(launch):
    """Run all jobs, and then one in which both processes are killed in the second epoch."""
    killed = {"kind": "text", "method": "c3a", "until": 2, "kill": True}
    return launch(TORCHRUN, {**JOBS, "killed": killed}, code=1)


@pytest.fixture(scope="module")
def again(accelerated, ddp):
    """Run jobs by another launcher, in the folder with the records and checkpoints of the first one."""
    uneven = {"kind": "text", "method": "c3a", "batch_size": 15}
    jobs = {"c3a": JOBS["c3a"], "uneven": uneven, "killed": {"kind": "text", "method": "c3a"}}
    return accelerated(("--multi_gpu",), jobs, ddp["killed"].folder)


@pytest.mark.parametrize("name", JOBS)
def test_two_processes_train_as_one_does(ddp, alone, compare, name):
    result, recipe = alone(JOBS[name])
    compare(ddp[name], result, recipe)
    assert {kind for kind, _ in ddp[name].both[0]["steps"]} == {"DistributedDataParallel"}


def test_the_record_covers_both_processes(ddp):
    first, second = ddp["c3a"].both
    assert first["device"] == second["device"] == "CPU, 1 threads, 2 processes"
    assert first["peak_bytes"] > 2**20 or not Path("/proc/self/clear_refs").exists()
    recipe = ddp["c3a"].recipe
    written = results.read(results.path_of(recipe.name, recipe.output_dir))
    assert asdict(written) == {name: value for name, value in first.items() if name != "steps"}
    assert not list((Path(recipe.output_dir) / "checkpoints").iterdir())


def test_the_manifest_of_a_checkpoint_lists_the_files_of_both_processes(ddp):
    """Before any test that continues this run, which removes its checkpoints."""
    [folder] = (Path(ddp["killed"].recipe.output_dir) / "checkpoints").iterdir()
    listed = json.loads((folder / "checkpoint-6" / "manifest.json").read_text())["files"]
    assert {"rng_state_0.pth", "rng_state_1.pth", "optimizer.pt", "../baseline.json"} <= listed.keys()
    assert checkpoints.faults(folder / "checkpoint-6") == []
    for name in ("rng_state_1.pth", "../baseline.json"):
        path, content = folder / "checkpoint-6" / name, (folder / "checkpoint-6" / name).read_bytes()
        path.write_bytes(content[:-1])
        assert [fault.split()[0] for fault in checkpoints.faults(folder / "checkpoint-6")] == [name]
        path.write_bytes(content)


def test_both_processes_read_a_record(ddp, again):
    for before, after in zip(ddp["c3a"].both, again["c3a"].both, strict=True):
        assert after == {**before, "steps": []}


@LOADS_OPTIMIZERS
def test_killed_processes_continue_after_their_last_epoch(ddp, again, alone, compare):
    assert ddp["killed"].both == []
    result, recipe = alone(JOBS["c3a"])
    compare(again["killed"], result, recipe)
    assert [len(outcome["steps"]) for outcome in again["killed"].both] == [6, 6]  # of twelve


def test_a_batch_that_two_processes_cannot_share_raises_on_both(again):
    for outcome in again["uneven"].both:
        assert outcome["steps"] == [] and outcome["error"].startswith(
            "ValueError: batch_size=15 is the batch of all 2 proc"
        )
        assert outcome["error"].endswith(": 14, 16")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's list of a process's threads")
def test_the_threads_of_the_group_end_before_python_does(again):
    threads = [json.loads((again["c3a"].folder / f"threads.{rank}.json").read_text()) for rank in (0, 1)]
    assert all(found and "pt_gloo_runloop" not in found for found in threads)


@pytest.mark.full
def test_two_processes_share_the_command(made, environment, tmp_path):
    recipe = made("text", "c3a", tmp_path / "out")
    arguments = ["c3a", "--task", recipe.task, "--data-dir", recipe.data_dir, "--output-dir", recipe.output_dir]
    arguments += [
        word for name in ("model", "batch_size", "epochs") for word in ("--set", name, str(getattr(recipe, name)))
    ]
    command = [sys.executable, "-m", *TORCHRUN, "-m", "circpeft", "train", *arguments, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    scores, record, adapter = done.stdout.splitlines()  # of the first process only
    assert "validation accuracy" in scores
    assert results.read(Path(record.removeprefix("record: "))).device.endswith("2 processes")
    assert Path(adapter.removeprefix("adapter: "), "adapter_model.safetensors").exists()


@pytest.mark.parametrize(
    ("settings", "environment", "message"),
    [
        ({"batch_size": 3}, {}, "batch_size=3 is the batch of all 4 .* possible: 4"),
        ({"batch_size": 10}, {}, "the nearest possible: 8, 12"),
        ({}, {"VERSION": "1"}, "--fsdp_version 2"),
        ({}, {"VERSION": "2", "AUTO_WRAP_POLICY": "SIZE_BASED_WRAP"}, "TRANSFORMER_BASED_WRAP"),
        ({}, {"VERSION": "2", "ACTIVATION_CHECKPOINTING": "true"}, "gradient_checkpointing"),
        ({"quantization": "4bit"}, {"VERSION": "2"}, "leave quantization empty"),
        ({"method": "bitfit", "base_dtype": "bfloat16"}, {"VERSION": "2"}, "choose float32"),
    ],
)
def test_what_processes_cannot_share_raises(monkeypatch, settings, environment, message):
    monkeypatch.setattr(distributed, "state", lambda: SimpleNamespace(num_processes=4, distributed_type="MULTI_GPU"))
    for name, value in environment.items():
        monkeypatch.setenv(f"FSDP_{name}", value)
        monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    recipe = Recipe("sst2", **{"method": "c3a", **settings})
    with pytest.raises(ValueError, match=message):
        distributed.check(recipe)


def test_the_error_names_in_what_processes_differ(monkeypatch, tmp_path):
    distributed.check_same("data", "a")
    monkeypatch.setattr(distributed, "gather", lambda value: [value, "b"])
    with pytest.raises(ValueError, match="differ in data: a on process 0, b on process 1"):
        distributed.check_same("data", "a")
    here = SimpleNamespace(num_processes=2, is_main_process=True, wait_for_everyone=lambda: None)
    monkeypatch.setattr(distributed, "state", lambda: here)
    monkeypatch.setattr(distributed, "gather", lambda value: [value, False])
    with pytest.raises(ValueError, match="not seen by process 1; give an output_dir that all hosts share"):
        distributed.make_shared_folder(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
