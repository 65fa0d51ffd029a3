"""The exercises and questions of notebook 04, on blocks."""

from ..exercise_type import Question
from .block_grids import GRID_EXERCISES
from .block_spectra import SPECTRUM_EXERCISES

EXERCISES = (*GRID_EXERCISES, *SPECTRUM_EXERCISES)

QUESTIONS = (
    Question(
        "04.q1",
        "A 48 by 48 layer goes from one random kernel (b = 48) to four (b = 24). What happens to the rank of ΔW?",
        "c",
        "The rank is 48 before and after: random kernels give full rank at every block size. b sets the number of "
        "parameters, not the rank.",
        {"a": "it doubles, as the parameters do", "b": "it halves, as b does", "c": "it stays the same"},
        {
            "a": "That is how LoRA works: rank and parameters grow together. Here they do not.",
            "b": "Each block has rank 24 at most, but two of them stand side by side, and their columns differ.",
        },
    ),
    Question(
        "04.q2",
        "17 inputs, 17 outputs, blocks of 16, the rest padded with zeros: 4 kernels, 64 numbers. How many of these "
        "have no effect on any output?",
        15,
        "Only the corner block is small enough: one cell of it is left, so 15 of its 16 numbers have no effect. In the "
        "blocks at the edges, one row or one column still shows every entry of the kernel.",
        wrong={
            0: "The corner block is cut down to a single cell.",
            45: "One row of a circulant already holds the whole kernel: the two blocks at the edges are complete.",
            49: "49 is how many do have an effect. The question asks for the others.",
        },
    ),
    Question(
        "04.q3",
        "Every circulant matrix with b = 48 is cut into four parts of 24 by 24. Are the parts circulant?",
        "b",
        "A number that leaves a part on the right goes on in the part beside it, and does not come back on the left. "
        "The parts are constant along their diagonals, but these do not wrap.",
        {"a": "yes, always", "b": "no, only for special kernels", "c": "only the two on the diagonal"},
        {
            "a": "Follow one number to the right edge of the upper left part. Where does it stand in the next row?",
            "c": "The parts on the diagonal are cut out in the same way as the others.",
        },
    ),
)
