"""The exercises of notebook 11, on speed and memory."""

from ..exercise_inputs import vectors
from ..exercise_type import Exercise, Question
from .matrices import row


def least_bytes(tokens: int, d_in: int, d_out: int, size: int) -> int:
    """Return the least number of bytes that a training step moves for an adapter fused with adding the base output.

    Forward, x and the base output are read and the output is written. Backward, x, the gradient of the output and the
    base layer's gradient of x are read, and the gradient of x is written.
    """
    return size * tokens * ((d_in + 2 * d_out) + (d_in + d_out + 2 * d_in))


def leaf_flops(tokens: int, d_in: int, d_out: int, r: int) -> int:
    """Return the FLOPs of the products of all leaves, without those with zeros: two real leaves and r/2 - 1 pairs."""
    sides = [(1, 1), (1, 1)] + [(2, 2)] * (r // 2 - 1)
    return sum(2 * tokens * (rows * d_in // r) * (columns * d_out // r) for rows, columns in sides)


EXERCISES = (
    Exercise(
        "11.1",
        "A circulant matrix as a view",
        2,
        10,
        "Repeat the kernel without gaps. In each next row the numbers start one place earlier. Because the kernel "
        "repeats, that is the same as b - 1 places later.",
        row,
        vectors(1),
    ),
    Exercise(
        "11.2",
        "The least bytes of a fused adapter",
        1,
        5,
        "Forward: x and the base output are read, and the output is written. Backward: x, the output's gradient and "
        "the gradient of x from the base layer are read, and the gradient of x is written.",
        least_bytes,
        lambda g: [(1, 4, 4, 4), (1024, 768, 768, 4), (8192, 4096, 11008, 2), (7, 5, 3, 2)],
    ),
    Exercise(
        "11.3",
        "The FLOPs of the leaves",
        2,
        10,
        "Two leaves are real, with matrices of d_in / R by d_out / R. The other R / 2 - 1 pairs have real matrices of "
        "twice that size in both directions.",
        leaf_flops,
        lambda g: [(1, 8, 8, 8), (2048, 4096, 4096, 32), (100, 384, 1536, 48), (7, 12, 24, 2)],
    ),
)

QUESTIONS: tuple[Question, ...] = ()
