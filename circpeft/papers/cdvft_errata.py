"""The errata of CDVFT."""

from . import cdvft_figure_proofs, cdvft_proofs
from .erratum import Erratum

ERRATA = (
    Erratum("factor-of-ten", "cdvft", "mistake", "sections 1, 4.1 and 4.2",
            "51.81x, 51.89x and 51.9x fewer FLOPs than FourierFT",
            "All three ratios should be ten times as large. Table 2 prints 1.41G (FourierFT) and 2.72M (CDVFT) for ViT "
            "base, and their ratio is 518. The printed ratios are a tenth of this, within rounding. The ratio is the "
            "same for RoBERTa base, which has as many query and value layers of the same size. (The mistake is to the "
            "paper's disadvantage.)", cdvft_figure_proofs.factor_of_ten),
    Erratum("vera-comparison", "cdvft", "mistake", "section 4.2", "fewer parameters and more FLOPs than VeRA",
            "The reverse is true. By Table 2, CDVFT has more parameters (0.06M against VeRA's 0.02M; unrounded, 2.25 "
            "times as many) and fewer FLOPs (0.29 times VeRA's).", cdvft_figure_proofs.vera_comparison),
    Erratum("ranks", "cdvft", "mistake", "section 4.3 against Table 3", "LoRA has r = 8 (Alpaca) and r = 64 (GSM8K)",
            "Perhaps the two ranks are exchanged. Table 3's figures for Alpaca follow from r = 64, and its FLOPs for "
            "GSM8K from r = 8 (and from 3 to 7). But its parameters for GSM8K are twice those of r = 8. They follow "
            "from r = 16, with any three attention layers and two feed-forward layers.", cdvft_figure_proofs.ranks),
    Erratum("vera-layers", "cdvft", "mistake", "section 4.3 against Table 3", "VeRA adapts all layers in MHSA and MLP",
            "The figures of Table 3 follow if one of q, k, v and o is left out, whichever it is. They also count r + "
            "max(d_in, d_out) parameters per layer. VeRA has r + d_out, which is less for the down projection.",
            cdvft_figure_proofs.vera_layers),
    Erratum("padded-squares", "cdvft", "mistake", "Table 3 against Eq. 12", "7.26M and 4.51M trainable parameters",
            "These figures count circulants that are padded to squares. By Eq. 12, there are ceil(d_out / p) ceil(d_in "
            "/ p) blocks, which gives 4.11M and 2.93M. The surplus blocks multiply padding, or their outputs are cut "
            "off.", cdvft_figure_proofs.padded_squares),
    Erratum("rounding", "cdvft", "mistake", "Table 3 against section 3.3",
            "parameters counted with whole blocks, FLOPs with fractions of blocks",
            "Section 3.3 rounds the number of blocks up. Then the FLOPs are 0.24G for p = 2048 and 0.18G for p = 4096, "
            "not 0.22G and 0.17G.", cdvft_figure_proofs.rounding_of_blocks),
    Erratum("factors", "cdvft", "mistake", "Figure 1, caption", "m = 1, with two diagonals and one circulant",
            "By Eq. 3 there are 2 m - 1 factors, so m = 1 is a single diagonal. Two diagonals and one circulant are m "
            "= 2, as in sections 4.1 to 4.3. (Perhaps the caption's m counts loops.)", cdvft_proofs.number_of_factors),
    Erratum("extra-x", "cdvft", "mistake", "Eq. 1", "X = A_{2n-1} C_{2n-2} ... A_1 x",
            "The equation holds without the x. The left side is a matrix, and the printed right side is a vector.",
            cdvft_proofs.extra_x),
    Erratum("circulant-letter", "cdvft", "mistake", "Eq. 2 and 3", "circ(a_2j)",
            "circ(c_2j). The text above Eq. 2, and Eq. 8, call the vectors of circulants c.",
            cdvft_proofs.circulant_letter),
    Erratum("underbrace", "cdvft", "mistake", "Eq. 5", "C_2j A_{2j-1} ... A_1 x is y_{2j-1}",
            "By Eq. 6 it is y_2j. (Both conversions to text have y_{2j-1}; a brace can move in a conversion.)",
            cdvft_proofs.underbrace),
    Erratum("submatrices", "cdvft", "mistake", "section 3.3", "corresponding submatrices are multiplied element-wise",
            "Their Fourier transforms are multiplied element-wise. Eq. 12, which follows, is right.",
            cdvft_proofs.submatrices),
    Erratum("companion", "cdvft", "omission", "section 3.2", "Eq. 9 to 11, the gradients",
            "One more equation is needed: dL/dy_{2j-2} = a_{2j-1} * dL/dy_{2j-1}. Without it, no gradient gets past "
            "the last diagonal.", cdvft_proofs.companion),
    Erratum("roberta-models", "cdvft", "omission", "section 4.3", "two RoBERTa models are fine-tuned",
            "Only RoBERTa base is reported (Table 1).", cdvft_figure_proofs.roberta_models),
    Erratum("less-flops", "cdvft", "overstated claim", "abstract",
            "similar or better performance with much less FLOPs and trainable parameters",
            "Section 1 names the comparisons: fewer FLOPs than FourierFT, and fewer parameters than LoRA. But CDVFT "
            "has more FLOPs than LoRA in every column. By the print, it has 4.5 times LoRA's on ViT, 1.7 and 2 times "
            "on Alpaca, and 17 and 22 times on GSM8K. (On GSM8K, LoRA's printed FLOPs do not fit its parameters.)",
            cdvft_figure_proofs.less_flops),
    Erratum("similar-parameters", "cdvft", "overstated claim", "section 3.4",
            "fewer FLOPs than FourierFT, with a similar number of parameters",
            "True for ViT (Table 2). The section also cites Table 3. There, CDVFT has 13 and 17.5 times FourierFT's "
            "parameters by the print (unrounded, 12.3 and 16.4 times).", cdvft_figure_proofs.similar_parameters),
    Erratum("per-step", "cdvft", "observation", "Table 2 and section 3.4", "FLOPs of FourierFT and of CDVFT",
            "FourierFT's FLOPs are needed once per step, CDVFT's for every token. By the paper's count, both methods "
            "cost the same at 519 tokens per step.", cdvft_figure_proofs.per_step),
    Erratum("mixed-units", "cdvft", "observation", "Table 2", "2.72M FLOPs against LoRA's 0.61M",
            "LoRA's figure counts a multiply-add as one operation. CDVFT's figure counts the real operations of its "
            "transforms. With one unit for both, the ratio is smaller.", cdvft_figure_proofs.mixed_units),
    Erratum("shift-is-conjugate", "cdvft", "observation", "Eq. 10 and 11",
            "for real vectors, the transform of the shifted vector is the conjugate",
            "True for real factors, such as the paper's. For complex factors, Eq. 10 is C^T g, and Eq. 11 is C^H g. "
            "PyTorch's convention for complex gradients wants C^H g.", cdvft_proofs.shift_is_conjugate),
    Erratum("index-of-eq-9", "cdvft", "observation", "Eq. 9",
            "dL/da_{2j-1} = dL/dy_{2j-1} * y_{2j-2}, or dL/dy_{2j-2} * y_{2j-2}",
            "We read one form in each of two conversions of the paper to text. The first one is right.",
            cdvft_proofs.index_of_eq_9),
    Erratum("padding", "cdvft", "observation", "section 3.3", "padded through replication",
            "Replication normally repeats the last entry. circpeft pads with zeros, which gives another product.",
            cdvft_proofs.padding),
    Erratum("gauges", "cdvft", "observation", "section 3.4", "(2 m - 1) d parameters; 3 d for A C A",
            "Two scales cancel between the factors of A C A, which leaves 3 d - 2 degrees of freedom.",
            cdvft_proofs.gauges),
    Erratum("zero-start", "cdvft", "observation", "section 3", "no statement about the initial values",
            "For ΔW = 0 at the start, set exactly one factor to zero. If two factors are zero, no factor has a "
            "gradient.", cdvft_proofs.zero_start),
)  # fmt: skip
