"""Exercises of notebook 02 on checking gradients, and on what the printed equations compute instead."""

import torch
from torch.fft import fft, irfft, rfft

from ..exercise_inputs import SIZES, random, vectors
from ..exercise_type import Exercise, Twin
from .matrices import row
from .nb02_gradients import AUTOGRAD


def central_differences(w: torch.Tensor, x: torch.Tensor, h: float) -> torch.Tensor:
    steps = h * torch.eye(len(w), dtype=w.dtype)

    def loss(w):
        return 0.5 * irfft(rfft(w).conj() * rfft(x), n=len(x)).square().sum()

    return torch.stack([(loss(w + e) - loss(w - e)) / (2 * h) for e in steps])


def loss_change(w: torch.Tensor, x: torch.Tensor, up: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """Return how much larger half the squared norm of C(w) x is at w + up than at w - down."""
    return 0.5 * ((row(w + up) @ x).square().sum() - (row(w - down) @ x).square().sum())


def loss_gradient(w: torch.Tensor, x: torch.Tensor, h: float) -> torch.Tensor:
    """Return the gradient of half the squared norm of C(w) x; for this loss, any h gives it."""
    return row(row(w) @ x) @ x


def reversed_index(printed: torch.Tensor) -> torch.Tensor:
    return printed.flip(0).roll(1)


def cosine_by_angles(w: torch.Tensor, g: torch.Tensor) -> float:
    w_hat, g_hat = fft(w), fft(g)
    weight = (w_hat.abs() * g_hat.abs()).square()
    return float((weight * torch.cos(2 * w_hat.angle())).sum() / weight.sum())


def cosine_of_vectors(w: torch.Tensor, g: torch.Tensor) -> float:
    """Return the cosine of C(w) g, which the paper prints, and C(w)^T g."""
    return float(torch.nn.functional.cosine_similarity(row(w) @ g, row(w).T @ g, dim=0))


def mean_cosine(b: int) -> float:
    return (2 if b % 2 == 0 else 1) / b


def real_frequencies(b: int) -> float:
    """Return the share of the b frequencies that are their own mirror image."""
    return sum(k == -k % b for k in range(b)) / b


def even_and_odd(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mirrored = v.flip(0).roll(1)
    return (v + mirrored) / 2, (v - mirrored) / 2


CHECKS = (
    Exercise(
        "02.7",
        "A gradient by central differences",
        2,
        10,
        "For each entry k, move only w[k]: by h up and by h down. Divide the difference of the two losses by the "
        "distance of the two points.",
        loss_gradient,
        lambda g: [(random(g, b), random(g, b), h) for b, h in zip(SIZES, (0.5, 0.1, 0.01, 0.2, 1.0), strict=True)],
        twins=(
            Twin(
                "one-sided difference",
                "This compares w + h with w itself. The result is off by a term proportional to h. Step to both sides.",
                lambda w, x, h: torch.stack(
                    [loss_change(w, x, h * e, 0 * e) / h for e in torch.eye(len(w), dtype=w.dtype)]
                ),
            ),
            Twin(
                "scale",
                "This is twice the gradient. The two points are 2h apart, so divide by 2h. If you do, the factor 1/2 "
                "of the loss is missing.",
                lambda w, x, h: 2 * loss_gradient(w, x, h),
            ),
            Twin(
                "all entries at once",
                "This moves all entries of w together, so every entry of the result is the sum of the gradient. Move "
                "one at a time.",
                lambda w, x, h: loss_gradient(w, x, h).sum().expand(len(w)).clone(),
            ),
        ),
        allowed="any product of your own or of the package; no autograd.",
        forbidden=AUTOGRAD,
        solution=central_differences,
    ),
    Exercise(
        "02.8",
        "The true gradient from the printed one",
        2,
        10,
        "C(x) g and C(g) x differ by an exchange of kernel and vector. What does this exchange do in the row layout? "
        "See formula (1.6) of notebook 01.",
        lambda printed: printed[-torch.arange(len(printed)) % len(printed)],
        vectors(1),
        twins=(
            Twin(
                "values unchanged",
                "The two would be equal if the product were commutative. In the row layout it is not.",
                lambda printed: printed.clone(),
            ),
            Twin(
                "one off",
                "This reads the vector backwards, with index b - 1 - k. Entry 0 has to stay: the index is -k mod b.",
                lambda printed: printed.flip(0),
            ),
            Twin(
                "sign",
                "This turns the direction around. The index is reversed, not the sign.",
                lambda printed: -printed.flip(0).roll(1),
            ),
        ),
        allowed="indexing, `flip` and `roll`.",
        solution=reversed_index,
    ),
    Exercise(
        "02.9",
        "The cosine from the angles",
        3,
        20,
        "By Parseval, inner products and norms can be taken over the frequencies. At frequency k, the printed and the "
        "true gradient are conj(w_hat) g_hat and w_hat g_hat. What is the product of the one and the conjugate of the "
        "other?",
        cosine_of_vectors,
        vectors(2),
        twins=(
            Twin(
                "angle not doubled",
                "This is the cosine of the angle of w_hat. Between w_hat and its conjugate, the angle is twice that.",
                lambda w, g: float(
                    ((fft(w) * fft(g)).abs().square() * torch.cos(fft(w).angle())).sum()
                    / (fft(w) * fft(g)).abs().square().sum()
                ),
            ),
            Twin(
                "weights missing",
                "All frequencies count the same here. A frequency counts by the squares |w_hat|^2 |g_hat|^2.",
                lambda w, g: float(torch.cos(2 * fft(w).angle()).mean()),
            ),
            Twin(
                "weights not squared",
                "Your weights are |w_hat| |g_hat|. Both vectors contain this factor, so it is squared in their inner "
                "product.",
                lambda w, g: float(
                    ((fft(w) * fft(g)).abs() * torch.cos(2 * fft(w).angle())).sum() / (fft(w) * fft(g)).abs().sum()
                ),
            ),
            Twin(
                "half the spectrum",
                "rfft leaves out the mirror images. All frequencies but the real ones count twice.",
                lambda w, g: float(
                    ((rfft(w) * rfft(g)).abs().square() * torch.cos(2 * rfft(w).angle())).sum()
                    / (rfft(w) * rfft(g)).abs().square().sum()
                ),
            ),
        ),
        importance=1,
        allowed="`fft`, `abs`, `angle`, `torch.cos` and sums; no product of the matrix.",
        forbidden=("circpeft.circulant", "circpeft.block_circular_matmul", "torch.nn.functional.cosine_similarity"),
        solution=cosine_by_angles,
    ),
    Exercise(
        "02.10",
        "The mean cosine for small blocks",
        2,
        10,
        "At which frequencies is the spectrum of a real kernel real? There the angle is 0 or 180 degrees. At all "
        "others, the angles are random, and cos(2 angle) is zero in the mean.",
        real_frequencies,
        lambda g: [(1,), (2,), (3,), (4,), (7,), (8,), (768,)],
        twins=(
            Twin(
                "highest frequency forgotten",
                "For even b, two frequencies are real: 0 and b / 2.",
                lambda b: 1 / b,
            ),
            Twin(
                "half the spectrum",
                "This divides by the number of frequencies that rfft keeps. All b count.",
                lambda b: (2 if b % 2 == 0 else 1) / (b // 2 + 1),
            ),
            Twin(
                "large blocks only",
                "Zero is the limit for large b. At real frequencies, the missing conjugate changes nothing.",
                lambda b: 0.0,
            ),
        ),
        allowed="arithmetic.",
        solution=mean_cosine,
    ),
    Exercise(
        "02.11",
        "The even and the odd part",
        1,
        5,
        "Let r be v with its index reversed, r[k] = v[-k mod b]. What are v + r and v - r if you reverse their index?",
        lambda v: tuple((v + s * v[-torch.arange(len(v)) % len(v)]) / 2 for s in (1, -1)),
        vectors(1),
        twins=(
            Twin(
                "one off",
                "This mirrors at the middle of the vector, with index b - 1 - k. Entry 0 must be its own mirror image.",
                lambda v: ((v + v.flip(0)) / 2, (v - v.flip(0)) / 2),
            ),
            Twin(
                "scale",
                "The two parts add up to 2 v. Divide both by 2.",
                lambda v: tuple(2 * part for part in even_and_odd(v)),
            ),
            Twin("values swapped", "The even part comes first.", lambda v: even_and_odd(v)[::-1]),
        ),
        allowed="`flip`, `roll` and arithmetic.",
        solution=even_and_odd,
    ),
)
