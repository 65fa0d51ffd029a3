"""The exercises and questions of notebook 02, on C3A's product, gradients and scale."""

from ..exercise_type import Question
from .nb02_blocks import BLOCKS, block_forward
from .nb02_checks import CHECKS
from .nb02_gradients import GRADIENTS
from .nb02_product import FORWARD
from .nb02_steps import STEPS

__all__ = ["EXERCISES", "QUESTIONS", "block_forward"]

EXERCISES = (*FORWARD, *GRADIENTS, *CHECKS, *BLOCKS, *STEPS)

QUESTIONS = (
    Question(
        "02.q1",
        "The closest circulant of a random 64 × 64 matrix M: which share of the sum of squares of M does it keep?",
        "c",
        "Circulants are a space of 64 dimensions among the 4,096 of all matrices, and a random matrix has the same "
        "share in every dimension.",
        choices={"a": "about half", "b": "about 1/8", "c": "about 1/64", "d": "about 1/4096"},
        wrong={
            "a": "A mean over 64 random entries is small: their signs cancel.",
            "b": "The mean of 64 random entries is about 1/8 of their size. Its square is what counts here.",
            "d": "That is the share of a single dimension. Circulants have 64 free numbers.",
        },
    ),
    Question(
        "02.q2",
        "Now the features of the random matrix come in another order, drawn at random. Which share does its closest "
        "circulant keep?",
        "b",
        "In a random matrix no order is special, so about 1/64 is kept in any order. A trained matrix is not random: "
        "only a measurement can show whether its order matters.",
        choices={"a": "a smaller one", "b": "about the same", "c": "a larger one"},
        wrong={
            "a": "The first order was not chosen to suit circulants either.",
            "c": "Nothing in a random order suits circulants better.",
        },
    ),
    Question(
        "02.q3",
        "The paper's gradient C(w) g lacks a transpose. How long is it, compared with the true one, C(w)ᵀ g?",
        "b",
        "At each frequency the two differ by a conjugate, which changes the phase but not the absolute value.",
        choices={"a": "shorter", "b": "equally long", "c": "longer", "d": "it depends on g"},
        wrong={
            "a": "Compare the absolute values of the two at one frequency.",
            "c": "Compare the absolute values of the two at one frequency.",
            "d": "For a general matrix it would. For a circulant, compare the two at one frequency.",
        },
    ),
    Question(
        "02.q4",
        "And its direction? What is the cosine of the printed and the true gradient, for a random kernel with d = 768?",
        "c",
        "Every frequency is turned by a random angle, so on average nothing of the direction is left.",
        choices={"a": "near 1", "b": "near 0.7", "c": "near 0", "d": "near -1"},
        wrong={
            "a": "That would be a harmless mistake. The phase of every frequency is wrong.",
            "b": "That would be half the frequencies right. Only one or two of 768 are.",
            "d": "That would be the opposite direction. The angles are random, not 180 degrees.",
        },
    ),
    Question(
        "02.q5",
        "A test suite runs gradcheck on C3A with some block sizes. With which of them can it not see that the "
        "transpose is missing?",
        "a",
        "A circulant of size 1 or 2 is symmetric, so it is its own transpose.",
        choices={"a": "1 and 2", "b": "all powers of 2", "c": "odd ones", "d": "none of them"},
        wrong={
            "b": "For b = 4, the kernel (0, 1, 0, 0) shifts right. Its transpose shifts left.",
            "c": "For b = 3, the kernel (0, 1, 0) shifts right. Its transpose shifts left.",
            "d": "Write down the circulant of (p, q). What is its transpose?",
        },
    ),
    Question(
        "02.q6",
        "A network with four adapted layers learns a small change with the printed ∂L/∂x and the right ∂L/∂w. What "
        "will its loss curve look like?",
        "b",
        "Most of the gradient goes through the frozen weights, and this part is right.",
        choices={"a": "it rises", "b": "much like the right one", "c": "it stays flat"},
        wrong={
            "a": "The kernels' own gradients are right, and the layers see most of ∂L/∂x through the frozen weights.",
            "c": "The last layer, at least, has the right gradient. So the loss has to fall.",
        },
    ),
    Question(
        "02.q7",
        "A layer has d = 768 inputs and outputs, and a text says b = 128. By which factor do the numbers of parameters "
        "differ if b is the number of blocks, or the size of a block?",
        128 * 128 / 768,
        "As a number of blocks: b d = 98,304. As a size: d² / b = 4,608.",
        wrong={
            1: "The two agree only for b² = d.",
            6: "6 is the number of blocks along a side if b is the size. Compare b d with d² / b.",
        },
        tolerance=0.5,
    ),
    Question(
        "02.q8",
        "LoRA is often trained at a rate near 0.001. Would C3A learn at such a rate with the paper's scale, "
        "ΔW = C(w) / d_in?",
        "c",
        "Adam makes up for the small gradient, but not for the small step of ΔW.",
        choices={
            "a": "yes: Adam adapts to the size of the gradient",
            "b": "yes, but only for square layers",
            "c": "hardly: ΔW moves d_in times less than w",
            "d": "no: it diverges",
        },
        wrong={
            "a": "Adam adapts the step of w. But ΔW is w divided by d_in.",
            "b": "The division by d_in is there for square layers, too.",
            "d": "A step that is too small does not diverge.",
        },
    ),
)
