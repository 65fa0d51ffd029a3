"""Exercises on counting: parameters, floating-point operations, tokens at equal cost, and saved bytes."""

import math

from ..exercise_type import Exercise, Twin


def equal_rank(d_in: int, d_out: int, b: int) -> int:
    """Return the largest rank of a LoRA that has at most the d_in d_out / b parameters of C3A."""
    rank = 0
    while (rank + 1) * (d_in + d_out) <= d_in * d_out // b:
        rank += 1
    return rank


def equal_rank_by_division(d_in: int, d_out: int, b: int) -> int:
    return d_in * d_out // b // (d_in + d_out)


def lora_flops(tokens: int, d_in: int, d_out: int, r: int) -> int:
    """Return the operations of B (A x), its scale and its sum with the layer's output, for all tokens."""
    return tokens * (2 * d_in * r + 2 * r * d_out + 2 * d_out)


def transform_flops(b: int) -> float:
    """Return the operations of a transform of b real numbers: half of 5 b log2 b."""
    return 2.5 * b * math.log2(b)


def c3a_flops(tokens: int, m: int, n: int, b: int) -> float:
    """Return the operations of a block-circulant product: transforms of tokens and kernels, and complex products."""
    return (tokens * (n + m) + m * n) * transform_flops(b) + 8 * tokens * m * n * (b // 2 + 1)


def c3a_operations(tokens: int, m: int, n: int, b: int) -> float:
    transforms = tokens * (n + m) + m * n
    return transforms * 2.5 * b * math.log2(b) + 8 * tokens * m * n * (b // 2 + 1)


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

LORA = Exercise(
    "05.2",
    "LoRA's operations",
    1,
    10,
    "A x has r entries, each a sum of d_in products: 2 d_in r operations per token. Then B (A x), then for every entry "
    "of the output one multiplication by the scale and one addition.",
    lora_flops,
    lambda g: [(1, 4, 3, 2), (10, 6, 8, 1), (256, 768, 768, 8), (64, 1024, 4096, 16), (1, 4096, 11008, 32)],
    importance=3,
    allowed="integer arithmetic.",
    solution=lora_flops,
    twins=(
        Twin(
            "a multiplication and an addition counted as one",
            "You counted a multiplication and its addition as one operation, as CDVFT's tables do for LoRA. Here each "
            "counts, so everything doubles.",
            lambda tokens, d_in, d_out, r: tokens * (d_in * r + r * d_out + d_out),
        ),
        Twin(
            "scale and sum forgotten",
            "Both products are right. Scaling B A x and adding it to the layer's output need 2 d_out more per token.",
            lambda tokens, d_in, d_out, r: 2 * tokens * r * (d_in + d_out),
        ),
        Twin(
            "scale or sum forgotten",
            "Both products are right. Then every output needs two operations, one for the scale and one for the sum.",
            lambda tokens, d_in, d_out, r: 2 * tokens * r * (d_in + d_out) + tokens * d_out,
        ),
        Twin(
            "products without their additions",
            "You counted the multiplications of both products and not their additions. There are as many of both.",
            lambda tokens, d_in, d_out, r: tokens * r * (d_in + d_out) + 2 * tokens * d_out,
        ),
        Twin(
            "B A built first",
            "You multiplied each token by the matrix B A. LoRA applies A, then B, and never builds B A.",
            lambda tokens, d_in, d_out, r: 2 * tokens * d_in * d_out + 2 * tokens * d_out,
        ),
    ),
)

C3A = Exercise(
    "05.3",
    "C3A's operations",
    3,
    15,
    "Per token: n transforms of the input and m inverse ones. Per step: m n transforms of kernels. At each of "
    "b//2 + 1 frequencies a complex m x n matrix multiplies each token; a complex product added to a sum has 8.",
    c3a_flops,
    lambda g: [
        (1, 1, 1, 4),
        (2, 2, 3, 4),
        (16, 6, 6, 128),
        (256, 1, 1, 768),
        (1000, 2, 8, 64),
        (7, 3, 1, 5),
        (3, 2, 2, 9),
    ],
    allowed="arithmetic and `math.log2`.",
    forbidden=("circpeft",),
    solution=c3a_operations,
    twins=(
        Twin(
            "kernels transformed for every token",
            "You transform the m n kernels again for every token, as CDVFT's count does. Once per step is enough.",
            lambda tokens, m, n, b: c3a_flops(tokens, m, n, b) + (tokens - 1) * m * n * transform_flops(b),
        ),
        Twin(
            "complex transforms",
            "You counted 5 b log2 b for each transform. The numbers are real, which halves it.",
            lambda tokens, m, n, b: c3a_flops(tokens, m, n, b) + (tokens * (n + m) + m * n) * transform_flops(b),
        ),
        Twin(
            "all b frequencies",
            "You multiply at b frequencies. The spectrum of real numbers is determined by b//2 + 1 of them.",
            lambda tokens, m, n, b: c3a_flops(tokens, m, n, b) + 8 * tokens * m * n * (b - b // 2 - 1),
        ),
        Twin(
            "sum of the products forgotten",
            "You counted 6 operations for a complex product. Adding it to a sum takes 2 more.",
            lambda tokens, m, n, b: c3a_flops(tokens, m, n, b) - 2 * tokens * m * n * (b // 2 + 1),
        ),
        Twin(
            "kernels forgotten",
            "You left out the transforms of the m n kernels. They come once per step.",
            lambda tokens, m, n, b: c3a_flops(tokens, m, n, b) - m * n * transform_flops(b),
        ),
        Twin(
            "half an odd length",
            "You have b/2 + 1 frequencies, also for odd b. There are b//2 + 1 of them: round b/2 down.",
            lambda tokens, m, n, b: c3a_flops(tokens, m, n, b) + 8 * tokens * m * n * (b / 2 - b // 2),
        ),
        Twin(
            "a complex product counted as one",
            "You counted one operation for a complex product, as CDVFT's tables do. With its sum it has 8 real ones.",
            lambda tokens, m, n, b: c3a_flops(tokens, m, n, b) - 7 * tokens * m * n * (b // 2 + 1),
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

COUNTS = (EQUAL_RANK, LORA, C3A, CHEAPER, SHARED)
