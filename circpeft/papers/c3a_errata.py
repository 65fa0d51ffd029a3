"""The errata of C3A. Places are those of its later version, unless the first one is named."""

from . import c3a_claim_proofs, c3a_proofs
from .erratum import Erratum

ERRATA = (
    Erratum("transpose", "c3a", "mistake", "section 3.3", "dL/dx = C(w) dL/dz",
            "dL/dx = C(w)^T dL/dz. In the first-row layout, C(w)^T is not C(w).", c3a_proofs.transpose),
    Erratum("kernel-gradient", "c3a", "mistake", "section 3.3", "dL/dw = C(x) dL/dz",
            "dL/dw = C(dL/dz) x. The printed expression is this gradient with its index reversed.",
            c3a_proofs.kernel_gradient),
    Erratum("commutativity", "c3a", "mistake", "section 3.3", "C(w) x = C(x) w",
            "False for first-row circulants (correlation), true for first-column circulants (convolution).",
            c3a_proofs.commutativity),
    Erratum("eigendecomposition", "c3a", "mistake", "section 3.2, and the first line of Eq. 1", "C(w) = F (Λ/d) F^-1",
            "C(w) = F Λ F^-1, or F (Λ/d) F^H. With the inverse of F, as printed, the matrix is too small by a factor "
            "of d. The second line of Eq. 1, with FFT and iFFT, is right.", c3a_proofs.eigendecomposition),
    Erratum("similar-or-more", "c3a", "mistake", "section 4.2",
            'compared to (IA)³, LoRA, VeRA and BOFT, "a similar number of or more parameters"',
            "True of (IA)³ and VeRA, for C3A's larger setting. By Table 2, LoRA and BOFT have more in both models: "
            "LoRA 2.7 (base) and 2 times (large) those of C3A's larger setting, BOFT 1.5 and 1.1 times. (The mistake "
            "is to the paper's disadvantage.)",
            c3a_claim_proofs.similar_or_more),
    Erratum("block-letter", "c3a", "difference between versions", "section 3.4", "b is the block size",
            "In the first version, b is the number of blocks per side (b d parameters). A formula of one version is "
            "wrong with the b of the other.", c3a_proofs.two_meanings_of_b),
    Erratum("auxiliary", "c3a", "difference between versions", "Table 1", "# Other is b",
            "The first version prints 0. It counts intermediate tensors, such as LoRA's A x (section 3.5.2); the later "
            "one counts the work space of the transform.", c3a_proofs.auxiliary_numbers),
    Erratum("kernel-transforms", "c3a", "difference between versions", "Table 1 and section 3.5.1",
            "O((d1+d2) log b + d1 d2 / b)",
            "This is the time per token. The first version's O(b d log(d/b)) includes the transforms of the kernels; "
            "the later one leaves them out. They are needed once per step, so their share falls with the number of "
            "tokens.", c3a_proofs.kernel_transforms),
    Erratum("announced", "c3a", "omission", "first version, sections 1 and 4",
            "experiments in instruction tuning, image classification and text-to-image generation",
            "The text of the first version that we read contains only GLUE (section 4.1), and its appendix is empty. "
            "The later version adds synthetic data, instruction tuning and image classification, and no longer "
            "announces text-to-image generation.",
            c3a_claim_proofs.announced),
    Erratum("consistently", "c3a", "overstated claim", "abstract",
            "C3A consistently outperforms LoRA and its variants",
            "Mostly. In Table 2, C3A b=768/1 has an average of 83.34, LoRA 83.35 and VeRA 83.38. In Tables 2 to 4, "
            "LoRA is ahead in 15 of the 48 single scores.", c3a_claim_proofs.consistently),
    Erratum("expressiveness", "c3a", "overstated claim", "section 4.1",
            "the test demonstrates the high expressiveness of C3A given the same parameter budget",
            "A layer of rank one can express a solution, too. The test shows how fast training finds one: notebook 06.",
            c3a_proofs.expressiveness),
    Erratum("significantly", "c3a", "overstated claim", "section 4.2",
            "C3A b=768/6 and b=1024/8 significantly outperform the baselines",
            "On average they are ahead of every adapter. On 5 of the 12 tasks another adapter is better, and neither "
            "the number of seeds nor a test of significance is printed.", c3a_claim_proofs.significantly),
    Erratum("full-rank", "c3a", "overstated claim", "section 4.2",
            'nearly all circulant matrices found by C3A have full rank: maximal capacity, and "theoretical support for '
            'the impressive results"',
            "Full rank does show capacity. But random kernels have it, too, so it does not show an effect of training.",
            c3a_proofs.full_rank),
    Erratum("less-than-half", "c3a", "overstated claim", "section 4.3", "less than half of LoRA's parameters",
            "Exactly half for two of the three models of Table 3.", c3a_claim_proofs.less_than_half),
    Erratum("only-half", "c3a", "mistake", "section 4.4", "only half of LoRA's parameters",
            "True for ViT-large, by b and r. For ViT-base it is 0.375, by Table 4. (The mistake is to the paper's "
            "disadvantage.)",
            c3a_claim_proofs.only_half),
    Erratum("greatest-divisor", "c3a", "overstated claim", "section 3.5.1",
            "in practical scenarios, b is chosen as the greatest common divisor of d1 and d2",
            "Of the nine rows of C3A in Tables 2 to 4, only those with b = 768/1 and b = 1024/1 have this b.",
            c3a_claim_proofs.greatest_divisor),
)  # fmt: skip
