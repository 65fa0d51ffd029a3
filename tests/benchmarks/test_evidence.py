"""The plan, the estimate, the resumption and the page of benchmarks/evidence.py, with records that no run made."""

import json
import re
from dataclasses import replace

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageClassification, AutoModelForSequenceClassification

from circpeft import models, results, sweeps

PARTS = {"block_size": 60, "num_factors": 18, "scarce_data": 60, "wrong_gradient": 72}


@pytest.fixture(scope="module")
def evidence(load_benchmark):
    return load_benchmark("evidence")


@pytest.fixture(scope="module")
def training(load_benchmark):
    return load_benchmark("evidence_training")


@pytest.fixture(scope="module")
def plan(load_benchmark):
    return load_benchmark("evidence_cells")


def write_record(recipe, score=0.5, **fields):
    """Write the record of a run that was not made."""
    numbers = {"trainable_parameters": 10, "head_parameters": 0, "seconds": 1.0, "tokens_per_second": 1.0}
    numbers |= {"flops_per_token": 1.0, "base_flops_per_token": 1.0, "peak_bytes": 1, "best_epoch": 1}
    where = {"device": "CPU, 1 threads", "versions": {"torch": "2"}, "commit": "0", "data": "0"}
    scores = {"metric": "accuracy", "score": score, "test_score": score, "start_score": 0.0}
    names = {"task": recipe.task, "method": recipe.method, "label": recipe.label, "seed": recipe.seed, "split": ""}
    names |= {"rows": {"train": 10, "test": 20}, "settings": recipe.settings, "finished": "", "code": "old"}
    epochs = [{"epoch": 1, "score": score, "loss": 1.0}]
    made = {**names, **numbers, **where, **scores, "epochs": epochs, "code": results.code_version(), **fields}
    results.write(results.Result(**made), results.path_of(recipe.name, recipe.output_dir))


@pytest.mark.parametrize("part", PARTS)
def test_the_plan_has_every_cell_with_every_seed_in_the_order_of_the_seeds(plan, training, part, tmp_path):
    cells = plan.planned(part, tmp_path, 3)
    assert len(cells) == len(training.unique(cells)) == PARTS[part]
    assert [cell.recipe.seed for cell in cells] == sorted(cell.recipe.seed for cell in cells)
    places = [json.dumps(cell.place, sort_keys=True) for cell in cells]
    assert len(set(places)) == len(cells) // 3
    assert {cell.recipe.output_dir for cell in cells} == {str(tmp_path)}


def test_rates_are_fixed_and_the_same_for_lora_c3a_and_cdvft(plan, tmp_path):
    for part in ("block_size", "num_factors", "scarce_data"):
        for cell in plan.planned(part, tmp_path, 1):
            expected = plan.RATES[cell.recipe.task] if cell.recipe.method != "full" else 1e-3
            assert cell.recipe.rates[0] == expected
            assert "alpha" not in cell.recipe.hyperparameters


def test_both_c3as_of_a_setting_differ_in_their_method_only(plan, tmp_path):
    cells = plan.planned("wrong_gradient", tmp_path, 1)
    for ours, pefts in zip(cells[::2], cells[1::2], strict=True):
        assert ours.recipe.hyperparameters == {**pefts.recipe.hyperparameters, "alpha": "paper"}
        fields = {"method": "", "hyperparameters": {}, "row": ""}
        assert replace(ours.recipe, **fields) == replace(pefts.recipe, **fields)
        assert {**ours.place, "method": "c3a-peft"} == {**pefts.place, "alpha": "paper"}


@pytest.mark.parametrize("task", ["entailment", "digits"])
def test_the_depth_counts_adapted_layers_from_the_last(plan, task):
    kind = {"entailment": AutoModelForSequenceClassification, "digits": AutoModelForImageClassification}[task]
    with torch.device("meta"):
        model = kind.from_config(AutoConfig.from_pretrained(models.resolve(plan.MODELS[task])))
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    for depth in range(1, plan.LAYERS[task] + 1):
        pattern = plan.upper_layers(task, depth)
        matched = [name for name, _ in model.named_modules() if re.fullmatch(pattern, name)]
        assert len(matched) == 6 * depth and set(matched) <= set(linear)
        numbers = {int(re.search(r"layers?\.(\d+)", name)[1]) for name in matched}
        assert numbers == set(range(plan.LAYERS[task] - depth, plan.LAYERS[task]))


