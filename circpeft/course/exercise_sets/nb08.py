"""The exercises of notebook 08, on language understanding."""

from ..exercise_type import Exercise, Question, Twin


def c3a_parameters(layers: list[tuple[int, int]], b: int) -> int:
    """Return the sum over layers (d_in, d_out) of (d_in / b) * (d_out / b) * b: a kernel per block."""
    return sum((d_in // b) * (d_out // b) * b for d_in, d_out in layers)


def counted_by_layer(layers, block_size):
    return sum(d_in * d_out // block_size for d_in, d_out in layers)


TWINS = (
    Twin(
        "dense layers",
        "These are the entries of the whole matrices, b * b for each block. A block has a kernel of b numbers.",
        lambda layers, b: sum(d_in * d_out for d_in, d_out in layers),
    ),
    Twin(
        "blocks counted",
        "This is the number of blocks. Each of them has a kernel of b numbers.",
        lambda layers, b: sum((d_in // b) * (d_out // b) for d_in, d_out in layers),
    ),
    Twin(
        "one kernel for each layer",
        "This counts b numbers for each layer. A layer with longer sides has a grid of several blocks.",
        lambda layers, b: len(layers) * b,
    ),
    Twin(
        "sides added",
        "This is the sum of the inputs and the outputs. A grid of blocks has as many as both counts multiplied.",
        lambda layers, b: sum(d_in + d_out for d_in, d_out in layers),
    ),
)

EXERCISES = (
    Exercise(
        "08.1",
        "Counting C3A's trainable parameters",
        1,
        5,
        "A layer has (d_in / b) * (d_out / b) blocks. Each block has a kernel of b numbers.",
        c3a_parameters,
        lambda g: [
            ([(384, 384), (384, 1536), (1536, 384)], 384),
            ([(4, 4)], 4),
            ([(768, 768)] * 24, 768),
            ([(768, 768)] * 24, 128),
            ([(6, 9), (9, 3)], 3),
            ([], 8),
        ],
        twins=TWINS,
        solution=counted_by_layer,
    ),
)

QUESTIONS: tuple[Question, ...] = ()
