"""The exercises of notebook 00, on the first steps."""

from ..exercise_type import Exercise, Question

EXERCISES: tuple[Exercise, ...] = ()

QUESTIONS: tuple[Question, ...] = ()
