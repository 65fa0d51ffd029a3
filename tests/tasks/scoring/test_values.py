"""The second score of MATH compares values, and runs without its package have only the first."""

import threading

import pytest

from circpeft import tasks
from circpeft.tasks.scoring import comparisons, values

MATH = tasks.TASKS["math"]
EQUAL = [(r"2\sqrt{3}", r"\sqrt{12}"), ("x^2+2x+1", "(x+1)^2"), (r"\frac{3}{6}", "0.5"), ("(1,2)", "(1, 2)")]
DIFFERENT = [("5", "6"), ("[0,1)", "[0,1]"), (r"\frac{1}{3}", "0.33")]


@pytest.mark.parametrize(("expected", "written"), EQUAL + DIFFERENT)
def test_formulas_are_compared_by_their_value(expected, written):
    pytest.importorskip("math_verify")
    same = values.same_value(rf"so \boxed{{{expected}}}", rf"it is \boxed{{{written}}}")
    assert same == ((expected, written) in EQUAL)


def test_what_the_first_score_takes_for_equal_is_equal():
    for expected, written in ((r"\dfrac12", "0.5"), (r"3\,\text{cm}", "3"), (r"10\text{ AM}", "10 a.m.")):
        assert comparisons.same_mathematics(expected, written) and values.same_value(expected, written)


def test_an_answer_without_a_formula_is_wrong():
    assert not values.same_value(r"\boxed{5}", "I do not know")


def test_it_also_runs_outside_the_main_thread():
    pytest.importorskip("math_verify")
    found = []
    thread = threading.Thread(target=lambda: found.append(values.same_value("x+1", "1+x")))
    thread.start()
    thread.join()
    assert found == [True]


def test_the_task_has_both_scores():
    pytest.importorskip("math_verify")
    references, written = [r"\boxed{2\sqrt{3}}", r"\boxed{5}"], [r"\boxed{\sqrt{12}}", r"\boxed{4}"]
    assert MATH.score(references, written) == 0 and MATH.other_scores(references, written) == {"math_verify": 0.5}
    assert tasks.TASKS["gsm8k"].other_scores(["#### 2"], ["2"]) == {}


def test_without_the_package_a_warning_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(values, "is_installed", lambda: False)
    with pytest.warns(UserWarning, match=r"math-verify is not installed.*circpeft\[math\]"):
        assert MATH.other_scores([r"\boxed{5}"], [r"\boxed{5}"]) == {}
