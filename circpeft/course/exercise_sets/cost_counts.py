"""Exercises on counting: parameters, tokens at equal cost, and saved bytes."""

from ..exercise_type import Exercise, Twin


def equal_rank(d_in: int, d_out: int, b: int) -> int:
    """Return the largest rank of a LoRA that has at most the d_in d_out / b parameters of C3A."""
    rank = 0
    while (rank + 1) * (d_in + d_out) <= d_in * d_out // b:
        rank += 1
    return rank


def equal_rank_by_division(d_in: int, d_out: int, b: int) -> int:
    return d_in * d_out // b // (d_in + d_out)


def cheaper_from(once: int, each: int, other_once: int, other_each: int) -> int:
    """Return the smallest t with once + each * t < other_once + other_each * t, where each < other_each."""
    tokens = 0
    while once + each * tokens >= other_once + other_each * tokens:
        tokens += 1
    return tokens


def cheaper_by_division(once: int, each: int, other_once: int, other_each: int) -> int:
    return (once - other_once) // (other_each - each) + 1


def shared_input_bytes(tokens: int, d_in: int, r: int, layers: int, size: int) -> int:
    """Return the bytes that LoRA saves in several layers with one input: x once, and A x in each layer."""
    return size * tokens * (d_in + layers * r)


EQUAL_RANK = Exercise(
    "05.1",
    "The rank with as many parameters",
    1,
    5,
    "C3A has d_in d_out / b numbers, and LoRA r (d_in + d_out). Set them equal, solve for r, and round down.",
    equal_rank,
    lambda g: [(12, 6, 2), (768, 768, 128), (768, 768, 768), (768, 768, 6), (4096, 11008, 128), (1024, 4096, 64)],
    importance=3,
    allowed="integer arithmetic.",
    solution=equal_rank_by_division,
    twins=(
        Twin(
            "one of the two matrices",
            "You counted LoRA's A with r d_in numbers, and not its B with r d_out.",
            lambda d_in, d_out, b: d_out // b,
        ),
        Twin(
            "rounded up",
            "You rounded up, so your LoRA has more parameters than C3A. The budget is an upper limit.",
            lambda d_in, d_out, b: -(-(d_in * d_out // b) // (d_in + d_out)),
        ),
        Twin(
            "square layers only",
            "Your formula d / (2 b) holds for square layers. In general the rank is d_in d_out / (b (d_in + d_out)).",
            lambda d_in, d_out, b: d_in // (2 * b),
        ),
    ),
)

CHEAPER = Exercise(
    "05.4",
    "From how many tokens is it cheaper?",
    2,
    10,
    "Both costs are linear in the number of tokens. Where do the two lines meet? Which whole number comes next?",
    cheaper_from,
    lambda g: [(100, 1, 0, 3), (90, 1, 0, 4), (1000, 7, 13, 11), (5, 2, 4, 3), (864, 0, 0, 3)],
    importance=3,
    allowed="integer arithmetic; try it without a loop.",
    solution=cheaper_by_division,
    twins=(
        Twin(
            "the tie or the token before it",
            "At your number of tokens the first method is not cheaper yet. At the next integer it is.",
            lambda once, each, other_once, other_each: (once - other_once) // (other_each - each),
        ),
        Twin(
            "a tie counted as cheaper",
            "Where the lines meet at a whole number, both cost the same there. You need the next one.",
            lambda once, each, other_once, other_each: -(-(once - other_once) // (other_each - each)),
        ),
        Twin(
            "the other's fixed cost ignored",
            "You left out other_once. Only the difference of the two fixed costs has to be made up for.",
            lambda once, each, other_once, other_each: once // (other_each - each) + 1,
        ),
    ),
)

SHARED = Exercise(
    "05.5",
    "Bytes saved by layers with one input",
    1,
    5,
    "Autograd saves the tensor x once, whoever needs it. Each layer has its own A, so each saves its own A x.",
    shared_input_bytes,
    lambda g: [(1, 4, 2, 3, 4), (256, 768, 8, 1, 4), (256, 768, 8, 3, 4), (512, 1024, 16, 2, 2), (7, 10, 1, 5, 2)],
    allowed="integer arithmetic.",
    solution=shared_input_bytes,
    twins=(
        Twin(
            "x saved in every layer",
            "You counted x once per layer. The layers have the same input, so they share one saved tensor.",
            lambda tokens, d_in, r, layers, size: size * tokens * layers * (d_in + r),
        ),
        Twin(
            "A x forgotten",
            "You counted x only. The gradient of B needs A x, which LoRA saves too.",
            lambda tokens, d_in, r, layers, size: size * tokens * d_in,
        ),
        Twin(
            "one A x for all layers",
            "You counted A x once. Each layer has its own A.",
            lambda tokens, d_in, r, layers, size: size * tokens * (d_in + r),
        ),
        Twin(
            "numbers, not bytes",
            "You counted numbers. Each has `size` bytes.",
            lambda tokens, d_in, r, layers, size: tokens * (d_in + layers * r),
        ),
    ),
)

COUNTS = (EQUAL_RANK, CHEAPER, SHARED)
