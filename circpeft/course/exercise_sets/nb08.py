"""The exercises of notebook 08, on language understanding."""

from ..exercise_type import Exercise, Question


def c3a_parameters(layers: list[tuple[int, int]], b: int) -> int:
    """Return the sum over layers (d_in, d_out) of (d_in / b) * (d_out / b) * b: a kernel per block."""
    return sum((d_in // b) * (d_out // b) * b for d_in, d_out in layers)


EXERCISES = (
    Exercise(
        "08.1",
        "Counting C3A's trainable parameters",
        1,
        5,
        "A layer has (d_in / b) * (d_out / b) blocks. Each block has a kernel of b numbers.",
        c3a_parameters,
        lambda g: [
            ([(4, 4)], 4),
            ([(768, 768)] * 24, 768),
            ([(768, 768)] * 24, 128),
            ([(384, 384), (384, 1536), (1536, 384)] * 12, 384),
            ([(6, 9), (9, 3)], 3),
            ([], 8),
        ],
    ),
)

QUESTIONS: tuple[Question, ...] = ()
