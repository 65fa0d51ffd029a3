"""Questions that a learner answers before reading on."""

import math
from numbers import Real
from typing import Any

from ...escaping import print_text
from ...suggest import nearest
from ..exercise_sets import QUESTIONS
from ..exercise_type import Question
from .attempts import attempt
from .values import is_huge, python_number, shown


def predict(question_id: str, answer: float | str | None = None) -> None:
    """Print a question, or whether the answer to it is right and why.

    Args:
        question_id: notebook and number, such as "02.q1".
        answer: a number, or the letter of a choice. None prints the question; the notebook goes on in any case.

    Raises:
        ValueError: if there is no such question; the message names the nearest id.
    """
    if question_id not in QUESTIONS:
        raise ValueError(f"unknown question {question_id!r}; {nearest(question_id, QUESTIONS)}")
    print_text(response(QUESTIONS[question_id], answer))


def response(question: Question, answer: Any) -> str:
    """Return what is said to an answer, or the question itself if the answer is None.

    >>> question = Question("02.q9", "How many?", 3, "One for each corner.", wrong={4: "That counts one twice."})
    >>> print(response(question, None))
    Question 02.q9: How many?
      Answer with a number, as in predict("02.q9", answer=2), or read on.
    >>> print(response(question, 4))
    [NOT YET] Question 02.q9: 4 is not right. That counts one twice.
    >>> print(response(question, 3))
    [OK] Question 02.q9: 3 is right. One for each corner.
    """
    if answer is None or answer is ...:
        kind, example = ("a letter", "'b'") if question.choices else ("a number", "2")
        choices = [f"  {letter}) {text}" for letter, text in question.choices.items()]
        how = f'  Answer with {kind}, as in predict("{question.id}", answer={example}), or read on.'
        return "\n".join([f"Question {question.id}: {question.invitation}", *choices, how])
    given, _ = attempt(_letter, question, answer) if question.choices else attempt(_number, answer)
    if given is None:
        expected = f"one of the letters {', '.join(question.choices)}" if question.choices else "a number"
        written, _ = attempt(shown, answer)
        return f"[NOT YET] Question {question.id}: answer={written or '...'} is not {expected}."
    if _equal(question, given, question.answer):
        return f"[OK] Question {question.id}: {_shown(given)} is right. {question.explanation}"
    why = next((text for value, text in question.wrong.items() if _equal(question, given, value)), "")
    return f"[NOT YET] Question {question.id}: {_shown(given)} is not right. {why or 'Try again, or read on.'}"


def _letter(question: Question, answer: Any) -> str | None:
    """Return the letter of the chosen answer, or None for any other answer."""
    letter = answer.strip().lower() if isinstance(answer, str) else None
    return letter if letter in question.choices else None


def _number(answer: Any) -> float | None:
    """Return the answer as a finite Python number, or None for anything else."""
    answer = python_number(answer)
    if is_huge(answer):
        return math.inf if answer > 0 else -math.inf
    if isinstance(answer, bool) or not isinstance(answer, Real) or not math.isfinite(answer):
        return None
    number: Any = answer  # any real number
    return number


def _equal(question: Question, given: Any, value: Any) -> bool:
    return given == value if question.choices else abs(given - value) <= question.tolerance


def _shown(given: float | str) -> str:
    return f"{given:.6g}" if isinstance(given, float) else str(given)
