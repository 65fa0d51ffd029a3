"""The exercises of notebook 04 on the grid of blocks: places, sizes, letters and padding."""

from ..block_fits import common_divisors
from ..exercise_type import Exercise, Twin


def place(i: int, j: int, b: int) -> tuple[int, int, int]:
    """Return (I, J, k) with entry (i, j) of the block-circulant matrix equal to w[I, J, k], in the row layout."""
    return i // b, j // b, (j % b - i % b) % b


def place_solution(i, j, b):
    return i // b, j // b, (j - i) % b


def size_for_budget(d_in: int, d_out: int, budget: int) -> int:
    """Return the smallest common divisor b of d_in and d_out with d_in * d_out / b at most ``budget``."""
    return min(b for b in common_divisors(d_in, d_out) if d_in * d_out // b <= budget)


def size_for_budget_solution(d_in, d_out, budget):
    common = [b for b in range(1, d_in + 1) if d_in % b == 0 and d_out % b == 0]
    return min(b for b in common if d_in * d_out // b <= budget)


def later_letters(d: int, count: int) -> tuple[int, int]:
    """Return the block size and the number of parameters of a square layer with ``count`` blocks along each side."""
    size = d // count
    return size, count * count * size


def later_letters_solution(d, count):
    return d // count, count * d


def acting(rows: int, columns: int, b: int) -> int:
    """Return how many entries of a kernel of length b occur in the first rows and columns of its circulant."""
    return len({(j - i) % b for i in range(rows) for j in range(columns)})


def acting_solution(rows, columns, b):
    return min(b, rows + columns - 1)


def _common(d_in: int, d_out: int, budget: int) -> list[int]:
    return [b for b in common_divisors(d_in, d_out) if d_in * d_out // b <= budget]


def _any_divisor(d_in: int, d_out: int, budget: int) -> int:
    return min(b for b in range(1, d_in * d_out + 1) if d_in * d_out % b == 0 and d_in * d_out // b <= budget)


GRID_EXERCISES = (
    Exercise(
        "04.1",
        "Which kernel entry stands where",
        1,
        5,
        "In which block is row i, and which row of that block is it? Inside a block, the row layout has "
        "w[(column - row) mod b]. A multiple of b does not change a number mod b.",
        place,
        lambda g: [(19, 9, 7), (9, 18, 7), (13, 3, 7), (11, 7, 3), (6, 20, 4), (0, 5, 7)],
        twins=(
            Twin(
                "layout exchanged",
                "Your index is (i - j) mod b, that of the column layout. In the row layout, the index grows with j.",
                lambda i, j, b: (i // b, j // b, (i - j) % b),
            ),
            Twin(
                "block row and block column swapped",
                "You return (J, I, k). The row i decides which block row I it is, and the column j decides J.",
                lambda i, j, b: (j // b, i // b, (j - i) % b),
            ),
            Twin(
                "difference not wrapped",
                "Your k is j mod b minus i mod b. Below the diagonal of a block this is negative: take it mod b.",
                lambda i, j, b: (i // b, j // b, j % b - i % b),
            ),
            Twin(
                "place in the block",
                "Your k is the column inside the block. Only in the block's first row is that the place in the kernel.",
                lambda i, j, b: (i // b, j // b, j % b),
            ),
        ),
        importance=3,
        allowed="whole numbers with `+`, `-`, `//` and `%`.",
        solution=place_solution,
    ),
    Exercise(
        "04.2",
        "The block size for a budget",
        2,
        10,
        "The block sizes that fit divide both d_in and d_out. Fewer parameters need a larger b.",
        size_for_budget,
        lambda g: (
            [(56, 84, 400), (42, 56, 400), (36, 48, 200), (48, 48, 300), (768, 3072, 20_000), (7, 7, 10)]
            + [(48, 48, 288), (36, 48, 288), (48, 48, 380), (56, 84, 330)]
        ),
        twins=(
            Twin(
                "divides the weight, not both sides",
                "Your b divides d_in * d_out, but a block is a square: b has to divide each of the two sides.",
                _any_divisor,
            ),
            Twin(
                "number of blocks",
                "You return the number of blocks along the shorter side. That is b in the paper's first version; here "
                "b is the size of a block.",
                lambda d_in, d_out, budget: min(d_in, d_out) // size_for_budget(d_in, d_out, budget),
            ),
            Twin(
                "largest size",
                "Your b is the largest that fits. It keeps within the budget, but a smaller one uses more of it.",
                lambda d_in, d_out, budget: max(_common(d_in, d_out, budget)),
            ),
            Twin(
                "over the budget",
                "Your b has more parameters than the budget allows: it is the next smaller common divisor.",
                lambda d_in, d_out, budget: max(
                    [b for b in common_divisors(d_in, d_out) if d_in * d_out // b > budget], default=1
                ),
            ),
            Twin(
                "nearest to the budget",
                "Your b comes nearest to the budget, and sometimes exceeds it. The budget is an upper limit.",
                lambda d_in, d_out, budget: min(
                    common_divisors(d_in, d_out), key=lambda b: abs(d_in * d_out // b - budget)
                ),
            ),
            Twin(
                "budget not used up",
                "Your b never uses the whole budget. Exactly `budget` parameters are allowed, too.",
                lambda d_in, d_out, budget: size_for_budget(d_in, d_out, budget - 1),
            ),
        ),
        importance=3,
        solution=size_for_budget_solution,
    ),
    Exercise(
        "04.3",
        "From the first version's b to the later one's",
        1,
        5,
        "In the first version, b is the number of blocks along each side of a d by d layer. How large is one block? "
        "How many blocks are there in all?",
        later_letters,
        lambda g: [(84, 7), (768, 6), (768, 1), (1024, 8), (4096, 32), (35, 5)],
        twins=(
            Twin(
                "the letter kept",
                "You read the first version's b as a size: d * d / b parameters. There it is a number of blocks.",
                lambda d, count: (count, d * d // count),
            ),
            Twin(
                "the later formula with the first version's letter",
                "Your block size is right. Your second number is d * d / count, but in d * d / b the b is that size.",
                lambda d, count: (d // count, d * d // count),
            ),
            Twin(
                "kernels counted, not their entries",
                "Your second number counts the kernels. Each of them has as many entries as a block has rows.",
                lambda d, count: (d // count, count * count),
            ),
            Twin(
                "only one row of blocks",
                "You counted the kernels of one row of blocks, d numbers. There are as many rows of blocks as columns.",
                lambda d, count: (d // count, d),
            ),
        ),
        solution=later_letters_solution,
    ),
    Exercise(
        "04.4",
        "Kernel entries that act",
        2,
        10,
        "Which values does column - row take in this part? They are whole numbers without a gap. How many of them "
        "differ mod b?",
        acting,
        lambda g: [(3, 2, 7), (1, 1, 7), (5, 3, 9), (4, 5, 12), (2, 7, 7), (1, 6, 16), (7, 7, 7)],
        twins=(
            Twin(
                "all of them",
                "You count the whole kernel. In a small corner of the block, some of its diagonals do not occur.",
                lambda rows, columns, b: b,
            ),
            Twin(
                "one too many",
                "You added the two sides. The diagonal through the corner entry belongs to both, and counts once.",
                lambda rows, columns, b: min(b, rows + columns),
            ),
            Twin(
                "longer side only",
                "You count the diagonals that begin along one side. Those that begin along the other act as well.",
                lambda rows, columns, b: max(rows, columns),
            ),
            Twin(
                "cells instead of diagonals",
                "You count the cells of the part. Cells on one diagonal share a kernel entry.",
                lambda rows, columns, b: min(b, rows * columns),
            ),
        ),
        importance=2,
        solution=acting_solution,
    ),
)
