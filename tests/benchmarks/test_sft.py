"""A run of SFTTrainer changes only the adapter and the rate, and is repeated neither by the script nor in the table."""

import json

import pytest

pytest.importorskip("trl")


@pytest.fixture(scope="module")
def benchmark(load_benchmark):
    return load_benchmark("sft")


def row(method: str, rate: float, seed: int, score: float, loss: float) -> dict:
    setting = {"method": method, "learning_rate": rate, "seed": seed, "max_steps": -1, "float32": True}
    values = {"exact_match": score, "eval_loss": loss, "trainable_parameters": 1000, "steps": 750, "batch_size": 8}
    return {**setting, **values, "trl": "1", "device": "CPU, 1 threads", "versions": {"torch": "2"}}


def test_the_table_has_the_scores_of_every_seed_and_the_mean_loss(benchmark):
    rows = [row("c3a", 2e-5, 0, 0.1, 1.0), row("c3a", 1e-2, 0, 0.5, 0.4), row("c3a", 1e-2, 1, 0.7, 0.2)]
    text = benchmark.part_text([*rows, row("cdvft", 1e-2, 0, 0.9, 0.3)])
    assert "| method | parameters | 2e-05, TRL's default | 0.01 |" in text
    assert "| c3a | 1,000 | 0.100 (loss 1.000) | 0.500, 0.700 (loss 0.300) |" in text
    assert "| cdvft | 1,000 |  | 0.900 (loss 0.300) |" in text


def test_runs_of_few_steps_stay_out_of_the_record(benchmark, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--max-steps", "5"])
    assert "give --record FILE" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_run_is_recorded_once(benchmark, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "FOLDER", tmp_path)
    monkeypatch.setattr(
        benchmark, "write_answers", lambda model, tokenizer, prompts, *_, **__: ["#### 1"] * len(prompts)
    )
    record = tmp_path / "sft.json"
    command = ["--methods", "c3a", "--rates", "1e-2", "--seeds", "0", "--max-steps", "2", "--float32"]
    benchmark.main([*command, "--record", str(record)])
    [only] = json.loads(record.read_text(encoding="utf-8"))
    assert only["steps"] == 2 and only["batch_size"] == 8 and only["learning_rate"] == 1e-2
    assert 0 < only["exact_match"] < 0.1 and only["eval_loss"] > 0
    monkeypatch.setattr(benchmark, "train_and_score", None)  # a second run would call it
    benchmark.main([*command, "--record", str(record)])
    assert "1 runs, 1 of them on record" in capsys.readouterr().out


def test_the_first_rate_is_that_of_sftconfig(benchmark, tmp_path):
    import trl

    assert trl.SFTConfig(output_dir=str(tmp_path), use_cpu=True).learning_rate == benchmark.RATES[0]


def test_the_page_has_the_table_of_the_record(benchmark):
    if not benchmark.RECORD.exists():
        pytest.skip("nothing is recorded yet")
    record = json.loads(benchmark.RECORD.read_text(encoding="utf-8"))
    assert benchmark.PART.read() == benchmark.part_text(record)
