"""The exercises and questions of notebook 03, on CDVFT."""

from ..exercise_type import Question
from .cdvft_fits import FITS
from .cdvft_gradients import GRADIENTS
from .cdvft_product import PRODUCT
from .complex_gradient import COMPLEX

EXERCISES = tuple(sorted((*PRODUCT, *GRADIENTS, COMPLEX, *FITS), key=lambda item: int(item.id.split(".")[1])))

QUESTIONS = (
    Question(
        "03.q1",
        "A3, C and A1 have 24 random entries each, so ΔW has 24 x 24 entries from 72 numbers. What is its rank?",
        24,
        "Diagonals without a zero and a circulant whose spectrum has no zero are invertible, and so is their product. "
        "So full rank is a property of the form, not a result of training.",
        wrong={
            3: "That is the number of factors. The rank of a product is limited by the smallest rank of a factor.",
            72: "A matrix of 24 rows has at most rank 24.",
            1: "A single outer product has rank 1. The circulant in the middle has full rank.",
        },
    ),
    Question(
        "03.q2",
        "One print of Eq. 9 multiplies y by the gradient of y itself, instead of the gradient of the step's output. "
        "Where does the result have the wrong sign?",
        "b",
        "The misprint is the true gradient times the diagonal, so it has the diagonal's sign.",
        choices={
            "a": "wherever y is negative",
            "b": "wherever the entry of the diagonal is negative",
            "c": "everywhere",
            "d": "nowhere: only the size is wrong",
        },
        wrong={
            "a": "Both formulas contain y, so its sign is the same in both.",
            "c": "Compare the two formulas: they differ by one factor. Where is it positive?",
            "d": "The two formulas differ by a factor that may be negative.",
        },
    ),
    Question(
        "03.q3",
        "The forward pass keeps FFT(y1) and FFT(c). How many transforms does Eq. 11 need to get dL/dy1 and dL/dc "
        "from dL/dy2?",
        3,
        "One FFT of the incoming gradient, and one inverse FFT for each of the two results.",
        wrong={
            5: "That is Eq. 10, which transforms both reversed vectors once more.",
            2: "The incoming gradient has to be transformed too.",
            4: "The incoming gradient is transformed once and used twice.",
        },
    ),
    Question(
        "03.q4",
        "For d = 8 there are 3 d = 24 numbers in a1, c and a3. How many degrees of freedom does ΔW have?",
        22,
        "Two changes leave ΔW as it is: a factor moved from a1 to c, and one moved from c to a3. So 24 - 2 remain.",
        wrong={
            24: "Double a1 and halve c: different numbers, the same ΔW.",
            23: "That is one such change. Between c and a3 there is another one.",
            21: "A factor moved from a1 to a3 is not a third change: it is the other two, one after the other.",
            64: "ΔW has 64 entries, but only 24 numbers determine them.",
        },
    ),
    Question(
        "03.q5",
        "k alternating factors of size n = 8 have k n numbers and k - 1 changes without effect. How many factors are "
        "needed at least to have as many degrees of freedom as an 8 x 8 matrix has entries?",
        9,
        "8k - (k - 1) = 7k + 1 has to reach 64, so k = 9. In general it is n + 1.",
        wrong={
            8: "8 factors have 64 numbers, but 7 changes of them have no effect.",
            15: "That is 2n - 1, the theorem's number. Counting alone asks for fewer.",
            3: "Three factors have 22 degrees of freedom.",
            10: "Nine are enough: 7 * 9 + 1 = 64.",
        },
    ),
    Question(
        "03.q6",
        "a1 and a3 start at zero, c does not. How many of the three gradients are not zero?",
        0,
        "Each gradient contains the two other factors, and at least one of them is zero. So training never begins.",
        wrong={
            1: "That holds if exactly one factor is zero. Here the gradient of a1 contains a3, that of a3 contains a1.",
            2: "The gradient of a1 contains a3, which is zero. That of a3 contains a1.",
            3: "A factor's gradient contains the two others.",
        },
    ),
    Question(
        "03.q7",
        "Table 2 prints 1.41G FLOPs for FourierFT and 2.72M for CDVFT. How many times as large is the first?",
        518.4,
        "1.41e9 / 2.72e6 is 518. The text says 51.81: the digits are right, the factor of ten is not.",
        wrong={
            51.81: "So says the paper's section 1. Divide 1.41e9 by 2.72e6 yourself.",
            5184: "You are off by ten: 1.41G is 1410M.",
        },
        tolerance=2.0,
    ),
    Question(
        "03.q8",
        "At the paper's scale, C3A needs learning rates hundreds of times as large as LoRA's. Does CDVFT as printed, "
        "with alpha = 1?",
        "b",
        "C3A's scale contains 1 / d_in, and CDVFT's does not. Its rates are close to LoRA's.",
        choices={
            "a": "yes, because its circulant is C3A's",
            "b": "no, rates like LoRA's",
            "c": "no, rates hundreds of times smaller than LoRA's",
        },
        wrong={
            "a": "Compare the scales in front of the two circulants.",
            "c": "A step moves each entry of the kernel by the rate, and with diagonals of ones each entry of ΔW too.",
        },
    ),
)
