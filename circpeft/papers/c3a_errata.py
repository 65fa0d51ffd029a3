"""The errata of C3A. Places are those of its later version, unless the first one is named."""

from . import c3a_claim_proofs, c3a_proofs
from .erratum import Erratum

ERRATA = (
    Erratum("transpose", "c3a", "mistake", "section 3.3", "dL/dx = C(w) dL/dz",
            "dL/dx = C(w)^T dL/dz: the printed equation lacks the transpose. In the first-row layout, C(w)^T is not "
            "C(w).", c3a_proofs.transpose),
    Erratum("kernel-gradient", "c3a", "mistake", "section 3.3", "dL/dw = C(x) dL/dz",
            "dL/dw = C(dL/dz) x. The printed expression is this gradient with its index reversed: its entry k is the "
            "gradient's entry -k.", c3a_proofs.kernel_gradient),
    Erratum("commutativity", "c3a", "mistake", "section 3.3", "C(w) x = C(x) w",
            "False if w and x are the first rows of the circulants, as in the paper (correlation). True if they are "
            "the first columns (convolution).", c3a_proofs.commutativity),
    Erratum("eigendecomposition", "c3a", "mistake", "section 3.2, and the first line of Eq. 1", "C(w) = F (Λ/d) F^-1",
            "C(w) = F Λ F^-1, or F (Λ/d) F^H. The printed product is too small by a factor of d. The second line of "
            "Eq. 1, with FFT and iFFT, is right.", c3a_proofs.eigendecomposition),
    Erratum("similar-or-more", "c3a", "mistake", "section 4.2",
            'compared to (IA)³, LoRA, VeRA and BOFT, "a similar number of or more parameters"',
            "True of (IA)³ and VeRA, for C3A's larger setting. But by Table 2, LoRA and BOFT have more parameters than "
            "this setting: LoRA has 2.7 times as many (base) and 2 times (large), BOFT 1.5 and 1.1 times. (The mistake "
            "is to the paper's disadvantage.)", c3a_claim_proofs.similar_or_more),
    Erratum("block-letter", "c3a", "difference between versions", "section 3.4", "b is the block size",
            "In the first version, b is the number of blocks per side, and a layer has b d parameters. A formula of "
            "one version is wrong with the b of the other.", c3a_proofs.two_meanings_of_b),
    Erratum("auxiliary", "c3a", "difference between versions", "Table 1", "# Other is b",
            "The first version prints 0: it counts intermediate tensors, such as LoRA's A x (section 3.5.2). The later "
            "version counts the work space of the transform.", c3a_proofs.auxiliary_numbers),
    Erratum("kernel-transforms", "c3a", "difference between versions", "Table 1 and section 3.5.1",
            "O((d1+d2) log b + d1 d2 / b)",
            "This is the time per token, without the transforms of the kernels. The first version's O(b d log(d/b)) "
            "includes them. They are needed once per step, so their share falls with the number of tokens.",
            c3a_proofs.kernel_transforms),
    Erratum("announced", "c3a", "omission", "first version, sections 1 and 4",
            "experiments in instruction tuning, image classification and text-to-image generation",
            "The text of the first version that we read contains only GLUE (section 4.1), and its appendix is empty. "
            "The later version adds synthetic data, instruction tuning and image classification. It no longer "
            "announces text-to-image generation.", c3a_claim_proofs.announced),
    Erratum("consistently", "c3a", "overstated claim", "abstract", "C3A consistently outperforms LoRA and its variants",
            "Mostly, but not always. The averages in Table 2 are 83.34 for C3A b=768/1, 83.35 for LoRA and 83.38 for "
            "VeRA. In Tables 2 to 4, LoRA is ahead in 15 of the 48 single scores.", c3a_claim_proofs.consistently),
    Erratum("expressiveness", "c3a", "overstated claim", "section 4.1",
            "the test demonstrates the high expressiveness of C3A given the same parameter budget",
            "A network whose middle layer has rank one can solve the test, too. The test shows how fast training finds "
            "a solution (notebook 06).", c3a_proofs.expressiveness),
    Erratum("significantly", "c3a", "overstated claim", "section 4.2",
            "C3A b=768/6 and b=1024/8 significantly outperform the baselines",
            "Their averages are higher than those of every other adapter. But on 5 of the 12 tasks, another adapter is "
            "better. Neither the number of seeds nor a test of significance is printed.",
            c3a_claim_proofs.significantly),
    Erratum("full-rank", "c3a", "overstated claim", "section 4.2",
            'nearly all circulant matrices found by C3A have full rank: maximal capacity, and "theoretical support for '
            'the impressive results"',
            "Full rank does show capacity. But circulants with random kernels have full rank, too, so it does not show "
            "an effect of training.", c3a_proofs.full_rank),
    Erratum("less-than-half", "c3a", "overstated claim", "section 4.3", "less than half of LoRA's parameters",
            "For two of the three models of Table 3, C3A has exactly half.", c3a_claim_proofs.less_than_half),
    Erratum("only-half", "c3a", "mistake", "section 4.4", "only half of LoRA's parameters",
            "True for ViT-large, by the b and r of Table 4. For ViT-base, C3A has 0.375 of LoRA's parameters (Table "
            "4). (The mistake is to the paper's disadvantage.)", c3a_claim_proofs.only_half),
    Erratum("greatest-divisor", "c3a", "overstated claim", "section 3.5.1",
            "in practical scenarios, b is chosen as the greatest common divisor of d1 and d2",
            "In Tables 2 to 4, only two of the nine rows of C3A have this b: b = 768/1 and b = 1024/1.",
            c3a_claim_proofs.greatest_divisor),
)  # fmt: skip