def test_every_run_on_scarce_data_takes_about_the_same_number_of_steps(plan):
    steps = [plan.scarce_epochs(rows) * -(-rows // plan.BATCH) for rows in plan.SCARCE]
    assert max(steps) / min(steps) < 1.05


def test_the_estimate_counts_only_what_is_missing(plan, training, tmp_path):
    options = training.Options(folder=tmp_path)
    runs, missing, minutes = training.counts("num_factors", options)
    assert (runs, missing) == (18, 18) and minutes > 5
    cells = plan.planned("num_factors", tmp_path, 3)
    write_record(cells[0].recipe)
    write_record(cells[1].recipe, code="of an earlier version")
    assert training.counts("num_factors", options)[:2] == (18, 17)
    assert training.counts("num_factors", options)[2] < minutes
    assert training.counts("num_factors", replace(options, workers=1))[2] == pytest.approx(
        2 * training.counts("num_factors", options)[2]
    )


def test_all_parts_that_train_fit_into_two_hours_and_a_quarter(training, tmp_path):
    assert sum(training.counts(part, training.Options(folder=tmp_path))[2] for part in PARTS) <= 135


def test_more_epochs_rows_and_layers_and_a_slower_method_take_longer(plan, training, tmp_path):
    speeds = training.recorded_speeds()
    one_layer = plan.planned("wrong_gradient", tmp_path, 1)[0]
    cell = replace(one_layer, place={**one_layer.place, "depth": 6})

    def seconds(cell, **fields):
        return training.seconds_of(replace(cell, recipe=replace(cell.recipe, **fields)), speeds)

    assert seconds(one_layer) < 0.6 * seconds(cell)
    assert seconds(cell, epochs=2) > 1.5 * seconds(cell)
    assert seconds(cell, max_train=2000) < seconds(cell)
    assert seconds(cell, method="c3a-peft") > 2 * seconds(cell)


def test_a_repeated_command_runs_only_what_is_missing_and_keeps_the_order(plan, training, tmp_path, monkeypatch):
    cells = plan.planned("num_factors", tmp_path, 3)
    for number, cell in enumerate(cells[:5]):
        write_record(cell.recipe, score=number / 10)
    ran = []

    def run_sweep(planned, workers, on_end):
        outcome = sweeps.Outcome(tmp_path)
        for recipe in planned.cells:
            if not results.path_of(recipe.name, recipe.output_dir).exists():
                ran.append(recipe.name)
                write_record(recipe, score=0.9)
                on_end(sweeps.Done(recipe.name, "finished"), recipe)
        return outcome

    monkeypatch.setattr(training.sweeps, "run_sweep", run_sweep)
    with_limit = training.run("num_factors", training.Options(folder=tmp_path, minutes=0))
    assert len(ran) == 1 and len(with_limit["rows"]) == 6  # stopped after the first
    record = training.run("num_factors", training.Options(folder=tmp_path), with_limit)
    assert ran == [cell.recipe.name for cell in cells[5:]]
    assert [row["run"] for row in record["rows"]] == [cell.recipe.name for cell in cells]
    assert [row["test_score"] for row in record["rows"][:6]] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.9]
    assert record["planned"] == 18 and record["devices"] == ["CPU, 1 threads"]


def test_runs_that_a_record_has_are_kept_and_not_made_again(evidence, plan, training, tmp_path, monkeypatch):
    cells = plan.planned("num_factors", tmp_path, 1)
    write_record(cells[0].recipe)
    record = training.record_of("num_factors", cells, training.rows_of(cells), None)
    monkeypatch.setattr(evidence, "RECORDS", tmp_path)
    (tmp_path / "num_factors.json").write_text(json.dumps(record))
    kept = evidence.names_on_record(evidence.chosen_parts("b,c"))
    assert kept == {cells[0].recipe.name}
    elsewhere = training.Options(folder=tmp_path / "elsewhere", seeds=1, kept=kept)
    trained = []
    monkeypatch.setattr(training, "train", lambda part, new, options: trained.extend(new))
    after = training.run("num_factors", elsewhere, record)
    assert [cell.recipe.name for cell in trained] == [cell.recipe.name for cell in cells[1:]]
    assert after["rows"] == record["rows"]
    assert training.counts("num_factors", elsewhere)[:2] == (len(cells), len(cells) - 1)


def test_an_earlier_record_keeps_its_rows_unless_the_plan_or_the_run_is_new(plan, training, tmp_path):
    cells = plan.planned("num_factors", tmp_path, 1)
    for cell in cells[:2]:
        write_record(cell.recipe)
    rows = training.rows_of(cells)
    earlier = {"rows": [{**rows[0], "test_score": 0.1}, {**rows[1], "run": "of another plan"}]}
    record = training.record_of("num_factors", cells, rows[1:], earlier)
    assert [(row["run"], row["test_score"]) for row in record["rows"]] == [
        (cells[0].recipe.name, 0.1),
        (cells[1].recipe.name, 0.5),
    ]


@pytest.mark.parametrize("name", PARTS)
def test_a_record_makes_tables_notes_and_a_picture(evidence, plan, training, name, tmp_path):
    cells = plan.planned(name, tmp_path, 3)
    for number, cell in enumerate(cells[:-1]):
        write_record(cell.recipe, score=0.5 + number / 1000)
    record = json.loads(json.dumps(training.record_of(name, cells, training.rows_of(cells), None)))
    part = next(part for part in evidence.PARTS.values() if part.name == name)
    text = evidence.part_text(part, record)
    assert f"{len(cells) - 1} of {len(cells)} runs so far" in text and "CPU, 1 thread; torch 2." in text
    found = part.code.comparisons(record)
    assert all(f"- {note}" in text for note in found.notes)
    assert all(f"| {' | '.join(cells)} |" in text for cells in found.rows)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len(tables) > 3 and re.search(r"\| 0\.\d{3} \(0\.\d{3}\) \|", text)
    assert len(part.code.figure(record).data) > 0


def test_parts_are_chosen_by_letter_in_their_own_order(evidence):
    assert [part.letter for part in evidence.chosen_parts("f, a")] == ["a", "f"]
    assert evidence.chosen_parts("") == list(evidence.PARTS.values())
    with pytest.raises(ValueError, match="unknown part 'z'"):
        evidence.chosen_parts("z")


def test_the_page_says_what_the_records_say(evidence):
    for part in evidence.PARTS.values():
        assert part.on_page.read() == evidence.part_text(part, evidence.read_record(part.record_path)), part.name


def test_a_tiny_run_is_made_once(evidence, training, tmp_path, capsys):
    """One real cell: the second command reads its record."""
    arguments = ["--smoke", "--only", "b", "--workers", "1", "--to", str(tmp_path)]
    evidence.main(arguments)
    made = sorted((tmp_path / "results").glob("*.json"))
    times = [path.stat().st_mtime_ns for path in made]
    assert len(made) == 2 and "b. How many factors does CDVFT need?" in capsys.readouterr().out
    evidence.main(arguments)
    assert [path.stat().st_mtime_ns for path in made] == times
    assert "2 runs, 0 to do" in capsys.readouterr().err
