"""Exercises on counting the floating-point operations of LoRA and C3A."""

import math

from ..exercise_type import Exercise, Twin


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

FLOPS = (LORA, C3A)
