"""What differs between the first version of C3A (arXiv 2407.19342) and the later one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One difference between the two versions.

    Attributes:
        subject: what differs.
        place: where it is in the first version, and where in the later one if that has another number.
        first, later: what each version prints.
        effect: what follows for a reader.
    """

    subject: str
    place: str
    first: str
    later: str
    effect: str


DIFFERENCES = (
    Difference("authors", "title page", "five", "seven: Jiashun Cheng and Fugee Tsung are added",
               "circpeft cites the seven."),
    Difference("the letter b", "section 3.4", "number of blocks per side; d is divisible by b",
               "size of a block; a common divisor of d1 and d2",
               "At d = 768 and b = 128 the two meanings differ by 21 times. circpeft and PEFT use the size."),
    Difference("parameters", "section 3.4", "b d, from b² kernels of size d / b",
               "d1 d2 / b, from d1 d2 / b² kernels of size b", "The same numbers in different letters."),
    Difference("shape of a layer", "sections 3.1 and 3.4", "square, d x d", "d1 x d2, as in LLaMA3-8B (4096 x 1024)",
               "Only the later version covers layers that are not square."),
    Difference("names of rows", "Table 2", "C3A b=1, b=6, b=8", "C3A b=768/1, b=768/6, b=1024/1, b=1024/8",
               "The same runs: all fourteen rows of the first version have the same figures in both."),
    Difference("full fine-tuning", "Table 2", "no row", "a row for RoBERTa-base: 124M, 17.19 GB, average 83.92",
               "Its average is above that of C3A b=768/6, 83.84."),
    Difference("time of C3A", "Table 1", "O(b d log(d/b))", "O((d1+d2) log b + d1 d2 / b)",
               "The first includes the kernels' transforms, needed once per step; the later one leaves them out."),
    Difference("time of LoRA and VeRA", "Table 1", "O(r d), O(rv d)", "O(r (d1+d2)), O(rv (d1+d2))",
               "The same for square layers, up to a factor of two."),
    Difference("auxiliary numbers", "Table 1 and section 3.5.2", "LoRA r, VeRA 2 rv d + rv + d, C3A 0",
               "LoRA 0, VeRA rv (d1+d2), C3A b",
               "The first counts intermediate tensors and frozen projections; the later one counts only frozen "
               "projections and the work space of the transform."),
    Difference("ranks in practice", "Table 1, caption", "b <= r << rv", "max(d1, d2) / b <= r << rv",
               "The same condition in different letters."),
    Difference("choice of b", "section 3.5.1", "b much smaller than d", "b is the greatest common divisor of d1 and d2",
               "In the tables, b is d / 1 in two of nine rows."),
    Difference("commutativity", "section 3.3", "w * x = x * w, for the circular convolution", "C(w) x = C(x) w",
               "The gradients that follow, without a transpose, are the same in both."),
    Difference("experiments", "section 4", "GLUE (4.1)",
               "synthetic data (4.1), GLUE (4.2), instruction tuning (4.3), images (4.4)",
               "The first version also announces LLaMA, images and text-to-image generation; the text of it that we "
               "read has none of them. The later one no longer announces text-to-image generation."),
    Difference("full rank", "section 4.1, later 4.2", "not mentioned",
               "nearly all circulant matrices found by C3A have full rank",
               "So have those of random kernels: full rank does not show an effect of training."),
    Difference("figures", "section 3, later 1 to 4", "Figure 1: overview",
               "Figures 1 to 3: comparison, overview, clusters",
               "Figure numbers on these pages are those of the later version."),
)  # fmt: skip


def version_differences() -> list[Difference]:
    """Return what differs between the first version of C3A and the later one.

    >>> [d.later for d in version_differences() if d.subject == "the letter b"]
    ['size of a block; a common divisor of d1 and d2']
    """
    return list(DIFFERENCES)
