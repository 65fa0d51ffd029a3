"""Questions before reading on: unanswered, right, wrong, and answers of the wrong kind."""

import pytest
import torch

from circpeft.course import predict
from circpeft.course.exercise_sets import QUESTIONS
from circpeft.course.exercise_type import Question
from circpeft.course.exercises import predictions

CHOICE = Question(
    "99.q1",
    "What is the rank?",
    "b",
    "One frequency is left.",
    choices={"a": "0", "b": "1", "c": "b"},
    wrong={"a": "The mean is not zero.", "c": "All entries are equal."},
)
NUMBER = Question("99.q2", "How much?", 0.5, "Half of them.", wrong={2: "That is its inverse."}, tolerance=0.01)


@pytest.fixture(autouse=True)
def questions(monkeypatch):
    monkeypatch.setitem(predictions.QUESTIONS, "99.q1", CHOICE)
    monkeypatch.setitem(predictions.QUESTIONS, "99.q2", NUMBER)


@pytest.mark.parametrize(
    ("id", "answer", "words"),
    [
        ("99.q1", None, "Question 99.q1: What is the rank?\n  a) 0\n  b) 1\n  c) b\n  Answer with a letter"),
        ("99.q1", ..., "Question 99.q1: What is the rank?"),
        ("99.q1", " B", "[OK] Question 99.q1: b is right. One frequency is left."),
        ("99.q1", "c", "[NOT YET] Question 99.q1: c is not right. All entries are equal."),
        ("99.q1", "d", "answer='d' is not one of the letters a, b, c."),
        ("99.q1", 1, "answer=1 is not one of the letters a, b, c."),
        ("99.q2", None, "Question 99.q2: How much?\n  Answer with a number"),
        ("99.q2", 0.505, "[OK] Question 99.q2: 0.505 is right. Half of them."),
        ("99.q2", torch.tensor(0.5), "[OK] Question 99.q2: 0.5 is right. Half of them."),
        ("99.q2", 2, "[NOT YET] Question 99.q2: 2 is not right. That is its inverse."),
        ("99.q2", 3, "[NOT YET] Question 99.q2: 3 is not right. Try again, or read on."),
        ("99.q2", "0.5", "answer='0.5' is not a number."),
        ("99.q2", True, "answer=True is not a number."),
        ("99.q2", float("nan"), "answer=nan is not a number."),
        ("99.q2", [1], "answer=[1] is not a number."),
    ],
)
def test_every_answer_gets_a_sentence(id, answer, words, capsys):
    assert predict(id, answer=answer) is None
    assert words in capsys.readouterr().out


def test_an_unknown_question_raises_with_the_nearest():
    with pytest.raises(ValueError, match=r"unknown question '99\.q3'; did you mean '99\.q2'\?"):
        predict("99.q3")


@pytest.mark.parametrize("id", QUESTIONS)
def test_questions_of_the_course_are_complete(id):
    question = QUESTIONS[id]
    assert question.id == id and question.invitation.endswith("?") and question.explanation
    assert question.answer not in question.wrong
    if question.choices:
        assert question.wrong.keys() == question.choices.keys() - {question.answer} and len(question.choices) >= 2
        assert question.answer in question.choices and all(len(letter) == 1 for letter in question.choices)
    else:
        assert predictions.response(question, question.answer).startswith("[OK]")
    for value, text in question.wrong.items():
        said = predictions.response(question, value)
        assert said.startswith("[NOT YET]") and said.endswith(text)
