"""Answers to exercises and questions: whatever a learner's code does or returns, a sentence names the mistake.

`make test-full` tries many more of them (CIRCPEFT_FUZZ).
"""

import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import circpeft
from circpeft.course.exercise_sets.matrices import row
from circpeft.course.exercise_type import Exercise, Question, Twin
from circpeft.course.exercises import attempts, predictions
from circpeft.course.exercises.check import check
from circpeft.plots.style import as_matrix

from .bounds import BOUNDS, show
from .learner_values import NESTED, TENSORS, VALUES


def asks_for(result, **fields):
    """Return an exercise whose answer has the type of a result, on inputs of three sizes."""
    inputs = [(torch.arange(1.0, b + 1).double(), [1, b]) for b in (7, 4, 5)]
    return Exercise("99.1", "A product", 1, 5, "A hint.", result, lambda g: inputs, **fields)


def product(w, numbers):
    return row(w) @ w


EXERCISES = {
    "a tensor": asks_for(product, twins=(Twin("exchanged", "Rows.", lambda w, numbers: row(w).T @ w),)),
    "complex numbers": asks_for(lambda w, numbers: torch.fft.fft(w)),
    "truth values": asks_for(lambda w, numbers: w > 2),
    "an int": asks_for(lambda w, numbers: numbers[1], twins=(Twin("no", "No.", lambda w, numbers: 1.0),)),
    "a float": asks_for(lambda w, numbers: float(w.sum()), twins=(Twin("no", "No.", lambda w, numbers: 0.5),)),
    "a bool": asks_for(lambda w, numbers: len(w) > 4),
    "a list": asks_for(lambda w, numbers: numbers * 2),
    "a pair": asks_for(lambda w, numbers: (w * 2, len(w))),
}


class OddError(Exception):
    def __str__(self):
        raise RuntimeError("odd")


class EndOfAll(BaseException):
    pass


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch):
    """Draw nothing, but take only what can be drawn."""
    monkeypatch.setattr(circpeft.plots, "show", lambda figure: None)
    monkeypatch.setattr(circpeft.plots, "matrices", lambda panels, *_, **__: [as_matrix(v) for _, v in panels])


def verdict(exercise, answer, capsys):
    """Return what the check prints about an answer, and that nothing else is left of it."""
    out, recursion = sys.stdout, sys.getrecursionlimit()
    capsys.readouterr()
    right = check(exercise, answer)
    said = capsys.readouterr().out
    assert sys.stdout is out and not out.closed and sys.getrecursionlimit() == recursion
    assert ("[OK]" in said) == right and ("[OK]" in said or "[NOT YET]" in said or "not attempted" in said)
    return said


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("value", VALUES)
def test_an_odd_value_is_described(value, capsys):
    for exercise in EXERCISES.values():
        assert "[NOT YET] Exercise 99.1" in verdict(exercise, lambda *arguments: VALUES[value](), capsys)


@pytest.mark.filterwarnings("ignore")
def test_any_value_is_right_or_described(capsys):
    counts = Counter()

    @settings(**BOUNDS)
    @example("an int", lambda: 2**50_000, True)
    @example("truth values", lambda: torch.ones(7) > 2, False)
    @example("a float", lambda: 10**400, False)
    @given(st.sampled_from([*EXERCISES]), TENSORS | NESTED | st.sampled_from([*VALUES.values()]), st.booleans())
    def tries(name, value, first_only):
        exercise = EXERCISES[name]

        def answer(w, numbers):
            return value() if len(w) == 7 or not first_only else exercise.reference(w, numbers)

        counts["right" if "[OK]" in verdict(exercise, answer, capsys) else "wrong"] += 1

    tries()
    with capsys.disabled():
        show("learners' values", counts)
    assert counts["wrong"]


def closing(w, numbers):
    sys.stdout.close()
    return product(w, numbers)


def replacing(w, numbers):
    sys.stdout = sys.stderr = None
    return product(w, numbers)


