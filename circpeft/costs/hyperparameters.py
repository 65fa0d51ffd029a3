"""The methods of the cost model and their hyperparameters: names, defaults and checks."""

from __future__ import annotations

from numbers import Integral
from typing import Any, TypedDict, cast

from ..ops.backends import BACKENDS, unknown_backend
from ..ops.block_size import dividing_block_size, padding_block_size
from ..ops.scale import c3a_alpha, cdvft_alpha
from ..suggest import nearest


class H(TypedDict, total=False):
    """The resolved hyperparameters of a method, as `resolve` returns them. Each method has some of them."""

    alpha: float
    backend: str
    bias: bool
    block_size: int
    feedforward: bool
    frozen: bool
    n_butterfly_factor: int
    n_frequency: int
    num_factors: int
    r: int


# Defaults are PEFT's for the methods it has, this package's for C3A and CDVFT, and the paper's rank for LaMDA.
DEFAULTS: dict[str, dict[str, Any]] = {
    "full": {"bias": False},  # True if the layer has a bias, which is then trained as well
    "head": {},
    "bitfit": {},
    "ia3": {"feedforward": False},  # True scales the layer's input instead of its output
    "lora": {"r": 8},
    "dora": {"r": 8},
    "vera": {"r": 256},
    "fourierft": {"n_frequency": 1000},
    "boft": {"block_size": 4, "n_butterfly_factor": 1},
    "lamda": {"r": 32, "frozen": False},  # frozen: the second projection is no longer trained
    "c3a": {"block_size": "auto", "alpha": "lora", "backend": "rfft"},
    "cdvft": {"block_size": "auto", "num_factors": 3, "alpha": "lora", "backend": "rfft"},
}
# Other names of hyperparameters: the letters in the papers' formulas, and PEFT's longer names.
ALIASES = {
    "fourierft": {"n": "n_frequency"},
    "boft": {
        "b": "block_size",
        "m": "n_butterfly_factor",
        "boft_block_size": "block_size",
        "boft_n_butterfly_factor": "n_butterfly_factor",
    },
    "c3a": {"b": "block_size"},
    "cdvft": {"b": "block_size", "p": "block_size"},
}


def check_choice(what: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise ValueError unless a value is one of the choices; ``what`` says in the error what is chosen."""
    if value not in choices:
        raise ValueError(f"unknown {what} {value!r}; {nearest(value, choices)}")


def _count(method: str, name: str, value: Any, largest: int | None = None, of: str = "") -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
        raise ValueError(f"{method}: {name} must be a positive integer, got {value!r}")
    if largest is not None and int(value) > largest:
        raise ValueError(f"{method}: {name}={value} exceeds {of} = {largest}; largest: {largest}")
    return int(value)


def check_sizes(**sizes: Any) -> None:
    """Raise ValueError unless every size is a positive integer. ``tokens`` may be 0, for the fixed cost of a step."""
    for name, value in sizes.items():
        least = 0 if name == "tokens" else 1
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")


def resolve(method: str, d_in: int, d_out: int, given: dict[str, Any]) -> H:
    """Return all hyperparameters of a method for a layer: defaults, checked values, and numbers instead of "auto".

    Raises: ValueError for an unknown method or hyperparameter, or a size that is not a positive integer or does not fit
    the layer. The message names the nearest valid choice.

    >>> resolve("c3a", 768, 3072, {})
    {'block_size': 768, 'alpha': 768.0, 'backend': 'rfft'}
    >>> resolve("lora", 768, 768, {"r": 1000})
    Traceback (most recent call last):
    ...
    ValueError: lora: r=1000 exceeds min(d_in, d_out) = 768; largest: 768
    """
    if not isinstance(method, str) or method not in DEFAULTS:
        raise ValueError(f"unknown method {method!r}; {nearest(method, DEFAULTS)}")
    check_sizes(d_in=d_in, d_out=d_out)
    values, aliases = dict(DEFAULTS[method]), ALIASES.get(method, {})
    for name, value in given.items():
        full_name = aliases.get(name, name)
        if full_name not in values:
            raise ValueError(f"method {method!r} has no hyperparameter {name!r}; {nearest(name, values)}")
        synonym = next((other for other in given if other != name and aliases.get(other, other) == full_name), None)
        if synonym:
            raise ValueError(f"{method}: {name} and {synonym} are two names of {full_name}; give one of them")
        values[full_name] = value
    _check(method, d_in, d_out, values)
    return cast(H, values)


def _check(method: str, d_in: int, d_out: int, values: dict[str, Any]) -> None:
    if method in ("lora", "dora", "lamda"):
        values["r"] = _count(method, "r", values["r"], min(d_in, d_out), "min(d_in, d_out)")
    elif method == "vera":  # its rank may exceed the layer's sizes, because its projections are random and frozen
        values["r"] = _count(method, "r", values["r"])
    elif method == "fourierft":
        values["n_frequency"] = _count(method, "n_frequency", values["n_frequency"], d_in * d_out, "d_in * d_out")
    elif method == "boft":
        values["n_butterfly_factor"] = _count(method, "n_butterfly_factor", values["n_butterfly_factor"])
        b = values["block_size"] = dividing_block_size(values["block_size"], d_in, d_in)
        blocks = d_in // b
        largest = (blocks & -blocks).bit_length()  # each further factor pairs blocks of blocks, without a rest
        if values["n_butterfly_factor"] > largest:
            raise ValueError(
                f"boft: n_butterfly_factor={values['n_butterfly_factor']} needs a multiple of 2^(m-1) blocks of {b}, "
                f"d_in={d_in} has {blocks}; largest: {largest}"
            )
    elif method == "c3a":
        b = values["block_size"] = dividing_block_size(values["block_size"], d_in, d_out)
        values["alpha"] = c3a_alpha(values["alpha"], d_in, d_out, b)
    elif method == "cdvft":
        b = values["block_size"] = padding_block_size(values["block_size"], d_in, d_out)
        values["alpha"] = cdvft_alpha(values["alpha"], d_in, d_out, b)
        count = _count(method, "num_factors", values["num_factors"])
        if count % 2 == 0 or (count == 1 and d_in != d_out):
            raise ValueError(f"cdvft: num_factors must be odd, and 1 only if d_in == d_out; got {count}; nearest: 3")
    for name in ("bias", "feedforward", "frozen"):
        if name in values and not isinstance(values[name], bool):
            raise ValueError(f"{method}: {name} must be True or False, got {values[name]!r}")
    if "backend" in values and values["backend"] not in BACKENDS:
        raise ValueError(f"{method}: {unknown_backend(values['backend'], BACKENDS)}")
