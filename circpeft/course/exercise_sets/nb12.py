"""The exercises of notebook 12, on results."""

from ..exercise_type import Exercise, Question

EXERCISES: tuple[Exercise, ...] = ()

QUESTIONS: tuple[Question, ...] = ()
