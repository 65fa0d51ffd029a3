"""MT-Bench inside a sweep: a judge fills the column of CDVFT Table 3, and nothing is asked twice."""

import json

import pytest

from circpeft import cli, recipes, report, results, sweeps, training
from circpeft.results import Result
from circpeft.sweeps import Judge, judged

COLUMN = "word_problems for MT-Bench Score"


def record_of(cell: recipes.CellRecipe, finished: str = "2026-01-02") -> Result:
    """Return a record of a run that was not made."""
    numbers = dict.fromkeys(("score", "test_score", "start_score", "seconds", "tokens_per_second"), 0.5)
    numbers |= dict.fromkeys(("best_epoch", "trainable_parameters", "head_parameters", "peak_bytes"), 1)
    numbers |= {"flops_per_token": 1.0, "base_flops_per_token": 1.0}
    texts = {"metric": "exact_match", "split": "", "device": "", "commit": "", "data": "", "finished": finished}
    own = {name: getattr(cell, name) for name in ("task", "method", "label", "seed", "settings")}
    return Result(**own, **numbers, **texts, rows={}, versions={}, code=results.code_version())


@pytest.fixture
def plan(tmp_path, monkeypatch, model, tokenizer):
    """Return a plan of `cdvft-3` whose runs are all on record. A tiny model stands in for their trained models."""
    planned = recipes.plan_table("cdvft-3", "smoke", rows=["LoRA", "VeRA"], output_dir=tmp_path)
    for cell in planned.cells:
        results.write(record_of(cell), results.path_of(cell.name, cell.output_dir))
    names = [cell.name for cell in planned.cells]
    monkeypatch.setattr(sweeps, "not_on_record", lambda recipes: ([], names))
    monkeypatch.setattr(training, "load_trained", lambda recipe: (model, tokenizer))
    return planned


@pytest.fixture
def judge(server, QUESTIONS, KEY, tmp_path, write_lines, monkeypatch) -> Judge:
    """Return a judge of one question at the server."""
    monkeypatch.setenv("JUDGE_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    question = {"question_id": 111, "category": "math", "turns": list(QUESTIONS[1].turns)}
    file = write_lines(tmp_path / "question.jsonl", [question])
    return Judge(server.endpoint, "tiny-judge", "JUDGE_KEY", str(file), max_new_tokens=4)


def test_the_judge_fills_the_column(plan, judge, server, tmp_path):
    server.says("Rating: [[4]]", "Rating: [[7]]")
    outcome = sweeps.run_sweep(plan, judge=judge, progress=False)
    column = [cell for cell in plan.cells if cell.column == COLUMN]
    assert [cell.row for cell in column] == ["LoRA", "VeRA"] and not outcome.not_judged
    assert outcome.judged == {cell.name: 5.5 for cell in column} and len(server.asked) == 4
    assert {(asked["model"], asked["key"]) for asked in server.asked} == {("tiny-judge", "Bearer sk-secret-0123456789")}
    assert json.loads(sweeps.summary(outcome))["judged"] == outcome.judged
    frame = report.compared(report.scan(tmp_path), "cdvft-3")
    cells = frame.set_index(["row", "column"])
    assert cells.loc[("LoRA", COLUMN)].ours == 5.5 and cells.loc[("LoRA", COLUMN)].metric == "mt_bench"
    assert "graded by tiny-judge" in cells.loc[("LoRA", COLUMN)].reason
    assert cells.loc[("LoRA", "word_problems for GSM8K Acc.")].ours == 50
    sweeps.run_sweep(plan, judge=judge, progress=False)
    assert len(server.asked) == 4  # the answers and the judgments are kept


def test_a_run_that_is_made_again_answers_again(plan, judge, server, tmp_path):
    server.says("Rating: [[4]]")
    [cell] = [cell for cell in plan.cells if cell.row == "VeRA"]
    sweeps.run_sweep(plan, judge=judge, progress=False)
    before = len(server.asked)
    results.write(record_of(cell, "2026-01-03"), results.path_of(cell.name, cell.output_dir))
    run = {run.name: run for run in report.scan(tmp_path).runs}[cell.name]
    assert run.mt_bench is None  # the score is that of the earlier weights
    sweeps.run_sweep(plan, judge=judge, progress=False)
    assert len(server.asked) == before + 2
    run = {run.name: run for run in report.scan(tmp_path).runs}[cell.name]
    assert (run.mt_bench, run.judge) == (4, "tiny-judge")


def test_a_run_without_weights_fails_and_the_others_continue(plan, judge, server, monkeypatch, model, tokenizer):
    def load_trained(recipe):
        if recipe.row == "LoRA":
            raise FileNotFoundError("the weights are not here")
        return model, tokenizer

    monkeypatch.setattr(training, "load_trained", load_trained)
    server.says("Rating: [[4]]")
    outcome = sweeps.run_sweep(plan, judge=judge, progress=False)
    assert list(outcome.not_judged.values()) == ["the weights are not here"] and len(outcome.judged) == 1


def test_a_refused_key_ends_the_judging(plan, judge, server):
    server.says((401, "no"))
    outcome = sweeps.run_sweep(plan, judge=judge, progress=False)
    [error] = set(outcome.not_judged.values())
    assert len(outcome.not_judged) == 2  # so each run has the reason
    assert not outcome.judged and "JUDGE_KEY" in error and len(server.asked) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"endpoint": "localhost"}, "endpoint 'localhost' must begin with http"),
        ({"api_key_env": "NOT_SET_HERE"}, "the environment variable NOT_SET_HERE is not set"),
        ({"questions": "nowhere.jsonl"}, "nowhere.jsonl"),
    ],
)
def test_a_judge_that_cannot_be_asked_is_named_before_anything_runs(plan, judge, changes, message):
    values = {**vars(judge), **changes}
    with pytest.raises(sweeps.SweepError, match=message):
        sweeps.run_sweep(plan, judge=Judge(**values), progress=False)


def test_a_plan_without_a_column_for_the_judge(judge, tmp_path):
    other = recipes.plan_table("cdvft-3", "smoke", columns=["word_problems for GSM8K Acc."], output_dir=tmp_path)
    with pytest.raises(sweeps.SweepError, match="cdvft-3 has no column for it; leave the judge out, or run cdvft-3"):
        judged.check(other, judge)


def test_the_command_takes_a_judge(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    command = ["sweep", "cdvft-3", "--profile", "smoke", "--output-dir", str(tmp_path), "--quiet"]
    assert cli.main([*command, "--judge", "http://127.0.0.1:1/v1"]) == 2
    assert "the environment variable OPENAI_API_KEY is not set" in capsys.readouterr().err
