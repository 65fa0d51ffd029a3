"""A search: trials that differ only in the rate, kept in files."""

import json
import math
from pathlib import Path

import pytest

from circpeft import training
from circpeft.plots import save
from circpeft.rates import RateTrial, Search, search
from circpeft.training import Trial

pytestmark = pytest.mark.usefixtures("one_thread")
OPTIONS = {"steps": 10, "progress": False}


@pytest.fixture
def losses(monkeypatch):
    """Replace training by given losses for each rate; returns the function that sets them, and the rates tried."""
    tried = []

    def give(loss_of):
        def trial(prepared, steps, evaluate_start=True, callbacks=()):
            rate = prepared.recipe.rates[0]
            tried.append(rate)
            return Trial(1.0 if evaluate_start else None, loss_of(rate), ((1, 1.0),), 0.1)

        monkeypatch.setattr(training, "trial", trial)
        return tried

    return give


def test_a_search_trains_and_is_read_when_it_is_repeated(rated, monkeypatch):
    recipe = rated("c3a", head_learning_rate=1e-2)
    found = search(recipe, [1e-3, 3e-2, 1e30], **OPTIONS)
    assert [trial.rate for trial in found.trials][:3] in ([1e-3, 3e-2, 1e30], [3.3e-5, 1e-3, 3e-2])
    finite = {trial.loss for trial in found.trials if not trial.diverged} | {found.start_loss}
    assert found.trials[-1].diverged and len(finite) == len(found.trials)  # every other one moved the loss
    monkeypatch.setattr(training, "trial", lambda *a, **k: pytest.fail("a trial was repeated"))
    again = search(recipe, [1e-3, 3e-2, 1e30], **OPTIONS)
    assert [(t.rate, repr(t.loss), t.seconds) for t in again.trials] == [
        (t.rate, repr(t.loss), t.seconds) for t in found.trials
    ]
    assert again.start_loss == found.start_loss
    assert {path.name for path in Path(recipe.output_dir).iterdir()} == {"rates"}


def test_the_best_rate_inside_the_interval_ends_the_search(rated, losses):
    tried = losses(lambda rate: abs(math.log10(rate) + 2) / 10)
    found = search(rated(), [1e-3, 1e-2, 1e-1], **OPTIONS)
    assert tried == [1e-3, 1e-2, 1e-1] and found.best.rate == 1e-2 and found.edge == ""


@pytest.mark.parametrize(("sign", "further", "edge"), [(-1, 0.27, "largest"), (1, 3.3e-3, "smallest")])
def test_a_best_rate_at_an_end_is_followed_once(rated, losses, sign, further, edge):
    tried = losses(lambda rate: 0.5 + sign * math.log10(rate) / 100)
    found = search(rated(), [0.01, 0.03, 0.09], **OPTIONS)
    assert tried == [0.01, 0.03, 0.09, further] and found.best.rate == further and found.edge == edge
    assert f"This is the {edge} rate tried" in found.text


def test_diverged_trials_lead_to_smaller_rates(rated, losses):
    tried = losses(lambda rate: math.nan)
    found = search(rated(), [0.1, 0.3], **OPTIONS)
    assert (
        found.best is None and tried == [0.1, 0.3, 0.033] and "All trials diverged. Try rates below 0.033" in found.text
    )
    assert all(trial["loss"] is None for trial in found.to_dict()["trials"])


def test_a_loss_that_does_not_move_is_said(rated, losses):
    losses(lambda rate: 0.999 - rate / 1e6)
    found = search(rated(), [1e-3, 1e-2], **OPTIONS)
    assert not found.moved and "hardly moved" in found.text


def test_the_default_rates_are_around_the_suggestion_or_the_recipes_own(rated, losses):
    tried = losses(lambda rate: abs(math.log(rate / tried[2])) if len(tried) > 2 else 1.0 - len(tried) / 10)
    search(rated(), **OPTIONS)
    assert tried[:5] == [0.00011, 0.00033, 0.001, 0.003, 0.009]
    del tried[:]
    search(rated(learning_rate=0.1), **OPTIONS)
    assert tried[2] == 0.1


def test_an_interruption_loses_only_the_trial_that_was_running(rated, losses):
    def interrupting(rate):
        if rate == 1e-2:
            raise KeyboardInterrupt
        return abs(rate - 1e-3)

    losses(interrupting)
    with pytest.raises(KeyboardInterrupt):
        search(rated(), [1e-4, 1e-3, 1e-2], **OPTIONS)
    tried = losses(lambda rate: abs(rate - 1e-3))
    del tried[:]
    found = search(rated(), [1e-4, 1e-3, 1e-2], **OPTIONS)
    assert tried == [1e-2] and found.start_loss == 1.0 and found.best.rate == 1e-3


