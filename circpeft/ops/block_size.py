"""Block sizes: defaults, checks, and errors that name the nearest valid size."""

import math
from numbers import Integral


def _divisors(d: int) -> list[int]:
    """Return all divisors in ascending order."""
    small = [k for k in range(1, math.isqrt(d) + 1) if d % k == 0]
    return sorted({*small, *(d // k for k in small)})


def _check_features(**features: int) -> None:
    """Raise ValueError unless every number of features is a positive integer."""
    for name, d in features.items():
        if isinstance(d, bool) or not isinstance(d, Integral) or d < 1:
            raise ValueError(f"{name} must be a positive integer, got {d!r}")


def _positive_or_default(block_size: int | str, default: int) -> int:
    """Return the block size, or the default for "auto"; raise ValueError unless it is a positive integer."""
    if block_size == "auto":
        return default
    if isinstance(block_size, bool) or not isinstance(block_size, Integral) or block_size < 1:
        raise ValueError(f'block_size must be a positive integer or "auto", got {block_size!r}')
    return int(block_size)


def dividing_block_size(block_size: int | str, d_in: int, d_out: int) -> int:
    """Return the block size of C3A: a common divisor of both dimensions; "auto" is the greatest (C3A section 3.4).

    Raises: ValueError for a size that does not divide both dimensions, with the nearest ones that do; or for a size or
    dimension that is not a positive integer.

    >>> dividing_block_size("auto", 768, 3072)
    768
    >>> dividing_block_size(100, 768, 768)
    Traceback (most recent call last):
    ...
    ValueError: block_size=100 does not divide 768; nearest divisors: 96, 128
    """
    _check_features(d_in=d_in, d_out=d_out)
    common = math.gcd(d_in, d_out)
    b = _positive_or_default(block_size, common)
    if common % b:
        divisors = _divisors(common)
        below = [d for d in divisors if d < b][-1:]
        above = [d for d in divisors if d > b][:1]
        dimensions = f"{d_in}" if d_in == d_out else f"both d_in={d_in} and d_out={d_out}"
        raise ValueError(
            f"block_size={b} does not divide {dimensions}; nearest {'' if d_in == d_out else 'common '}divisors: "
            f"{', '.join(str(d) for d in below + above)}"
        )
    return b


def padding_block_size(block_size: int | str, d_in: int, d_out: int) -> int:
    """Return the block size of CDVFT: any positive size; "auto" is ``min(d_in, d_out)``.

    It does not have to divide the dimensions: CDVFT pads them to a multiple of it.

    Raises: ValueError for a size that is not a positive integer, or one above ``max(d_in, d_out)``, which would only
    add padding.

    >>> padding_block_size("auto", 768, 3072)
    768
    """
    _check_features(d_in=d_in, d_out=d_out)
    b = _positive_or_default(block_size, min(d_in, d_out))
    if b > max(d_in, d_out):
        raise ValueError(f"block_size={b} exceeds both d_in={d_in} and d_out={d_out}; largest: {max(d_in, d_out)}")
    return b


def block_size_of(d: int, blocks: int) -> int:
    """Return the largest block size that divides ``d`` into at least ``blocks`` blocks.

    >>> block_size_of(768, 6), block_size_of(128, 12)
    (128, 8)
    """
    return max(b for b in _divisors(d) if b * blocks <= d)
