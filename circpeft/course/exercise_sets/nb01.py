"""The exercises and questions of notebook 01, on circulant matrices."""

from ..exercise_type import Question
from .nb01_matrices import MATRICES
from .nb01_ranks import RANKS
from .nb01_spectra import SPECTRA

EXERCISES = (*MATRICES, *SPECTRA, *RANKS)

QUESTIONS = (
    Question(
        "01.q1",
        "C(w) x = C(x) w: the kernel and the vector change places. In which layout does this hold?",
        "a",
        "In the column layout, entry i is the sum over all pairs with k + j = i (mod d) of w[k] x[j]. Kernel and "
        "vector play the same part. In the row layout the condition is j - k = i, which a swap turns into -i.",
        choices={
            "a": "in the column layout only",
            "b": "in the row layout only",
            "c": "in both",
            "d": "in neither",
        },
        wrong={
            "b": "Try w = (1, 2, 0) and x = (1, 0, 0) in the row layout: one side is the first column of C(w).",
            "c": "In the row layout the indices of the two are subtracted, and a difference changes its sign.",
            "d": "In the column layout the indices of the two are added, and a sum does not depend on the order.",
        },
    ),
    Question(
        "01.q2",
        "C3A prints F (Λ/d) F⁻¹. By which factor is this matrix too small for d = 768?",
        768.0,
        "The inverse of F is its conjugate divided by d. So the printed form divides by d twice.",
        wrong={
            1: "The inverse of F already contains a factor 1/d.",
            768.0**0.5: "That would be the factor if F were unitary. The columns of F have the norm √d.",
            768.0**2: "The printed form divides by d twice, and the right one divides by d once.",
        },
        tolerance=0.5,
    ),
    Question(
        "01.q3",
        "A real kernel has 16 numbers. How many complex numbers does `rfft` return?",
        9.0,
        "Entries 0 to 8. Entries 9 to 15 are the conjugates of entries 7 to 1.",
        wrong={
            16: "That is `fft`. For real vectors, `rfft` leaves out what repeats.",
            8: "Entry 8, half of 16, is its own mirror image, so it is kept too.",
        },
    ),
    Question(
        "01.q4",
        "What is the rank of the 4 × 4 circulant of the kernel (1, 0, -1, 0)?",
        2.0,
        "Its spectrum is 1 - ω^2k = (0, 2, 0, 2): two frequencies are not zero.",
        wrong={
            4: "The sum of the kernel is zero, so frequency 0 is missing. Check the others.",
            3: "Frequency 0 is missing, and so is frequency 2: the alternating sum 1 - 0 + (-1) - 0 is zero, too.",
            1: "Row 2 is minus row 0, but rows 0 and 1 are independent.",
        },
    ),
    Question(
        "01.q5",
        "We draw 100 kernels of 64 random real numbers. How many of the matrices have full rank?",
        100.0,
        "A frequency of a random real kernel is zero with probability zero.",
        wrong={
            0: "Full rank needs only that no frequency is zero, and a random number is not zero.",
            50: "A frequency would have to be exactly zero. For real numbers, that has probability zero.",
        },
    ),
)
