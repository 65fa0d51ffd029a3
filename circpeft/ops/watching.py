"""Watch what computes the circulant products, without changing how they are computed."""

from collections.abc import Iterator
from contextlib import contextmanager

_watchers: list[set[str]] = []


def note(way: str) -> None:
    """Tell all watchers how a product is computed: "fold", or the name of a backend."""
    for names in _watchers:
        names.add(way)


@contextmanager
def watched_ways() -> Iterator[set[str]]:
    """Collect the ways of all products inside a ``with`` block, in every thread.

    The gradient of a kernel does not count: a folded layer takes it from a backend, too. Nor does compiled code.

    >>> import torch
    >>> from circpeft.ops import block_circular_matmul
    >>> with watched_ways() as ways:
    ...     _ = block_circular_matmul(torch.ones(8), torch.ones(1, 1, 8))
    >>> ways
    {'rfft'}
    """
    ways: set[str] = set()
    _watchers.append(ways)
    try:
        yield ways
    finally:
        _watchers[:] = [names for names in _watchers if names is not ways]
