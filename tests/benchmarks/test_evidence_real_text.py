"""The part on real text: its plan, its differences from records that no run made, and what happens without data."""

import pytest


@pytest.fixture(scope="module")
def benchmark(load_benchmark):
    return load_benchmark("evidence_real_text")


@pytest.fixture(scope="module")
def claims(load_benchmark):
    return load_benchmark("evidence_real_text_claims")


@pytest.fixture
def data(tmp_path):
    for task in ("gsm8k", "viggo", "mrpc"):
        (tmp_path / "data" / task).mkdir(parents=True)
    return tmp_path / "data"


def row(method: str, answers: list[int], task: str = "viggo", start: float = 0.0, seed: int = 0) -> dict:
    example = {"question": "Which game?", "reference": "request()", "before": "a\nb" * 200, "after": "request()"}
    return {
        "task": task,
        "method": method,
        "seed": seed,
        "run": f"{task}-{method}-{seed}",
        "right": answers,
        "start_score": start,
        "test_score": sum(answers) / len(answers),
        "trainable_parameters": 1234,
        "learning_rate": 3e-3,
        "seconds": 600.0,
        "peak_bytes": 3 * 2**30,
        "split_rows": {"train": 1000, "validation": len(answers), "test": len(answers)},
        "device": "CPU, 2 threads",
        "versions": {"torch": "2.13.0"},
        "example": example,
    }


def test_every_data_folder_that_is_there_gets_every_method(benchmark, data, monkeypatch):
    monkeypatch.setattr(benchmark, "installed", lambda: True)
    monkeypatch.setattr(benchmark.torch.cuda, "is_available", lambda: False)
    cells = benchmark.planned(benchmark.Options(folder=data, data=data))
    assert [(c.recipe.task, c.place["method"]) for c in cells] == [
        (task, method) for method in benchmark.RATES for task in ("viggo", "gsm8k")
    ]
    assert all(c.recipe.max_train == 1000 and c.recipe.model == "smollm2" and c.recipe.seed == 0 for c in cells)
    whole = {c.place["method"]: c.recipe.batch_size * c.recipe.gradient_accumulation for c in cells}
    assert len(set(whole.values())) == 1  # rows in a step


def test_a_gpu_gets_all_seeds(benchmark, data, monkeypatch):
    monkeypatch.setattr(benchmark, "installed", lambda: True)
    monkeypatch.setattr(benchmark.torch.cuda, "is_available", lambda: True)
    cells = benchmark.planned(benchmark.Options(folder=data, data=data, seeds=3))
    assert {c.recipe.seed for c in cells} == {0, 1, 2}


def test_without_data_the_option_is_named_and_earlier_rows_stay(benchmark, tmp_path, capsys):
    earlier = {"part": "real_text", "planned": 1, "rows": [row("lora", [1, 0])]}
    record = benchmark.run("real_text", benchmark.Options(folder=tmp_path), earlier)
    assert record == earlier and "--data" in capsys.readouterr().err


def test_runs_on_record_are_kept_and_not_made_again(benchmark, data, monkeypatch):
    monkeypatch.setattr(benchmark, "installed", lambda: True)
    monkeypatch.setattr(benchmark.torch.cuda, "is_available", lambda: False)
    options = benchmark.Options(folder=data, data=data)
    names = [benchmark.name_of(cell) for cell in benchmark.planned(options)]
    earlier = {"rows": [{**row("lora", [1, 0]), "run": name} for name in names[1:]]}
    trained = []
    monkeypatch.setattr(benchmark.evidence_training, "train", lambda part, new, *_: trained.extend(new))
    record = benchmark.run("real_text", benchmark.replace(options, kept=frozenset(names[1:])), earlier)
    assert [benchmark.name_of(cell) for cell in trained] == names[:1]
    assert record == {"part": "real_text", "planned": len(names), "rows": earlier["rows"]}


def test_a_folder_without_a_known_task_is_refused(benchmark, tmp_path):
    with pytest.raises(ValueError, match="has no folder named viggo, gsm8k, sql"):
        benchmark.planned(benchmark.Options(folder=tmp_path, data=tmp_path))


def test_methods_are_compared_with_lora_row_by_row(claims):
    answers = [1, 0] * 50
    better = [1, 1, *answers[2:]]  # one answer more: no evidence
    much = [1] * 90 + [0] * 10
    record = {"planned": 3, "rows": [row("lora", answers), row("cdvft", better), row("full", much)]}
    full, lora, cdvft = claims.comparisons(record).rows
    assert lora == ("ViGGO", "LoRA, r = 8", "**+0.500 (0.050)**", "")
    assert full[2:] == ("**+0.900 (0.030)**", "**+0.400 (0.059)**") and cdvft[3] == "+0.010 (0.010)"


def test_no_right_answer_before_and_after_is_not_called_a_difference(claims):
    [line] = claims.comparisons({"planned": 1, "rows": [row("lora", [0, 0])]}).rows
    assert line[2] == "+0.000 (0.000)"


def test_the_page_has_a_line_for_each_method_and_an_example(claims):
    text = claims.page_text({"planned": 2, "rows": [row("lora", [1, 0, 0]), row("cdvft", [1, 1, 0])]})
    assert "| ViGGO | CDVFT | 1,234 | 0.003 | 0.000 (0.000) | 0.667 (0.333) | 1 | 10 | 3.2 |" in text
    before = next(line for line in text.splitlines() if line.startswith("before"))
    assert before.endswith("...") and "a ba b" in before
    assert "the first test question of viggo, and its answers (cdvft):" in text.lower()


def test_answers_of_several_seeds_are_averaged_for_each_row(claims):
    rows = [row("lora", [1, 0], seed=0), row("lora", [1, 1], seed=1)]
    assert claims.after(rows).mean == 0.75 and claims.after(rows).count == 2
    assert len(claims.figure({"rows": rows}).data) == 2
