"""The exercises and questions of notebook 05, on costs and on checking printed figures."""

import math

from ..exercise_type import Exercise, Question, Twin
from .cost_counts import COUNTS
from .flop_counts import FLOPS


def fitting_ranks(per_rank: int, printed: float, unit: float) -> tuple[int, int]:
    """Return the lowest and the highest rank whose count, in this unit and with two decimals, is the printed one."""
    ranks = [r for r in range(1, 4097) if round(r * per_rank / unit, 2) == printed]
    return ranks[0], ranks[-1]


def ranks_in_interval(per_rank: int, printed: float, unit: float) -> tuple[int, int]:
    low, high = (printed - 0.005) * unit, (printed + 0.005) * unit
    return int(-(-low // per_rank)), int(high // per_rank)


def _between(per_rank: int, low: float, high: float) -> tuple[int, int]:
    return math.ceil(low / per_rank), math.floor(high / per_rank)


def padded_parameters(d_in: int, d_out: int, p: int) -> int:
    """Return CDVFT's parameters as counted in its Table 3: the circulant is padded to a square of p by p blocks."""
    blocks = -(-max(d_in, d_out) // p)
    return d_in + d_out + blocks * blocks * p


def kernels(d_in: int, d_out: int, p: int) -> int:
    """Return how many numbers a rectangle of blocks has."""
    return -(-d_in // p) * -(-d_out // p) * p


def effective_share(d_in: int, d_out: int, p: int) -> float:
    """Return the share of the padded square's parameters that have an effect: diagonals and a rectangle of blocks."""
    return (d_in + d_out + kernels(d_in, d_out, p)) / padded_parameters(d_in, d_out, p)


def share_of_square(d_in: int, d_out: int, p: int) -> float:
    across, down, side = (-(-d // p) for d in (d_in, d_out, max(d_in, d_out)))
    return (d_in + d_out + across * down * p) / (d_in + d_out + side**2 * p)


AUDIT = (
    Exercise(
        "05.6",
        "Which ranks fit a printed figure?",
        2,
        15,
        "A count that is printed as 28.05M lies between 28.045 and 28.055 million. Which whole ranks give such a "
        "count? You can also try all ranks up to 1,000 and round each count.",
        fitting_ranks,
        lambda g: [
            (333, 0.02, 1e6),
            (1753088, 28.05, 1e6),
            (1862656, 0.01, 1e9),
            (1001, 0.05, 1e6),
            (36864, 0.59, 1e6),
        ],
        allowed="Python only.",
        solution=ranks_in_interval,
        twins=(
            Twin(
                "the nearest rank only",
                "You returned the rank with the nearest count. Other ranks may be rounded to the printed figure, too.",
                lambda per_rank, printed, unit: (round(printed * unit / per_rank),) * 2,
            ),
            Twin(
                "decimals cut off",
                "You cut the decimals off. Printed figures are rounded, by up to half a unit of the last decimal.",
                lambda per_rank, printed, unit: _between(per_rank, printed * unit, (printed + 0.01) * unit),
            ),
            Twin(
                "a whole unit to either side",
                "You allowed a whole unit of the last decimal to either side. Rounding changes half a unit at most.",
                lambda per_rank, printed, unit: _between(per_rank, (printed - 0.01) * unit, (printed + 0.01) * unit),
            ),
        ),
    ),
    Exercise(
        "05.7",
        "Parameters on padded squares",
        1,
        5,
        "How many blocks of size p does the longer side need? The square has the same number along both sides.",
        padded_parameters,
        lambda g: [(4, 4, 4), (10, 7, 4), (4096, 4096, 2048), (4096, 11008, 4096), (11008, 4096, 2048)],
        allowed="integer arithmetic.",
        solution=padded_parameters,
        twins=(
            Twin(
                "a rectangle of blocks",
                "You counted the rectangle of Eq. 12. The paper's count is that of a square on the longer side.",
                lambda d_in, d_out, p: d_in + d_out + kernels(d_in, d_out, p),
            ),
            Twin(
                "rounded down",
                "You rounded the number of blocks down. A side that p does not divide is padded, so round up.",
                lambda d_in, d_out, p: d_in + d_out + (max(d_in, d_out) // p) ** 2 * p,
            ),
            Twin(
                "one row of blocks",
                "You counted one row of blocks. A square has as many rows as columns.",
                lambda d_in, d_out, p: d_in + d_out - (-max(d_in, d_out) // p) * p,
            ),
        ),
    ),
    Exercise(
        "05.8",
        "The share of parameters with an effect",
        2,
        10,
        "With an effect: the two diagonals, and the kernels of a rectangle of blocks. Counted: exercise 05.7.",
        effective_share,
        lambda g: [(4, 4, 4), (10, 7, 4), (4096, 11008, 4096), (11008, 4096, 2048), (40, 107, 40), (768, 3072, 768)],
        allowed="arithmetic and your function of 05.7.",
        solution=share_of_square,
        twins=(
            Twin(
                "diagonals left out",
                "You compared the kernels only. The diagonals are counted too, and all of them have an effect.",
                lambda d_in, d_out, p: kernels(d_in, d_out, p) / (-(-max(d_in, d_out) // p)) ** 2 / p,
            ),
            Twin(
                "the share without an effect",
                "You returned the share of the parameters that have no effect.",
                lambda d_in, d_out, p: 1 - effective_share(d_in, d_out, p),
            ),
            Twin(
                "upside down",
                "You divided the printed count by the effective one. A share is at most 1.",
                lambda d_in, d_out, p: 1 / effective_share(d_in, d_out, p),
            ),
        ),
    ),
)

EXERCISES = tuple(sorted((*COUNTS, *FLOPS, *AUDIT), key=lambda item: item.id))

QUESTIONS = (
    Question(
        "05.q1",
        "A layer has 768 x 768 weights. How many numbers does C3A train on it with blocks of b = 128?",
        4608,
        "There are 6 x 6 blocks with a kernel of 128 numbers each: 768 * 768 / 128.",
        wrong={
            768: "That is one kernel of 768. Blocks of 128 give 36 kernels.",
            128: "That is one kernel. There are 6 x 6 blocks.",
            36: "That is the number of blocks. Each has a kernel of 128 numbers.",
            589824: "That is the number of weights. A block of 128 x 128 weights has a kernel of 128 numbers.",
        },
    ),
    Question(
        "05.q2",
        "The abstract promises 'much less FLOPs'. By the paper's own count of Table 2, how many FLOPs does CDVFT need "
        "per token on a layer of 768 x 768, compared with LoRA of rank 16?",
        "c",
        "By that count CDVFT needs 4.5 times LoRA's. In one unit, and with the kernel's transform once per step, it is "
        "a little less than LoRA.",
        choices={"a": "about a tenth", "b": "about the same", "c": "more than four times", "d": "fifty times"},
        wrong={
            "a": "The abstract's comparison is with FourierFT. LoRA's two thin products are cheap.",
            "b": "That is nearly so in one unit. The paper counts LoRA's multiply-adds as one and its own as two.",
            "d": "That is the paper's ratio to FourierFT, a tenth of what its tables give.",
        },
    ),
    Question(
        "05.q3",
        "For the backward pass, LoRA (r = 8) saves x and A x. C3A saves x and transforms it again. Which saves more on "
        "a layer of 768 x 768?",
        "a",
        "LoRA saves 768 + 8 numbers per token and C3A 768. The parameters do not matter here, the input does.",
        choices={
            "a": "LoRA, by about 1 %",
            "b": "C3A, because it keeps spectra",
            "c": "LoRA, many times as much",
        },
        wrong={
            "b": "It could, but it does not: it transforms x again in the backward pass.",
            "c": "Ax has only r = 8 numbers per token, and both save x.",
        },
    ),
    Question(
        "05.q4",
        "Apart from measured scores, the audit covers 180 printed figures. How many of them follow from the "
        "settings in the text?",
        "b",
        "130 of 180. For most of the others the text names other settings, or leaves out what is needed.",
        choices={"a": "nearly all", "b": "about seven in ten", "c": "fewer than a quarter"},
        wrong={
            "a": "That nearly holds for C3A's tables. For many of CDVFT's, the text names other ranks or layers.",
            "c": "Most of C3A's tables can be recomputed to the last digit.",
        },
    ),
    Question(
        "05.q5",
        "A layer from 4096 to 11008 features is padded to a square of 3 x 3 blocks of 4096. How many of the 9 kernels "
        "have an effect?",
        3,
        "The input fills one block only. One kernel in each of the three block rows meets it, the others meet zeros.",
        wrong={
            9: "The input has 4096 entries. What do the other two block columns multiply?",
            6: "Those are the ones without an effect.",
            1: "The input is one block, but it reaches three output blocks.",
        },
    ),
)
