"""The exercises of notebooks 01 to 03, on circulant matrices, C3A and CDVFT."""

from .exercise_inputs import block_inputs, rank_inputs, vectors
from .exercise_type import Exercise
from .reference_answers import (
    aligned_scale,
    block_forward,
    cdvft_forward,
    cdvft_gradients,
    cdvft_parameters,
    column,
    column_gradients,
    equal_signs_norm,
    lora_scale_rate,
    rank_of_circulant,
    row,
)

METHOD_EXERCISES = (
    Exercise(
        "01.1",
        "The circulant of a vector",
        1,
        5,
        "Entry (i, j) depends only on i - j. Build the matrix of indices (i - j) mod b by broadcasting, and index c.",
        column,
        vectors(1),
    ),
    Exercise(
        "01.2",
        "Circular convolution by FFT",
        1,
        5,
        "The FFT turns circular convolution into an entrywise product. Pass n=b to torch.fft.irfft: odd b needs it.",
        lambda c, x: column(c) @ x,
        vectors(2),
    ),
    Exercise(
        "01.3",
        "The rank of a circulant from its spectrum",
        2,
        10,
        "The eigenvalues are the FFT of c. Count those whose absolute value exceeds a threshold relative to the "
        "largest. The zero vector has rank 0. torch.fft.fft returns all b frequencies, torch.fft.rfft only about half.",
        rank_of_circulant,
        rank_inputs,
    ),
    Exercise(
        "02.1",
        "C3A's forward pass for one block",
        1,
        5,
        "If the kernel is the first row, y[i] = sum over k of w[k] x[(i + k) mod b]. This is a correlation, "
        "so one of the two spectra has to be conjugated.",
        lambda w, x: row(w) @ x,
        vectors(2),
    ),
    Exercise(
        "02.2",
        "The gradient for the input",
        2,
        10,
        "Because y = C x, the gradient is dx = C^T g. The transpose of a circulant with first row w is the circulant "
        "with first column w. The forward pass conjugates one spectrum. Is that still needed here?",
        lambda w, g: row(w).T @ g,
        vectors(2),
    ),
    Exercise(
        "02.3",
        "The gradient for the kernel",
        2,
        15,
        "Because y[i] = sum over k of w[k] x[(i + k) mod b], dw[k] = sum over i of g[i] x[(i + k) mod b]. "
        "This is the forward pass with another vector in place of the kernel.",
        lambda g, x: row(g) @ x,
        vectors(2),
    ),
    Exercise(
        "02.4",
        "The forward pass for many blocks",
        3,
        15,
        "Split x into n pieces of length b and transform them. Multiply them by the spectra of w, of shape "
        "(m, n, b//2 + 1), sum over n in the frequency domain, and transform the m results back.",
        block_forward,
        block_inputs,
    ),
    Exercise(
        "02.5",
        "Both gradients in the other layout",
        3,
        15,
        "Write y[i] = sum over j of w[(i - j) mod b] x[j]. Which outputs depend on w[k], and which on x[j]? Both "
        "gradients are correlations with g. Which spectrum is conjugated in each?",
        column_gradients,
        vectors(3),
    ),
    Exercise(
        "02.6",
        "A step with equal signs",
        2,
        10,
        "If all entries of the kernels are equal, so are those of the matrix. What is its rank, and what is the "
        "largest singular value of a d_out by d_in matrix of ones?",
        equal_signs_norm,
        lambda g: [(1.0, 0.1, 4, 4, 4), (0.5, 0.2, 12, 12, 4), (0.25, 1e-3, 6, 12, 3), (1 / 8, 0.3, 8, 2, 2)],
    ),
    Exercise(
        "02.7",
        "The scale for equal progress along the gradient",
        2,
        10,
        "A square layer has d^2 / b kernel entries. The gradient of each is a sum of b random products, of a size "
        "proportional to sqrt(b). Multiply both and s, and compare with b = d and s = 1.",
        aligned_scale,
        lambda g: [(64, 64), (64, 16), (768, 48), (96, 1), (384, 64)],
    ),
    Exercise(
        "02.8",
        "Converting a learning rate",
        1,
        5,
        "One step of Adam moves the entries of the change by s times the rate. Which s belongs to each scale?",
        lora_scale_rate,
        lambda g: [(0.3, 384, 384, 384), (0.15, 384, 384, 64), (0.6, 64, 192, 32), (1.5, 192, 64, 16)],
    ),
    Exercise(
        "03.1",
        "CDVFT's forward pass",
        1,
        5,
        "A diagonal matrix times a vector is an elementwise product. The circulant in the middle is a convolution.",
        cdvft_forward,
        vectors(4),
    ),
    Exercise(
        "03.2",
        "CDVFT's gradients",
        3,
        20,
        "Name the steps u = a1 * x, v = C u, y = a3 * v, and go back one step at a time: da3 and dv from g, "
        "then dc and du from dv, then da1 and dx from du.",
        cdvft_gradients,
        vectors(5),
    ),
    Exercise(
        "03.3",
        "Counting CDVFT's parameters",
        1,
        5,
        "There are two diagonals, one as long as the input and one as long as the output. If b does not divide a "
        "side, the last block is padded. So round the number of blocks up: -(-d // b).",
        cdvft_parameters,
        lambda g: [(8, 8, 4), (768, 768, 768), (384, 1536, 384), (10, 7, 4), (4096, 11008, 2048), (5, 9, 16)],
    ),
)
