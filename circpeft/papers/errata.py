"""The mistakes in both papers as data, each with the computation that proves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import proofs


@dataclass(frozen=True)
class Erratum:
    """One mistake: where it stands, what is printed, what is right, and a proof.

    ``proof()`` computes and returns its figures by name, and raises AssertionError where they would not prove it.
    """

    key: str
    paper: str
    place: str
    printed: str
    right: str
    proof: Callable[[], dict[str, float]]


ERRATA = (
    Erratum("transpose", "c3a", "section 3.3", "dL/dx = C(w) dL/dz",
            "dL/dx = C(w)^T dL/dz: with the first-row layout the transpose is another matrix", proofs.transpose),
    Erratum("kernel-gradient", "c3a", "section 3.3", "dL/dw = C(x) dL/dz",
            "dL/dw = C(dL/dz) x; the printed one is it with the index reversed", proofs.kernel_gradient),
    Erratum("commutativity", "c3a", "section 3.3", "C(w) x = C(x) w",
            "false for first-row circulants (correlation), true for first-column ones (convolution)",
            proofs.commutativity),
    Erratum("eigendecomposition", "c3a", "section 3.2", "C(w) = F (Λ/d) F^-1",
            "F Λ F^-1, or F (Λ/d) F^H: the printed one is too small by d", proofs.eigendecomposition),
    Erratum("block-letter", "c3a", "section 3.4 against the first version", "b is the block size",
            "in the first version b counts the blocks a side (b d parameters): one formula with the other's b is wrong",
            proofs.two_meanings_of_b),
    Erratum("kernel-transforms", "c3a", "Table 1", "O((d1+d2) log b + d1 d2 / b)",
            "plus d1 d2 / b log b for the kernels' own transforms, once a step", proofs.kernel_transforms),
    Erratum("full-rank", "c3a", "section 4.2",
            "nearly all learnt circulant matrices have full rank, which supports the results",
            "random kernels have full rank as well: it is no evidence", proofs.full_rank),
    Erratum("auxiliary", "c3a", "Table 1 against the first version", "b other numbers",
            "the first version prints 0, for the same algorithm", proofs.auxiliary_numbers),
    Erratum("less-than-half", "c3a", "section 4.3", "less than half of LoRA's parameters",
            "exactly half for two of the three models", proofs.less_than_half),
    Erratum("surpasses", "c3a", "section 4.3", "generally surpasses LoRA across LLaMA2-7B/13B and LLaMA3-8B",
            "for LLaMA2-13B LoRA is ahead on three of four tasks of Table 3", proofs.surpasses),
    Erratum("factor-of-ten", "cdvft", "sections 1, 4.1, 4.2", "51.81x, 51.89x and 51.9x fewer FLOPs than FourierFT",
            "519x by Table 2, of which 51.81 is not even a tenth; and FourierFT's are a step's, CDVFT's a token's",
            proofs.factor_of_ten),
    Erratum("diagonal-gradient", "cdvft", "Eq. 9, in one of two conversions of the text",
            "dL/da_{2j-1} = dL/dy_{2j-2} * y_{2j-2}",
            "dL/da_{2j-1} = dL/dy_{2j-1} * y_{2j-2}; and dL/dy_{2j-2} = a_{2j-1} * dL/dy_{2j-1}, which is left out",
            proofs.diagonal_gradient),
    Erratum("shift-is-conjugate", "cdvft", "Eq. 10", "the transform of a shifted real vector is the conjugate",
            "so Eq. 10 holds for real factors alone: complex ones need Eq. 11, which does not say so",
            proofs.shift_is_conjugate),
    Erratum("factors", "cdvft", "Figure 1", "m = 1, drawn with two diagonals and a circulant",
            "m = 1 is one diagonal (2 m - 1 factors); the experiments have m = 2", proofs.number_of_factors),
    Erratum("ranks", "cdvft", "section 4.3", "LoRA has r = 8 (Alpaca) and r = 64 (GSM8K)",
            "Table 3 comes out with r = 64 for Alpaca, and r = 16 (parameters) and r = 8 (FLOPs) for GSM8K",
            proofs.ranks),
    Erratum("vera-layers", "cdvft", "section 4.3", "VeRA adapts all layers in MHSA and MLP",
            "Table 3 comes out without the attention's output projection", proofs.vera_layers),
    Erratum("padded-squares", "cdvft", "Table 3", "7.26M and 4.51M trainable parameters",
            "squares padded: of these 4.11M and 2.93M can act; Eq. 12 has exactly those", proofs.padded_squares),
    Erratum("vera-comparison", "cdvft", "section 4.2", "fewer parameters and more FLOPs than VeRA",
            "Table 2 has three times the parameters and a third of the FLOPs", proofs.vera_comparison),
    Erratum("mixed-units", "cdvft", "Table 2", "2.72M FLOPs against LoRA's 0.61M",
            "LoRA's count multiply-adds as one, the transforms' real operations: in one unit the ratio is another",
            proofs.mixed_units),
    Erratum("gauges", "cdvft", "section 3.4", "3 d parameters of A C A",
            "two scales cancel between the factors: 3 d - 2 degrees of freedom", proofs.gauges),
    Erratum("padding", "cdvft", "section 3.3", "padded through replication",
            "zeros, circular and edge padding give different products; which is meant is not said", proofs.padding),
    Erratum("rounding", "cdvft", "Table 3 against section 3.3", "parameters with whole blocks, FLOPs with fractions",
            "section 3.3 rounds up: 0.24G FLOPs for p = 2048, not 0.22G", proofs.rounding_of_blocks),
    Erratum("submatrices", "cdvft", "section 3.3", "corresponding submatrices are multiplied element-wise",
            "their transforms are; Eq. 12 is right", proofs.submatrices),
    Erratum("zero-start", "cdvft", "section 3", "nothing is said of the start",
            "exactly one factor may be zero: with two no factor has a gradient", proofs.zero_start),
)  # fmt: skip


def errata() -> list[Erratum]:
    """The mistakes found in both papers, each with the computation that proves it.

    >>> next(e for e in errata() if e.key == "commutativity").proof()
    {'largest difference': 2.0}
    """
    return list(ERRATA)
