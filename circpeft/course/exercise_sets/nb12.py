"""The questions of notebook 12, on results."""

from ..exercise_type import Exercise, Question

EXERCISES: tuple[Exercise, ...] = ()

QUESTIONS = (
    Question(
        "12.q1",
        "CDVFT Table 1 prints the median of five seeds. Five of your seeds score 61, 92, 92, 93 and 94 percent. Which "
        "score is shown beside the printed one?",
        92,
        "It is the median, too. The seed that failed to learn does not change it.",
        wrong={86.4: "That is the mean. A mean beside a printed median compares two different things."},
    ),
)
