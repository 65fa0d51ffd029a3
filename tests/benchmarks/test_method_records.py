"""Records of sweeps over all methods: which fields are kept, which record is replaced, and their table."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from circpeft import results


@pytest.fixture
def benchmark(load_benchmark):
    return load_benchmark("methods")


@pytest.fixture
def run(benchmark):
    """Return a run of LoRA as a sweep writes it, with its data folder and its long parts."""
    kept = json.loads((benchmark.RECORDS / "rte-lora-s0.json").read_text(encoding="utf-8"))
    kept = {name: value for name, value in kept.items() if name != "data_name"}
    settings = {**kept.pop("settings"), "data_dir": "/home/somebody/held_out"}
    long = {
        "losses": [{"step": 1, "epoch": 0.5, "loss": 0.5}],
        "spectra": {"q": [1.0]},
        "predictions": [0],
        "start_predictions": [1],
    }
    return results.Result(settings=settings, **{**kept, **long})


def sweep(folder: Path, *runs: results.Result) -> str:
    for run in runs:
        results.write(run, results.path_of(f"held_out-{run.label}-s{run.seed}", folder))
    return str(folder)


def test_a_record_is_kept_without_its_long_parts_and_its_data_folder(benchmark, run, tmp_path):
    benchmark.main([sweep(tmp_path / "sweep", run)], records=tmp_path / "methods")
    [path] = (tmp_path / "methods").glob("*")
    text = path.read_text(encoding="utf-8")
    assert path.name == "held_out-lora-s0.json" and "somebody" not in text
    row = json.loads(text)
    assert row["data_name"] == "held_out" and row["test_score"] == run.test_score and row["epochs"] == run.epochs
    assert not row.keys() & set(benchmark.LONG_FIELDS)


def test_a_run_replaces_the_one_of_the_same_method_and_seed(benchmark, run, tmp_path):
    records = tmp_path / "methods"
    label = "c3a:block_size=64"
    other = replace(run, method="c3a", label=label, test_score=0.25, settings={**run.settings, "learning_rate": 0.5})
    benchmark.main([sweep(tmp_path / "first", run, replace(run, seed=1, test_score=0.5), other)], records=records)
    table = benchmark.main([sweep(tmp_path / "second", replace(run, test_score=0.75))], records=records)
    assert sorted(path.name for path in records.glob("*")) == [
        "held_out-c3a-block_size-64-s0.json",
        "held_out-lora-s0.json",
        "held_out-lora-s1.json",
    ]
    lines = table.read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("| lora | 0.625 (0.500 to 0.750, 2 seeds) |") for line in lines)
    assert any(line.startswith(f"| {label} | 0.250* |") for line in lines)  # not at its default rate


def test_data_can_be_named_for_another_device(benchmark, run, tmp_path):
    records = tmp_path / "methods"
    benchmark.main([sweep(tmp_path / "cpu", run)], records=records)
    gpu_sweep = sweep(tmp_path / "gpu", replace(run, device="NVIDIA H100"))
    table = benchmark.main([gpu_sweep, "--name", "held_out_gpu"], records=records).read_text(encoding="utf-8")
    assert "| method | held_out | held_out_gpu |" in table and len([*records.glob("*")]) == 2


def test_a_folder_without_records_raises(benchmark, run, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit):
        benchmark.main([str(tmp_path / "empty")], records=tmp_path / "methods")
    assert "empty holds no records: give the output folder of a sweep" in capsys.readouterr().err
    assert not (tmp_path / "methods.md").exists()
