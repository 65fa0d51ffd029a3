"""The exercises of notebook 05, on costs."""

from ..exercise_type import Exercise, Question


def padded_parameters(d_in: int, d_out: int, p: int) -> int:
    """Return CDVFT's parameters as counted in its Table 3: the circulant is padded to a square of p by p blocks."""
    blocks = -(-max(d_in, d_out) // p)
    return d_in + d_out + blocks * blocks * p


def cheaper_from(once: int, each: int, other_once: int, other_each: int) -> int:
    """Return the smallest t with once + each * t < other_once + other_each * t, where each < other_each."""
    tokens = 0
    while once + each * tokens >= other_once + other_each * tokens:
        tokens += 1
    return tokens


EXERCISES = (
    Exercise(
        "05.1",
        "Parameters on padded squares",
        1,
        5,
        "How many blocks of size p does the longer side need? The square has the same number along both sides.",
        padded_parameters,
        lambda g: [(4, 4, 4), (4096, 4096, 2048), (4096, 11008, 4096), (11008, 4096, 2048), (10, 7, 4)],
    ),
    Exercise(
        "05.2",
        "From how many tokens is it cheaper?",
        2,
        10,
        "Both costs are linear in the number of tokens. Where do the two lines meet? Which whole number comes next?",
        cheaper_from,
        lambda g: [(100, 1, 0, 3), (90, 1, 0, 4), (1000, 7, 13, 11), (5, 2, 4, 3), (864, 0, 0, 3)],
    ),
)

QUESTIONS: tuple[Question, ...] = ()
