"""Products of alternating diagonal and circulant factors, and their best fits to a matrix, for notebook 03."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..ops import circulant

EXACT = 1e-7  # a relative error below this counts as an exact fit, and no further start is tried
Step = Callable[[Tensor, Tensor, float], Tensor]


def product(factors: Tensor) -> Tensor:
    """Return ``F_k ... F_2 F_1``, where every odd factor is a diagonal and every even one a circulant.

    Shapes: ``(..., k, n) -> (..., n, n)``. Circulants are given by their first columns; the first factor acts first.

    >>> product(torch.tensor([[1.0, 2.0], [3.0, 5.0], [1.0, 10.0]]))
    tensor([[ 3., 10.],
            [50., 60.]])
    """
    matrix = torch.diag_embed(factors[..., 0, :])
    for j in range(1, factors.shape[-2]):
        vector = factors[..., j, :]
        matrix = circulant(vector) @ matrix if j % 2 else vector[..., :, None] * matrix
    return matrix


def random_factors(
    k: int, n: int, *batch: int, dtype: torch.dtype = torch.float64, generator: torch.Generator | None = None
) -> Tensor:
    """Return normal factors ``(*batch, k, n)``; circulants are divided by ``sqrt(n)``, so no product explodes."""
    factors = torch.randn(*batch, k, n, dtype=dtype, generator=generator)
    factors[..., 1::2, :] /= n**0.5
    return factors


def degrees_of_freedom(k: int, n: int, generator: torch.Generator | None = None) -> int:
    """Return the rank of the Jacobian of a product of ``k`` factors of size ``n``, at a random point.

    >>> degrees_of_freedom(3, 6)
    16
    """
    factors = torch.randn(k, n, dtype=torch.float64, generator=generator)
    jacobian = torch.func.jacfwd(product)(factors).reshape(n * n, k * n)
    return int(torch.linalg.matrix_rank(jacobian))


def relative_error(factors: Tensor, target: Tensor) -> Tensor:
    """Return ``|product - target| / |target|`` in the Frobenius norm. Shapes: ``(..., k, n), (..., n, n) -> (...)``."""
    return (product(factors) - target).norm(dim=(-1, -2)) / target.norm(dim=(-1, -2))


def fit_by_steps(target: Tensor, factors: Tensor, step: Step, steps: int, damping: float = 1.0) -> list[float]:
    """Fit real factors by Levenberg-Marquardt, and return the relative error before the first and after every step.

    A step that lowers the error is taken, and the damping is divided by 3. Otherwise the factors stay, and the damping
    is multiplied by 3.

    Args:
        target: ``(n, n)``.
        factors: the start, ``(k, n)``.
        step: function of the Jacobian ``(n², k n)``, the residual ``(n²,)`` and the damping; returns ``(k n,)``.
        steps: number of steps, taken or not.
        damping: the first damping.
    """
    errors = [float(relative_error(factors, target))]
    for _ in range(steps):
        residual = (product(factors) - target).flatten()
        jacobian = torch.func.jacfwd(product)(factors).reshape(len(residual), -1)
        trial = factors + step(jacobian, residual, damping).view_as(factors)
        error = float(relative_error(trial, target))
        if error < errors[-1]:
            factors, damping = trial, damping / 3
        else:
            error, damping = errors[-1], damping * 3
        errors.append(error)
    return errors


def fit_by_adam(target: Tensor, factors: Tensor, steps: int, rate: float = 0.02) -> list[float]:
    """Fit factors by Adam, and return the median relative error before each step and after the last.

    Shapes: target ``(..., n, n)``, factors, the start, ``(..., k, n)``.
    """
    return _adam_errors(target, factors, steps, rate)[1]


def adam_errors(target: Tensor, factors: Tensor, steps: int, rate: float = 0.02) -> Tensor:
    """Return the relative errors ``(...)`` after fitting factors by Adam. Shapes as in `fit_by_adam`."""
    return _adam_errors(target, factors, steps, rate)[0]


def _adam_errors(target: Tensor, factors: Tensor, steps: int, rate: float) -> tuple[Tensor, list[float]]:
    factors = factors.clone().requires_grad_()
    optimizer, medians = torch.optim.Adam([factors], lr=rate), []
    for _ in range(steps):
        squares = (product(factors) - target).square().sum((-1, -2))
        medians.append(float((squares.detach().sqrt() / target.norm(dim=(-1, -2))).median()))
        optimizer.zero_grad()
        squares.sum().backward()
        optimizer.step()
    errors = relative_error(factors.detach(), target)
    return errors, [*medians, float(errors.median())]


def best_fit(target: Tensor, k: int, starts: int, generator: torch.Generator | None = None) -> float:
    """Return the smallest relative error of ``k`` factors over several random starts.

    SciPy's `least_squares` makes the steps of `fit_by_steps` with its own rule for the damping. It stops at the first
    exact fit. Shape of the target: ``(n, n)``, real or complex; the factors have its dtype.
    """
    from scipy.optimize import least_squares

    n, is_complex = len(target), target.is_complex()

    def entries(values: Tensor) -> Tensor:
        out = product(torch.view_as_complex(values) if is_complex else values[..., 0])
        return torch.view_as_real(out) if is_complex else out

    def residual(values):
        out = entries(torch.from_numpy(values).view(k, n, -1)).flatten()
        return (out - (torch.view_as_real(target) if is_complex else target).flatten()).numpy()

    def jacobian(values):
        return torch.func.jacfwd(entries)(torch.from_numpy(values).view(k, n, -1)).reshape(-1, values.size).numpy()

    best = math.inf
    for _ in range(starts):
        factors = random_factors(k, n, dtype=target.dtype, generator=generator)
        start = (torch.view_as_real(factors) if is_complex else factors).flatten().numpy()
        # Method "lm" needs at least as many equations as unknowns.
        method = "lm" if start.size <= target.numel() * (2 if is_complex else 1) else "trf"
        solution = least_squares(residual, start, jacobian, method=method, max_nfev=200)
        best = min(best, math.sqrt(2 * solution.cost) / float(target.norm()))
        if best < EXACT:
            break
    return best


def svd_error(target: Tensor, freedom: int) -> float:
    """Return the relative error of the best matrix of rank ``r``, where ``r (2n - r)`` is at most ``freedom``.

    >>> svd_error(torch.diag(torch.tensor([2.0, 1.0, 1.0])), freedom=5)
    0.577350...
    """
    n = len(target)
    rank = max(r for r in range(n + 1) if r * (2 * n - r) <= freedom)
    return float(torch.linalg.svdvals(target)[rank:].norm() / target.norm())
