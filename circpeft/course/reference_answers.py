"""Reference answers of the exercises, from dense matrices: short and easy to check, but slow."""

import torch


def column(c: torch.Tensor) -> torch.Tensor:
    """Return the circulant C (b, b) with first column c (b,): C[i, j] = c[(i - j) mod b].

    >>> column(torch.tensor([1, 2, 3]))
    tensor([[1, 3, 2],
            [2, 1, 3],
            [3, 2, 1]])
    """
    i = torch.arange(len(c))
    return c[(i[:, None] - i[None, :]) % len(c)]


def row(w: torch.Tensor) -> torch.Tensor:
    """Return the circulant C (b, b) with first row w (b,): C[i, j] = w[(j - i) mod b].

    >>> row(torch.tensor([1, 2, 3]))
    tensor([[1, 2, 3],
            [3, 1, 2],
            [2, 3, 1]])
    """
    i = torch.arange(len(w))
    return w[(i[None, :] - i[:, None]) % len(w)]


def rank_of_circulant(c: torch.Tensor) -> int:
    """Return the rank of the circulant with first column c (b,), from its singular values."""
    return int(torch.linalg.matrix_rank(column(c)))


def block_forward(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return y = C x, where block (i, j) of C is the circulant with first row w[i, j].

    Shapes: w (m, n, b), x (n*b,), y (m*b,).
    """
    return torch.cat([torch.cat([row(kernel) for kernel in line], dim=1) for line in w]) @ x


def column_gradients(w: torch.Tensor, x: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (dw, dx) of y = C(w) x = C(x) w for g = dL/dy, where w is the first column of C(w). All are (b,)."""
    return column(x).T @ g, column(w).T @ g


def equal_signs_norm(s: float, rate: float, d_in: int, d_out: int, b: int) -> float:
    """Return the spectral norm of s C(w), where every entry of the kernels of length b is ``rate``."""
    kernels = torch.full((d_out // b, d_in // b, b), rate, dtype=torch.float64)
    blocks = torch.cat([torch.cat([row(kernel) for kernel in line], dim=1) for line in kernels])
    return float(torch.linalg.matrix_norm(s * blocks, 2))


def aligned_scale(d: int, b: int) -> float:
    """Return s with s (d^2 / b) sqrt(b) = d sqrt(d): as far along the gradient as one kernel with s = 1."""
    one_kernel, blocks = d * d**0.5, d**2 / b * b**0.5
    return one_kernel / blocks


def lora_scale_rate(paper_rate: float, d_in: int, d_out: int, b: int) -> float:
    """Return the rate for the scale 1 / sqrt(k) that moves C3A's ΔW as fast as ``paper_rate`` for 1 / d_in.

    k is the number of blocks along the shorter side, min(d_in, d_out) / b.
    """
    return paper_rate * (1 / d_in) / (b / min(d_in, d_out)) ** 0.5


def cdvft_forward(a1: torch.Tensor, c: torch.Tensor, a3: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return y = A3 C A1 x, where a1 and a3 are the diagonals and c is the first column of C. All are (d,)."""
    return torch.diag(a3) @ column(c) @ torch.diag(a1) @ x


def cdvft_gradients(a1, c, a3, x, g) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (da1, dc, da3, dx) of y = A3 C A1 x for g = dL/dy. All are (d,)."""
    matrix = column(c)
    du = matrix.T @ (a3 * g)
    # dL/dC is an outer product; dc[k] is its sum over the wrapped diagonal (i - j) mod d = k.
    outer = torch.outer(a3 * g, a1 * x)
    i = torch.arange(len(c))
    dc = torch.stack([outer[(i + k) % len(c), i].sum() for k in range(len(c))])
    return x * du, dc, g * (matrix @ (a1 * x)), a1 * du


def cdvft_parameters(d_in: int, d_out: int, b: int) -> int:
    """Return d_in + d_out + ceil(d_in / b) * ceil(d_out / b) * b: two diagonals and a kernel per padded block."""
    return d_in + d_out + -(-d_in // b) * -(-d_out // b) * b


def c3a_parameters(layers: list[tuple[int, int]], b: int) -> int:
    """Return the sum over layers (d_in, d_out) of (d_in / b) * (d_out / b) * b: a kernel per block."""
    return sum((d_in // b) * (d_out // b) * b for d_in, d_out in layers)


def merged_c3a(weight: torch.Tensor, w: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return W0 + (alpha / d_in) C, where block (i, j) of C is the circulant with first row w[i, j].

    Shapes: weight W0 (m*b, n*b), w (m, n, b).
    """
    blocks = torch.cat([torch.cat([row(kernel) for kernel in line], dim=1) for line in w])
    return weight + alpha / weight.shape[1] * blocks


def summed_kernel(first: torch.Tensor, second: torch.Tensor, s: float, t: float) -> torch.Tensor:
    """Return the row-layout kernel of s C_row(first) + t C_column(second). All are (b,)."""
    return (s * row(first) + t * column(second))[0]  # in the row layout the kernel is the first row


def padded_parameters(d_in: int, d_out: int, p: int) -> int:
    """Return CDVFT's parameters as counted in its Table 3: the circulant is padded to a square of p by p blocks."""
    blocks = -(-max(d_in, d_out) // p)
    return d_in + d_out + blocks * blocks * p


def cheaper_from(once: int, each: int, other_once: int, other_each: int) -> int:
    """Return the smallest t with once + each * t < other_once + other_each * t, where each < other_each."""
    tokens = 0
    while once + each * tokens >= other_once + other_each * tokens:
        tokens += 1
    return tokens


def least_bytes(tokens: int, d_in: int, d_out: int, size: int) -> int:
    """Return the least number of bytes that a training step moves for an adapter fused with adding the base output.

    Forward, x and the base output are read and the output is written. Backward, x, the gradient of the output and the
    base layer's gradient of x are read, and the gradient of x is written.
    """
    return size * tokens * ((d_in + 2 * d_out) + (d_in + d_out + 2 * d_in))


def leaf_flops(tokens: int, d_in: int, d_out: int, r: int) -> int:
    """Return the FLOPs of the products of all leaves, without those with zeros: two real leaves and r/2 - 1 pairs."""
    sides = [(1, 1), (1, 1)] + [(2, 2)] * (r // 2 - 1)
    return sum(2 * tokens * (rows * d_in // r) * (columns * d_out // r) for rows, columns in sides)


def patches(image: torch.Tensor, p: int) -> torch.Tensor:
    """Return the patches of an image (colours, s, s) in reading order, as ((s / p)^2, colours * p * p)."""
    _, s, _ = image.shape
    pieces = [image[:, i : i + p, j : j + p].flatten() for i in range(0, s, p) for j in range(0, s, p)]
    return torch.stack(pieces)


def answer_labels(ids: torch.Tensor, prompt: int) -> torch.Tensor:
    """Return the labels of a prompt and its answer: -100 for the first ``prompt`` tokens, then the token IDs."""
    return torch.cat([torch.full_like(ids[:prompt], -100), ids[prompt:]])
