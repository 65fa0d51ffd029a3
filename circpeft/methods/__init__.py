"""Every method that the papers compare: a name, and a function that makes a model trainable by it."""

import inspect
import math
from collections.abc import Callable
from numbers import Integral, Real

from torch import nn

from ..suggest import nearest
from .baselines import boft, c3a_peft, dora, fourierft, ia3, lora, vera
from .circulant import c3a, cdvft
from .full_and_head import bitfit, full, head
from .lamda import FreezeSecondProjections, finish, lamda
from .model import head_names, trainable_parameters

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
SEEDS = ("projection_prng_key", "random_loc_seed")  # whole numbers that may be zero


def check(method: str, hyperparameters: dict) -> None:
    """Raise ValueError for an unknown method or hyperparameter, with the nearest names, or a value of another kind.

    >>> check("vera", {"r": 0})
    Traceback (most recent call last):
    ...
    ValueError: method 'vera': r must be a whole number of at least 1, got 0
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; {nearest(method, METHODS)}")
    kinds = {name: p.annotation for name, p in inspect.signature(METHODS[method]).parameters.items() if name != "model"}
    for name, value in hyperparameters.items():
        if name not in kinds:
            raise ValueError(f"method {method!r} has no hyperparameter {name!r}; {nearest(name, kinds)}")
        least = 0 if name in SEEDS else 1
        if kinds[name] == "int" and not (_is(value, Integral) and value >= least):
            raise ValueError(f"method {method!r}: {name} must be a whole number of at least {least}, got {value!r}")
        if kinds[name] == "float" and not (_is(value, Real) and math.isfinite(value)):
            raise ValueError(f"method {method!r}: {name} must be a finite number, got {value!r}")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


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
