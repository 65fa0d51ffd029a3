"""The truth of each exercise: dense, and short enough to be read; not the fast way."""

import torch


def column(c: torch.Tensor) -> torch.Tensor:
    """C[i, j] = c[(i - j) mod b]: c (b,) is the first column of C (b, b).

    >>> column(torch.tensor([1, 2, 3]))
    tensor([[1, 3, 2],
            [2, 1, 3],
            [3, 2, 1]])
    """
    i = torch.arange(len(c))
    return c[(i[:, None] - i[None, :]) % len(c)]


def row(w: torch.Tensor) -> torch.Tensor:
    """C[i, j] = w[(j - i) mod b]: w (b,) is the first row of C (b, b).

    >>> row(torch.tensor([1, 2, 3]))
    tensor([[1, 2, 3],
            [3, 1, 2],
            [2, 3, 1]])
    """
    i = torch.arange(len(w))
    return w[(i[None, :] - i[:, None]) % len(w)]


def rank_of_circulant(c: torch.Tensor) -> int:
    """Rank of the first-column circulant of c (b,), by its singular values."""
    return int(torch.linalg.matrix_rank(column(c)))


def block_forward(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """y = C x with w (m, n, b), x (n*b,), y (m*b,): block i, j of C is the first-row circulant of w[i, j]."""
    return torch.cat([torch.cat([row(kernel) for kernel in line], dim=1) for line in w]) @ x


def column_gradients(w: torch.Tensor, x: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(dw, dx) of y = C(w) x = C(x) w for g = dL/dy, w the first column of C(w); all (b,)."""
    return column(x).T @ g, column(w).T @ g


def cdvft_forward(a1: torch.Tensor, c: torch.Tensor, a3: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """y = A3 C A1 x with A1, A3 diagonal and c the first column of C; all (d,)."""
    return torch.diag(a3) @ column(c) @ torch.diag(a1) @ x


def cdvft_gradients(a1, c, a3, x, g) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """(da1, dc, da3, dx) of y = A3 C A1 x for g = dL/dy; all (d,)."""
    matrix = column(c)
    back = matrix.T @ (a3 * g)
    # dL/dC[i, j] is an outer product; dc[k] sums it where (i - j) mod d = k, a wrapped diagonal.
    outer = torch.outer(a3 * g, a1 * x)
    i = torch.arange(len(c))
    dc = torch.stack([outer[(i + k) % len(c), i].sum() for k in range(len(c))])
    return x * back, dc, g * (matrix @ (a1 * x)), a1 * back


def cdvft_parameters(d_in: int, d_out: int, b: int) -> int:
    """d_in + d_out + ceil(d_in / b) * ceil(d_out / b) * b: two diagonals and the kernels of the padded blocks."""
    return d_in + d_out + -(-d_in // b) * -(-d_out // b) * b


def c3a_parameters(layers: list[tuple[int, int]], b: int) -> int:
    """Sum over the layers (d_in, d_out) of (d_in / b) * (d_out / b) kernels of b numbers."""
    return sum((d_in // b) * (d_out // b) * b for d_in, d_out in layers)


def merged_c3a(weight: torch.Tensor, w: torch.Tensor, alpha: float) -> torch.Tensor:
    """W0 + (alpha / d_in) C with weight W0 (m*b, n*b), w (m, n, b): block i, j of C is the first-row circulant."""
    blocks = torch.cat([torch.cat([row(kernel) for kernel in line], dim=1) for line in w])
    return weight + alpha / weight.shape[1] * blocks


def summed_kernel(first: torch.Tensor, second: torch.Tensor, s: float, t: float) -> torch.Tensor:
    """The row-layout kernel of s C_row(first) + t C_column(second); all (b,)."""
    return (s * row(first) + t * column(second))[0]  # a first row is the kernel in the row layout


def padded_parameters(d_in: int, d_out: int, p: int) -> int:
    """Parameters of CDVFT as Table 3 of its paper counts them: the circulant padded to a square of blocks of p."""
    blocks = -(-max(d_in, d_out) // p)
    return d_in + d_out + blocks * blocks * p


def cheaper_from(once: int, each: int, other_once: int, other_each: int) -> int:
    """The least number of tokens at which once + each * t is below other_once + other_each * t (each < other_each)."""
    tokens = 0
    while once + each * tokens >= other_once + other_each * tokens:
        tokens += 1
    return tokens


def least_bytes(tokens: int, d_in: int, d_out: int, size: int) -> int:
    """Bytes that a step moves at the least for an adapter that is fused with the sum of the base output.

    Forward x and the base output come in and the output goes out; backward x and its output gradient come in, and the
    base layer's gradient of x comes in and goes out with the adapter's added.
    """
    return size * tokens * ((d_in + 2 * d_out) + (d_in + d_out + 2 * d_in))


def patches(image: torch.Tensor, p: int) -> torch.Tensor:
    """Patches of an image (colours, s, s) in reading order: ((s / p)^2, colours * p * p)."""
    _, s, _ = image.shape
    cut = [image[:, i : i + p, j : j + p].flatten() for i in range(0, s, p) for j in range(0, s, p)]
    return torch.stack(cut)


def answer_labels(ids: torch.Tensor, prompt: int) -> torch.Tensor:
    """Labels of a prompt and its answer: -100 for the first ``prompt`` tokens, the others as they are."""
    return torch.cat([torch.full_like(ids[:prompt], -100), ids[prompt:]])
