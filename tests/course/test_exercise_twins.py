"""Wrong answers told by name: every twin is rejected and named, and no twin is named for another's answer."""

import pytest
import torch

import circpeft
from circpeft.course.exercise_sets import EXERCISES
from circpeft.course.exercise_sets.matrices import column, row
from circpeft.course.exercise_type import Exercise, Twin
from circpeft.course.exercises.check import check

TWINS = [(id, twin) for id, item in EXERCISES.items() for twin in item.twins]
IDS = [f"{id} {twin.name}" for id, twin in TWINS]


@pytest.fixture(autouse=True)
def pictures(monkeypatch):
    """Return the list of figures that a check shows."""
    shown = []
    monkeypatch.setattr(circpeft.plots, "show", shown.append)
    return shown


@pytest.mark.parametrize(("id", "twin"), TWINS, ids=IDS)
def test_a_twin_is_rejected_and_named_and_no_other_with_it(id, twin, capsys):
    assert not check(EXERCISES[id], lambda *arguments: twin.function(*arguments))
    said = capsys.readouterr().out
    named = [other.name for other in EXERCISES[id].twins if f'"{other.name}"' in said]
    assert named == [twin.name], said
    assert f'Your answer has a known mistake ("{twin.name}"). {twin.message}' in said


@pytest.mark.parametrize("id", EXERCISES)
def test_an_exercise_has_three_twins_and_a_solution_to_print(id):
    names = [twin.name for twin in EXERCISES[id].twins]
    assert len(names) == len(set(names)) >= 3 and EXERCISES[id].solution is not None
    assert all(twin.message.endswith((".", "?")) for twin in EXERCISES[id].twins)


def vectors(*sizes, count=2):
    generator = torch.Generator().manual_seed(0)
    return [tuple(torch.randn(count, b, generator=generator, dtype=torch.float64)) for b in sizes]


def item(*twins, sizes=(7, 4, 5)):
    return Exercise(
        "99.1", "A product", 1, 5, "A hint.", lambda w, x: row(w) @ x, lambda g: vectors(*sizes), twins=twins
    )


def by_columns(w, x):
    return column(w) @ x


def odd_only(w, x):
    return column(w) @ x if len(w) % 2 else row(w) @ x


def above_five(w, x):
    if len(w) <= 5:
        raise ValueError("not for short vectors")
    return column(w) @ x


LAYOUT = Twin("layout exchanged", "The layout.", by_columns)


@pytest.mark.parametrize(
    ("answer", "sizes"),
    [
        (odd_only, (7, 4, 5)),  # one input on which the two differ
        (lambda w, x: (column(w) @ x).float(), (7, 4, 5)),
        (lambda w, x: column(w) @ x + 1e-6, (7, 4, 5)),
        (by_columns, (7,)),  # too few inputs
        (by_columns, (7, 7)),  # two, but of the same shape
        (above_five, (7, 4, 5)),  # only one input on which both are defined
    ],
)
def test_a_twin_is_not_named_if_it_does_not_explain_several_inputs(answer, sizes, capsys):
    assert not check(item(LAYOUT, sizes=sizes), answer)
    assert "layout exchanged" not in capsys.readouterr().out


def test_a_twin_may_be_undefined_on_some_inputs_and_so_may_the_answer(capsys):
    assert not check(item(LAYOUT, sizes=(7, 6, 4, 3)), above_five)
    assert 'Your answer has a known mistake ("layout exchanged"). The layout.' in capsys.readouterr().out
    assert not check(item(Twin("for long ones", "Long.", above_five), sizes=(7, 6, 4, 3)), by_columns)
    assert "for long ones" in capsys.readouterr().out


def test_two_twins_that_fit_equally_well_are_both_named(capsys):
    long = Twin("for long ones", "Long.", above_five)
    assert not check(item(LAYOUT, long, sizes=(7, 6, 4)), above_five)
    said = capsys.readouterr().out
    assert 'Your values fit 2 known mistakes. "layout exchanged". The layout. Or: "for long ones". Long.' in said


def test_a_right_answer_is_never_named(capsys):
    assert check(item(Twin("right", "Right.", lambda w, x: row(w) @ x)), lambda w, x: row(w) @ x)
    assert not check(item(Twin("nearly right", "Near.", odd_only)), lambda w, x: row(w) @ x * (1 + (len(w) == 7)))
    assert "nearly" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda w, x: (row(w) @ x).roll(1), "Rolled by -1, each result is the right answer"),
        (lambda w, x: (row(w) @ x).flip(0).roll(1), "index reversed"),
        (lambda w, x: row(w) @ x / 2, "Each result is 0.5 times the right answer"),
    ],
)
def test_a_simple_change_is_named_if_it_corrects_all_inputs(answer, words, capsys):
    assert not check(item(), answer)
    assert words in capsys.readouterr().out
    assert not check(item(), lambda w, x: answer(w, x) if len(w) == 7 else x)
    assert words not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("id", "answer"),
    [
        ("02.2", lambda w, x: row(w) @ x / len(w)),  # another factor for each size
        ("06.1", lambda u, v, x: x @ torch.outer(u, v).T / len(x)),
        ("06.1", lambda u, v, x: u.expand(len(x), -1)),  # proportional only where there is one point
    ],
)
def test_a_factor_is_no_diagnosis_if_it_changes_from_input_to_input(id, answer, capsys):
    assert not check(EXERCISES[id], answer)
    assert "times the right answer" not in capsys.readouterr().out


def test_a_transpose_is_named(capsys):
    transposed = Exercise("99.2", "A matrix", 1, 5, "A hint.", column, lambda g: vectors(7, 4, count=1))
    assert not check(transposed, row)
    assert "Each result is the transpose of the right answer" in capsys.readouterr().out
