"""The measurement of training memory, on one layer: every row is measured once, or records its error."""

import json

import pytest


@pytest.fixture(scope="module")
def benchmark(load_benchmark):
    return load_benchmark("training_memory")


def test_the_rows_cover_the_tables(benchmark):
    labels = {model: [cell.label for cell in benchmark.rows_of(model)] for model in benchmark.MODELS}
    assert all(len(names) >= 5 for names in labels.values())
    assert {"full", "bitfit", "ia3", "c3a:block_size=768", "c3a:block_size=128"} <= set(labels["roberta-base"])
    assert "lamda:r=32" in labels["llama2-7b"] and "cdvft:block_size=768" in labels["vit-base"]


def test_a_row_is_measured_once(benchmark, tmp_path, capsys):
    small = ["--models", "vit-base", "--layers", "1", "--batch", "2", "--steps", "1", "--device", "cpu"]
    path = benchmark.main([*small, "--methods", "lora,c3a"], tmp_path)
    record = json.loads(path.read_text())
    assert {row["label"] for row in record["rows"]} == {"lora:r=16", "c3a:block_size=64"} and all(
        row["device"] for row in record["rows"]
    )
    counts = {row["label"]: row["trainable_parameters"] for row in record["rows"]}
    head = 2 * (768 + 1)
    assert counts["lora:r=16"] == 2 * 2 * 768 * 16 + head and counts["c3a:block_size=64"] == 2 * 768 * 12 + head
    assert all(row["peak_bytes"] > 0 and row["tokens_per_second"] > 0 for row in record["rows"])
    assert all(row["printed_gb"] == "" for row in record["rows"])  # nothing is printed for other sizes
    assert not path.with_suffix(".md").exists() and not any(map(benchmark.full_size, record["rows"]))
    first_write = path.stat().st_mtime_ns
    benchmark.main([*small, "--methods", "lora,c3a"], tmp_path)
    assert path.stat().st_mtime_ns == first_write


def test_the_page_is_that_of_the_record_with_its_rows_of_removed_backends(benchmark):
    path = benchmark.RECORDS / "training_memory_cuda.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert {"dft", "triton"} <= {row["backend"] for row in rows}.difference(benchmark.choices())
    page = benchmark.markdown(rows)
    assert page == path.with_suffix(".md").read_text(encoding="utf-8")
    assert "`dft`, now removed, " in page and "| triton |" in page and "leaf" not in page


def test_the_error_of_a_method_that_peft_cannot_build_is_recorded(benchmark, tmp_path):
    small = ["--models", "roberta-base", "--layers", "1", "--batch", "1", "--tokens", "8", "--steps", "1"]
    path = benchmark.main([*small, "--device", "cpu", "--methods", "boft"], tmp_path)
    [row] = json.loads(path.read_text())["rows"]
    assert ("error" in row and "compiled CUDA extension" in row["error"]) or row["peak_bytes"] > 0
    benchmark.main([*small, "--device", "cpu", "--methods", "boft"], tmp_path)  # measured again, but recorded once
    assert len(json.loads(path.read_text())["rows"]) == 1


def test_a_trial_stays_out_of_the_records(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark.results, "default_folder", lambda name: tmp_path / name)
    small = ["--models", "vit-base", "--layers", "1", "--batch", "1", "--steps", "1", "--device", "cpu"]
    path = benchmark.main([*small, "--methods", "head", "--backends", "auto,leaf"])
    assert path == tmp_path / "training_memory" / "training_memory_cpu.json"
    assert [row["backend"] for row in json.loads(path.read_text())["rows"]] == [
        "auto"
    ]  # only our methods have other backends


def test_the_cpu_of_a_machine_with_a_gpu_is_not_measured(benchmark, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark.torch.cuda, "is_available", lambda: True)
    with pytest.raises(SystemExit):
        benchmark.main(["--device", "cpu"], tmp_path)
    assert "CUDA_VISIBLE_DEVICES=" in capsys.readouterr().err
