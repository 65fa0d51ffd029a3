"""Worked examples of exercises: what they show comes from the reference answer, in text and in HTML."""

import pytest
import torch

from circpeft.course import examples
from circpeft.course.exercise_examples import Examples
from circpeft.course.exercise_sets import EXERCISES


def test_cases_of_a_notebook_are_shown_with_the_names_of_the_arguments():
    shown = examples("02.2", [([1, 2, 0], [1, 0, 0])])
    assert "w = [1, 2, 0]  x = [1, 0, 0]  →  result = [1, 0, 2]" in repr(shown)
    html = shown._repr_html_()
    assert html.count("<table") == 3 and html.count("<td") == 9 and "→" in html


def numbers(shown):
    """Return whether the examples hold no array."""
    return not any(isinstance(v, torch.Tensor) for case in shown.cases for pairs in case for _, v in pairs)


@pytest.mark.parametrize("id", EXERCISES)
def test_every_exercise_has_examples_of_its_own(id):
    shown = examples(id)
    assert repr(shown).count("→") == len(shown.cases) > 0 and "<table" in shown._repr_html_() + "<table" * numbers(
        shown
    )


def test_numbers_are_short_and_colours_show_sign_and_size():
    value = torch.tensor([[1.0, -2.0], [4e-12, 1 / 3]])
    html = Examples(
        "x", [([("a", value)], [("n", 3), ("z", torch.tensor([1 - 2j, 1j, 0.5 + 0j, 0.00078 + 0j]))])]
    )._repr_html_()
    assert [text in html for text in (">0.33<", ">0<", ">1 − 2i<", ">i<", ">0.5<", ">0.00078<")] == [True] * 6
    assert "rgba(0, 114, 178, 0.55)" in html and "rgba(230, 159, 0, 0.28)" in html


def test_an_array_that_nobody_follows_by_hand_is_refused():
    with pytest.raises(ValueError, match=r"c of exercise 01\.1 has shape \(13,\), too large to draw"):
        examples("01.1", [([0] * 13,)])
