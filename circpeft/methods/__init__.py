"""Every method that the papers compare: a name, and a function that makes a model trainable by it."""

import inspect
from collections.abc import Callable

from torch import nn

from ..ops.checks import nearest
from .baselines import boft, c3a_peft, dora, fourierft, ia3, lora, vera
from .circulant import c3a, cdvft
from .lamda import FreezeSecondProjections, finish, lamda
from .model import head_names, trainable_parameters
from .whole import bitfit, full, head

METHODS: dict[str, Callable[..., nn.Module]] = {
    "full": full,
    "head": head,
    "bitfit": bitfit,
    "ia3": ia3,
    "lora": lora,
    "dora": dora,
    "vera": vera,
    "boft": boft,
    "fourierft": fourierft,
    "lamda": lamda,
    "c3a-peft": c3a_peft,
    "c3a": c3a,
    "cdvft": cdvft,
}


def check(method: str, hyperparameters: dict) -> None:
    """Raise ValueError for an unknown method or hyperparameter, with the nearest names."""
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; {nearest(method, METHODS)}")
    known = [name for name in inspect.signature(METHODS[method]).parameters if name != "model"]
    for name in hyperparameters:
        if name not in known:
            raise ValueError(f"method {method!r} has no hyperparameter {name!r}; {nearest(name, known)}")


def apply(model: nn.Module, method: str, **hyperparameters) -> nn.Module:
    """Make a model trainable by a method; returns the model to train (wrapped by PEFT for the adapters).

    Args:
        model: a transformers model; a new head stays trainable under every method, a language model's own does not.
        method: one of `METHODS`.
        hyperparameters: those of the method's function, ``target_modules`` among them.

    Raises: ValueError for an unknown method, hyperparameter or target module, or a block size that does not divide.

    >>> apply(nn.Linear(2, 2), "c3b")
    Traceback (most recent call last):
    ...
    ValueError: unknown method 'c3b'; did you mean 'c3a'? (choices: full, head, bitfit, ia3, ...)
    """
    check(method, hyperparameters)
    return METHODS[method](model, **hyperparameters)


__all__ = ["METHODS", "FreezeSecondProjections", "apply", "check", "finish", "head_names", "trainable_parameters"]
