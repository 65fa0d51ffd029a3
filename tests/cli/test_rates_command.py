"""The command `rates`: its output, its exit status, and its errors."""

import json

import pytest

from circpeft import cli, training
from circpeft.training import Trial


def test_a_suggestion_trains_nothing(capsys, monkeypatch):
    monkeypatch.setattr(training, "trial", lambda *a, **k: pytest.fail("something was trained"))
    assert cli.main(["rates", "minilm", "--method", "c3a:block_size=64", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rate"], found["head_rate"]) == (0.001, 0.0003) and {
        row["block_size"] for row in found["layers"]
    } == {64}
    assert cli.main(["rates", "roberta-base", "--lora-rate", "2e-4", "--set", "target_modules", "query"]) == 0
    assert "begin with 0.0002" in capsys.readouterr().out


@pytest.mark.parametrize("losses", [(0.5, 0.4, 0.6), (float("nan"),) * 4])
def test_a_search_prints_its_trials_and_saves_its_figure(capsys, monkeypatch, tmp_path, losses):
    left = list(losses)
    monkeypatch.setattr(training, "trial", lambda *a, **k: Trial(0.7, left.pop(0), ((1, 0.7),), 0.1))
    plot, folder = tmp_path / "rates.html", str(tmp_path / "out")
    command = ["rates", "--search", "--rates", "1e-3,3e-3,9e-3", "--plot", str(plot), "--quiet", "--output-dir", folder]
    command += ["--set", "max_train", "16", "--json"]
    assert cli.main(command) == (0 if losses[0] == 0.5 else 1)
    found = json.loads(capsys.readouterr().out)
    assert found["best"] == (3e-3 if losses[0] == 0.5 else None) and plot.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["minlm"], "did you mean 'minilm'"),
        (["--method", "c3b"], "unknown method 'c3b'; did you mean 'c3a'"),
        (["--method", "c3a:blok_size=8"], "did you mean 'block_size'"),
        (["--set", "epoch", "3"], "did you mean 'epochs'"),
        (["--rates", "1e-3,1e-2"], "--rates belongs to a search; add --search"),
        (["--search", "--rates", "1e-3,x"], "--rates takes numbers"),
        (["--search", "--rates", "1e-3,-1"], "above 0"),
        (["--search", "--rates", "1e-3"], "at least two different rates"),
        (["--search", "--steps", "5"], "steps must be an integer of at least 10, got 5"),
        (["--search", "--plot", "x.pdf"], "no figure has the suffix '.pdf'"),
        (["minilm", "--set", "model", "small-vit"], "the model is given twice"),
        (["--set", "learning_rate", "0.3"], "learning_rate=0.3 is given, but a suggestion does not use it"),
        (["--method", "c3a:learning_rate=0.3"], "add --search to compare rates around it"),
        (["--task", "entailmnt"], "did you mean 'entailment'"),
    ],
)
def test_wrong_arguments_are_exit_code_2(capsys, arguments, message):
    assert cli.main(["rates", *arguments]) == 2
    printed = capsys.readouterr().err
    assert message in printed and printed.startswith("circpeft rates: error: ") and printed.count("\n") == 1
