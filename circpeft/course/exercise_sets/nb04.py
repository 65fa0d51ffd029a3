"""The exercises of notebook 04, on blocks."""

from ..exercise_type import Exercise, Question

EXERCISES: tuple[Exercise, ...] = ()

QUESTIONS: tuple[Question, ...] = ()
