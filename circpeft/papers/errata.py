"""The mistakes in both papers as data, each with the computation that proves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import c3a_proofs, cdvft_proofs


@dataclass(frozen=True)
class Erratum:
    """One mistake in a paper.

    Attributes:
        key: its name.
        paper: "c3a" (arXiv 2407.19342) or "cdvft" (arXiv 2505.00580).
        place: section, equation, table or figure.
        printed: what the paper says.
        right: what is right.
        proof: a function that computes and returns figures by name, and raises AssertionError if they prove nothing.
    """

    key: str
    paper: str
    place: str
    printed: str
    right: str
    proof: Callable[[], dict[str, float]]


ERRATA = (
    Erratum("transpose", "c3a", "section 3.3", "dL/dx = C(w) dL/dz",
            "dL/dx = C(w)^T dL/dz. In the first-row layout, C(w)^T is not C(w).", c3a_proofs.transpose),
    Erratum("kernel-gradient", "c3a", "section 3.3", "dL/dw = C(x) dL/dz",
            "dL/dw = C(dL/dz) x. The printed expression is this gradient with its index reversed.",
            c3a_proofs.kernel_gradient),
    Erratum("commutativity", "c3a", "section 3.3", "C(w) x = C(x) w",
            "False for first-row circulants (correlation), true for first-column circulants (convolution).",
            c3a_proofs.commutativity),
    Erratum("eigendecomposition", "c3a", "section 3.2", "C(w) = F (Λ/d) F^-1",
            "C(w) = F Λ F^-1, or F (Λ/d) F^H. The printed matrix is too small by a factor of d.",
            c3a_proofs.eigendecomposition),
    Erratum("block-letter", "c3a", "section 3.4 against the first version", "b is the block size",
            "In the first version, b is the number of blocks per side (b d parameters). A formula of one version is "
            "wrong with the b of the other.", c3a_proofs.two_meanings_of_b),
    Erratum("kernel-transforms", "c3a", "Table 1", "O((d1+d2) log b + d1 d2 / b)",
            "The term d1 d2 / b log b is missing: the transforms of the kernels, once per step.",
            c3a_proofs.kernel_transforms),
    Erratum("full-rank", "c3a", "section 4.2",
            "nearly all learnt circulant matrices have full rank, which supports the results",
            "Circulant matrices of random kernels have full rank too, so this is not evidence.", c3a_proofs.full_rank),
    Erratum("auxiliary", "c3a", "Table 1 against the first version", "# Other is b",
            "The first version prints 0 for the same algorithm.", c3a_proofs.auxiliary_numbers),
    Erratum("less-than-half", "c3a", "section 4.3", "less than half of LoRA's parameters",
            "Exactly half for two of the three models.", c3a_proofs.less_than_half),
    Erratum("surpasses", "c3a", "section 4.3", "generally surpasses LoRA across LLaMA2-7B/13B and LLaMA3-8B",
            "For LLaMA2-13B, LoRA is ahead on three of the four tasks in Table 3.", c3a_proofs.surpasses),
    Erratum("factor-of-ten", "cdvft", "sections 1, 4.1, 4.2", "51.81x, 51.89x and 51.9x fewer FLOPs than FourierFT",
            "519x by Table 2; 51.81 is not even a tenth of that. Besides, FourierFT's FLOPs are per step and CDVFT's "
            "per token.", cdvft_proofs.factor_of_ten),
    Erratum("diagonal-gradient", "cdvft", "Eq. 9, in one of two conversions of the paper to text",
            "dL/da_{2j-1} = dL/dy_{2j-2} * y_{2j-2}",
            "dL/da_{2j-1} = dL/dy_{2j-1} * y_{2j-2}. The paper also leaves out dL/dy_{2j-2} = a_{2j-1} * dL/dy_{2j-1}.",
            cdvft_proofs.diagonal_gradient),
    Erratum("shift-is-conjugate", "cdvft", "Eq. 10", "the transform of a shifted real vector is the conjugate",
            "True only for real vectors, so Eq. 10 holds only for real factors. Complex factors need Eq. 11, but the "
            "paper does not say so.", cdvft_proofs.shift_is_conjugate),
    Erratum("factors", "cdvft", "Figure 1", "m = 1, drawn with two diagonals and a circulant",
            "With m = 1 there is one diagonal (2 m - 1 factors). The experiments have m = 2.",
            cdvft_proofs.number_of_factors),
    Erratum("ranks", "cdvft", "section 4.3", "LoRA has r = 8 (Alpaca) and r = 64 (GSM8K)",
            "Table 3 follows from r = 64 for Alpaca; for GSM8K it follows from r = 16 (parameters) and r = 8 (FLOPs).",
            cdvft_proofs.ranks),
    Erratum("vera-layers", "cdvft", "section 4.3", "VeRA adapts all layers in MHSA and MLP",
            "The figures of Table 3 follow without the attention's output projection.", cdvft_proofs.vera_layers),
    Erratum("padded-squares", "cdvft", "Table 3", "7.26M and 4.51M trainable parameters",
            "These count circulants padded to squares. Only 4.11M and 2.93M of the parameters can have an effect; "
            "Eq. 12 has exactly those.", cdvft_proofs.padded_squares),
    Erratum("vera-comparison", "cdvft", "section 4.2", "fewer parameters and more FLOPs than VeRA",
            "In Table 2, CDVFT has three times VeRA's parameters and a third of its FLOPs.",
            cdvft_proofs.vera_comparison),
    Erratum("mixed-units", "cdvft", "Table 2", "2.72M FLOPs against LoRA's 0.61M",
            "LoRA's figure counts a multiply-add as one operation, but the transforms are counted in real operations. "
            "With one unit for both, the ratio is different.", cdvft_proofs.mixed_units),
    Erratum("gauges", "cdvft", "section 3.4", "3 d parameters of A C A",
            "Two scales cancel between the factors, which leaves 3 d - 2 degrees of freedom.", cdvft_proofs.gauges),
    Erratum("padding", "cdvft", "section 3.3", "padded through replication",
            "Zero, circular and edge padding give different products. The paper does not say which one it means.",
            cdvft_proofs.padding),
    Erratum("rounding", "cdvft", "Table 3 against section 3.3", "parameters with whole blocks, FLOPs with fractions",
            "Section 3.3 rounds the number of blocks up, which gives 0.24G FLOPs for p = 2048, not 0.22G.",
            cdvft_proofs.rounding_of_blocks),
    Erratum("submatrices", "cdvft", "section 3.3", "corresponding submatrices are multiplied element-wise",
            "Their Fourier transforms are multiplied element-wise. Eq. 12 is right.", cdvft_proofs.submatrices),
    Erratum("zero-start", "cdvft", "section 3", "no statement about the initial values",
            "Exactly one factor may be zero at the start. If two factors are zero, no factor has a gradient.",
            cdvft_proofs.zero_start),
)  # fmt: skip


def errata() -> list[Erratum]:
    """Return the mistakes found in both papers, each with the computation that proves it.

    >>> next(e for e in errata() if e.key == "commutativity").proof()
    {'largest difference': 2.0}
    """
    return list(ERRATA)
