"""Grids in sweeps: the best on validation is chosen, and a sweep that is repeated continues."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from circpeft import cli, recipes, report, results, sweeps


@pytest.fixture
def grid(sweep_file, tmp_path):
    """Return a plan of two seeds with a grid of two rates."""
    file = sweep_file(["head"], seeds=2, epochs=1)
    overrides = {"head": {"learning_rate": [1e-5, 0.1]}}
    return recipes.plan_file(file, output_dir=tmp_path / "out", overrides=overrides)


@pytest.mark.parametrize(
    ("scores", "chosen"), [((0.3, 0.8), 1), ((0.8, 0.8), 0), ((None, 0.1), 1), ((None, None), None)]
)
def test_the_highest_validation_score_is_chosen_and_the_first_of_equal_ones(grid, monkeypatch, scores, chosen):
    [search] = grid.searches
    by_name = {cell.name: score for cell, score in zip(search.candidates, scores, strict=True)}
    monkeypatch.setattr(results, "read", lambda path: SimpleNamespace(score=by_name[path.stem]))
    number, entry = sweeps.search.best(search, [name for name, score in by_name.items() if score is not None])
    assert number == chosen and [row["score"] for row in entry["tried"]] == [*scores]
    assert entry["chosen"] == (None if chosen is None else search.values[chosen])


def test_the_best_on_validation_gets_the_other_seeds_and_a_repeated_sweep_trains_nothing(grid, in_this_process):
    outcome = sweeps.run_sweep(grid, progress=False)
    assert len(outcome.finished) == 2 + 1 and not outcome.failed
    [entry] = outcome.chosen
    scores = [row["score"] for row in entry["tried"]]
    assert entry["chosen"] == entry["tried"][scores.index(max(scores))]["values"]
    tried = [results.read(results.path_of(c.name, c.output_dir)) for c in grid.searches[0].candidates]
    assert [r.score for r in tried] == scores and {r.seed for r in tried} == {0}
    plan = json.loads((outcome.folder / "sweeps" / "mine.json").read_text())
    assert [(cell["seed"], cell["label"]) for cell in plan["cells"]] == [
        (seed, f"head:learning_rate={entry['chosen']['learning_rate']}") for seed in (0, 1)
    ]
    assert plan["grids"] == outcome.chosen and plan["cells"][0]["run"] in {row["run"] for row in entry["tried"]}
    assert report.scan(outcome.folder).sweeps[0].seeds == 2
    again = sweeps.run_sweep(grid, progress=False)
    assert (again.finished, len(again.skipped), again.chosen) == ([], 3, outcome.chosen)


def test_failed_candidates_are_left_out_of_the_choice(sweep_file, in_this_process, tmp_path):
    file = sweep_file(["c3a"], epochs=1)
    overrides = {"c3a": {"block_size": [7, 8]}}
    outcome = sweeps.run_sweep(recipes.plan_file(file, output_dir=tmp_path / "out", overrides=overrides))
    [entry] = outcome.chosen
    assert entry["chosen"] == {"block_size": 8} and len(outcome.failed) == len(outcome.finished) == 1
    assert sweeps.search.described(entry).startswith("c3a | sst2 | chosen: block_size=8 (validation 0.")
    assert sweeps.search.described(entry).endswith("; best of 1, and 1 failed)")


def test_a_grid_needs_a_validation_split(sweep_file, data, tmp_path):
    for split in ("train", "test"):
        (tmp_path / "two" / "sst2").mkdir(parents=True, exist_ok=True)
        (tmp_path / "two" / "sst2" / f"{split}.jsonl").write_bytes(Path(data, "sst2", f"{split}.jsonl").read_bytes())
    file = sweep_file(["head"], tested_epoch="last", hold_out=False)
    options = {"data": tmp_path / "two", "output_dir": tmp_path / "out"}
    plan = recipes.plan_file(file, overrides={"head": {"learning_rate": [0.1, 0.01]}}, **options)
    message = (
        "row 'head', column 'sst2': a grid is chosen on validation, and task 'sst2' has no validation split with "
        "hold_out=False; set hold_out=True, .* or give one value of learning_rate"
    )
    with pytest.raises(sweeps.SweepError, match=message):
        sweeps.run_sweep(plan)
    assert not (tmp_path / "out" / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--override", "LoRa", "alpha", "8"], "an override is for the unknown row 'LoRa'; did you mean 'LoRA'?"),
        (["--grid", "LoRA", "alpah", "8,16"], "'alpah' is neither a hyperparameter of 'lora' nor a setting; did you"),
        (["--grid", "LoRA", "alpha", "8,8"], "row 'LoRA': alpha has 8 twice"),
        (["--grid", "LoRA", "epochs", "1,x"], "epochs must be an integer of at least 1, got 'x'"),
        (["--grid", "LoRA", "r", "8,16", "--override", "LoRA", "r", "8"], "r of row 'LoRA' is given twice; keep one"),
    ],
)
def test_wrong_usage_is_named(arguments, message, capsys):
    assert cli.main(["sweep", "cdvft-1", "--profile", "smoke", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_train_takes_one_value_for_a_row_of_a_table(capsys):
    cell = ["train", "--table", "cdvft-1", "--row", "LoRA", "--profile", "smoke"]
    assert cli.main([*cell, "--grid", "LoRA", "r", "4,8"]) == 2
    assert "a grid is several runs: use `circpeft sweep`" in capsys.readouterr().err
    assert cli.main([*cell, "--override", "LoRA", "rank", "4"]) == 2
    assert "'rank' is neither a hyperparameter of 'lora' nor a setting" in capsys.readouterr().err
    assert cli.main(["train", "lora", "--override", "LoRA", "r", "4"]) == 2
    assert "--override is for a row of a table" in capsys.readouterr().err