def recursive(w, numbers):
    return recursive(w, numbers)


def printing(w, numbers):
    print("a" * attempts.LONGEST, "b" * 10**6)
    print("c" * 10**6)
    return product(w, numbers)


def raising(error):
    def answer(w, numbers):
        raise error

    return answer


def generating(w, numbers):
    yield w


async def waiting(w, numbers):
    return w


def casting(w, numbers):
    w.data = w.data.float()
    return product(w.double(), numbers)


def filling(w, numbers):
    numbers[0] = np.ones(2)
    return product(w, numbers)


def emptying(w, numbers):
    w.resize_(0)
    return w


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (raising(SystemExit(3)), "it raised SystemExit at `raise error`, which would end the program"),
        (raising(KeyboardInterrupt()), "it raised KeyboardInterrupt at `raise error`, which would end the program"),
        (raising(GeneratorExit()), "it raised GeneratorExit at `raise error`, which would end the program"),
        (raising(EndOfAll("a")), "it raised EndOfAll at `raise error`, which would end the program"),
        (raising(BaseExceptionGroup("a", [EndOfAll()])), "it raised BaseExceptionGroup"),
        (raising(OddError()), "it raised OddError at `raise error`: "),
        (raising(ValueError("one\ntwo")), "it raised ValueError at `raise error`: one\n"),
        (raising(StopIteration()), "it raised StopIteration"),
        (raising(MemoryError()), "it raised MemoryError"),
        (recursive, "it raised RecursionError at `return recursive(w, numbers)`: does it call itself without end?"),
        (generating, "it returned a generator, which holds no values yet: write `return` instead of `yield`"),
        (waiting, "it returned a coroutine, which holds no value yet: write `def` instead of `async def`"),
        (casting, "it changed its argument `w` in place"),
        (filling, "it changed its argument `numbers` in place"),
        (emptying, "it changed its argument `w` in place"),
        (max, "it raised "),
        (lambda: 3, "it raised TypeError"),
        (3, "it raised TypeError"),
        (closing, "[OK]"),
        (replacing, "[OK]"),
    ],
)
def test_what_an_answer_may_do(answer, words, capsys):
    assert words in verdict(EXERCISES["a tensor"], answer, capsys)


def test_what_an_answer_prints_is_cut_off(capsys):
    said = verdict(EXERCISES["a tensor"], printing, capsys)
    assert said.count(attempts.CUT_OFF.strip()) == 3 and said.count("c") < 200
    assert said.count("a" * attempts.LONGEST) == 3 and len(said) < 4 * attempts.LONGEST


def test_errors_are_cut_off_as_well(capsys):
    assert attempts.attempt(lambda: print("e" * 10**6, file=sys.stderr)) == (None, None)
    assert len(capsys.readouterr().err) < 2 * attempts.LONGEST


NUMBER = Question("99.q1", "How much?", 0.5, "Half of them.", wrong={2: "That is its inverse."}, tolerance=0.01)
CHOICE = Question("99.q2", "Which?", "b", "One is left.", choices={"a": "0", "b": "1"}, wrong={"a": "No."})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("question", [NUMBER, CHOICE], ids=["number", "choice"])
def test_any_answer_to_a_question_gets_a_sentence(question, capsys):
    counts = Counter()

    @settings(**BOUNDS)
    @example(lambda: 10**400)
    @example(lambda: -(2**50_000))
    @example(lambda: Fraction(-(10**400), 3))
    @given(TENSORS | NESTED | st.sampled_from([*VALUES.values()]))
    def tries(value):
        said = predictions.response(question, value())
        assert said.startswith(("[OK] Question 99.q", "[NOT YET] Question 99.q", "Question 99.q")) and len(said) < 500
        counts["right" if said.startswith("[OK]") else "other"] += 1

    tries()
    with capsys.disabled():
        show("answers to questions", counts)
    assert counts["other"]
