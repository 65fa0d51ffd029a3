"""Ranks of circulants of integers in exact arithmetic: by the gcd rule that C3A prints, and by elimination."""

from collections.abc import Sequence
from itertools import product

import torch
from sympy import Poly, gcd, symbols
from sympy.polys.domains import QQ
from sympy.polys.matrices import DomainMatrix

X = symbols("x")


def rank_by_gcd(w: Sequence[int]) -> int:
    """Return d - deg gcd(f, x^d - 1) for f = sum of w[k] x^k: the rank rule of C3A, section 3.2.

    >>> rank_by_gcd([1, 0, -1, 0])
    2
    """
    f = Poly([int(v) for v in reversed(w)], X, domain=QQ)
    return 0 if f.is_zero else len(w) - gcd(f, Poly(X ** len(w) - 1, X, domain=QQ)).degree()


def rank_by_elimination(w: Sequence[int]) -> int:
    """Return the rank of the circulant with first row w, by Gaussian elimination over the rational numbers.

    >>> rank_by_elimination([1, 0, -1, 0])
    2
    """
    d = len(w)
    rows = [[QQ(int(w[(j - i) % d])) for j in range(d)] for i in range(d)]
    return DomainMatrix(rows, (d, d), QQ).rank()


def integer_kernels(count: int, seed: int = 0) -> list[list[int]]:
    """Return kernels with entries in {-1, 0, 1}: all of length 4, some of length 6, and ``count`` of other lengths.

    >>> len(integer_kernels(10)), integer_kernels(10)[0]
    (111, [-1, -1, -1, -1])
    """
    generator = torch.Generator().manual_seed(seed)
    sizes = [5, 8, 9, 12, 15, 16]
    kernels = [list(w) for w in product((-1, 0, 1), repeat=4)]
    kernels += torch.randint(-1, 2, (2 * count, 6), generator=generator).tolist()
    return kernels + [torch.randint(-1, 2, (sizes[i % 6],), generator=generator).tolist() for i in range(count)]