def test_other_settings_are_other_trials(rated, losses):
    tried = losses(lambda rate: abs(rate - 1e-2))
    for settings in ({}, {"seed": 1}, {"batch_size": 4}):
        search(rated(**settings), [1e-3, 1e-2, 1e-1], **OPTIONS)
    search(rated(), [1e-3, 1e-2, 1e-1], steps=11, progress=False)
    assert len(tried) == 12


@pytest.mark.parametrize(("method", "head"), [("c3a", 3e-4), ("head", 0.1), ("full", 0.1)])
def test_the_head_keeps_its_rate_unless_it_is_part_of_what_trains(rated, method, head):
    from circpeft.rates.search import with_rate

    assert with_rate(rated(method), 0.1).rates == (0.1, head)
    given = with_rate(rated(method, hyperparameters={"learning_rate": 5.0}, head_learning_rate=0.02), 0.1)
    assert given.rates == ((0.1, 0.1) if method == "head" else (0.1, 0.02))


def test_a_loss_that_is_not_finite_before_training_stops_the_search(rated, monkeypatch):
    monkeypatch.setattr(training, "trial", lambda *a, **k: Trial(math.nan, math.nan, (), 0.1))
    recipe = rated()
    with pytest.raises(ValueError, match="loss is nan before training.*precision='float32'"):
        search(recipe, [1e-3, 1e-2], **OPTIONS)
    assert not Path(recipe.output_dir, "rates").exists(), "no trial to read next time"


def test_no_rate_is_tried_twice(rated, losses):
    tried = losses(lambda rate: 1 / rate)
    assert len(search(rated(), [1e-3, 1.01e-3], **OPTIONS).trials) == len(tried) == 2


def test_an_outcome_with_losses_that_are_not_finite_is_json():
    done = tuple(RateTrial(rate, math.nan, ((1, 1.0), (2, math.inf)), 1.0) for rate in (1e-3, 1e-2))
    found = Search("c3a", "minilm", "sst2", 60, 0.7, done, "runs").to_dict()
    json.dumps(found, allow_nan=False)
    assert found["trials"][0]["losses"] == [(1, 1.0), (2, None)]


def trials(*losses: float) -> Search:
    done = tuple(RateTrial(10.0**-k, loss, ((1, 1.0),), 1.0) for k, loss in zip((3, 2, 1), losses, strict=True))
    return Search("c3a", "minilm", "sst2", 60, 0.7, done, "runs")


def test_the_figure_shows_the_start_and_marks_diverged_rates(tmp_path):
    figure = trials(0.6, 0.4, math.nan).figure()
    assert [trace.name for trace in figure.data] == ["after training", "before training", "diverged"]
    assert list(figure.data[0].y) == [0.6, 0.4] and list(figure.data[2].x) == [0.1]
    assert figure.layout.xaxis.type == "log"
    assert save(figure, tmp_path / "rates.png").stat().st_size > 1000


def test_a_search_in_words():
    text = trials(0.6, 0.4, 0.9).text
    assert "0.4000  best" in text and "0.9000  worse than the start" in text and "Begin with 0.01" in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 9}, "steps must be an integer of at least 10, got 9"),
        ({"steps": 60.0}, "got 60.0"),
        ({"rates": [1e-3]}, "at least two different rates"),
        ({"rates": [1e-3, 3e-3, 0.001]}, "the list of rates has 0.001 twice; give each value once"),
        ({"rates": []}, "at least two different rates"),
        ({"rates": [1e-3, -1]}, "above 0, got -1"),
    ],
)
def test_wrong_values_are_named_before_anything_is_read(rated, settings, message, monkeypatch):
    monkeypatch.setattr(training, "prepare", lambda *a, **k: pytest.fail("data were read"))
    with pytest.raises(ValueError, match=message):
        search(rated(), **{**OPTIONS, **settings})


def test_data_without_validation_rows_and_too_few_to_hold_some_out(rated, tmp_path):
    (tmp_path / "few").mkdir()
    row = json.dumps({"sentence": "the good actor", "label": 1})
    (tmp_path / "few" / "train.jsonl").write_text(row)
    with pytest.raises(ValueError, match="train"):
        search(rated(data_dir=str(tmp_path / "few")), [1e-3, 1e-2], **OPTIONS)


def test_a_folder_that_cannot_be_written_and_a_file_that_is_not_a_trial(rated, losses, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is not a folder"):
        search(rated(output_dir=str(tmp_path / "file")), [1e-3, 1e-2], **OPTIONS)
    losses(lambda rate: rate)
    found = search(rated(), [1e-3, 1e-2], **OPTIONS)
    next(Path(found.folder).iterdir()).write_text("{")
    with pytest.raises(ValueError, match="is not the file of a trial"):
        search(rated(), [1e-3, 1e-2], **OPTIONS)
