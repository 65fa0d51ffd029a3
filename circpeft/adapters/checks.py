"""Argument checks shared by the adapters."""

from collections.abc import Sequence
from numbers import Real

from torch import nn

from ..suggest import nearest


def check_dropout(dropout: float) -> float:
    """Return the dropout probability; raise ValueError unless it is in [0, 1)."""
    if not isinstance(dropout, Real) or not 0.0 <= dropout < 1.0:
        raise ValueError(f"dropout must be in [0, 1), got {dropout!r}")
    return float(dropout)


def check_init_weights(init_weights: bool | str, starts: Sequence[str], default_random: str) -> str:
    """Return the name of a start: True is "zero", False the default random start, and a name itself.

    Raises: ValueError unless the name is one of ``starts``.

    >>> check_init_weights(False, ("zero", "gaussian"), "gaussian")
    'gaussian'
    """
    if isinstance(init_weights, bool):
        start = "zero" if init_weights else default_random
    else:
        start = init_weights
    if start not in starts:
        raise ValueError(f"unknown init_weights {init_weights!r}; {nearest(start, starts)}")
    return start


def check_summands(target: nn.Module, adapters: Sequence[nn.Module], attributes: tuple[str, ...]) -> None:
    """Raise ValueError unless ``target`` can hold a weighted sum of adapters.

    The adapters must agree with it in the given attributes, and its ``alpha`` must not be zero.
    """
    for name in attributes:
        values = [getattr(adapter, name) for adapter in adapters]
        if any(value != getattr(target, name) for value in values):
            listing = ", ".join(str(value) for value in values)
            raise ValueError(
                f"a weighted sum of {type(target).__name__} adapters needs one {name}, they have {listing}; "
                f"activate them together instead: model.base_model.set_adapter([...]) adds their outputs"
            )
    if target.alpha == 0:
        raise ValueError("alpha=0 makes ΔW zero for every parameter; a weighted sum needs an alpha other than 0")
