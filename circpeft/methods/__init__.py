"""Every method that the papers compare, and the function that makes a model trainable by it.

The default rates of a method, what it trains, and more are in `circpeft.method_specs`.
"""

import inspect
import math
from numbers import Integral, Real

from torch import nn

from ..hf_peft import CirculantModel, unadapted_experts, warn_of_experts
from ..hf_peft.config_scalars import scale
from ..hf_peft.lora_fields import OTHER_NAMES
from ..method_specs import SpecView, get_spec, reads_targets
from ..suggest import nearest
from .lamda import FreezeSecondProjections, finish
from .model import head_names, trainable_parameters

# The function of each method, by name.
METHODS = SpecView(lambda spec: spec.implementation)
# Integer hyperparameters that may be zero.
SEEDS = ("projection_prng_key", "random_loc_seed")


def check(method: str, hyperparameters: dict) -> None:
    """Check a method's name and hyperparameters.

    Raises: ValueError for an unknown method or hyperparameter, with the nearest name, or a value of the wrong kind.

    >>> check("vera", {"r": 0})
    Traceback (most recent call last):
    ...
    ValueError: method 'vera': r must be a whole number of at least 1, got 0
    >>> check("c3a", {"lora_alpha": 16})
    Traceback (most recent call last):
    ...
    ValueError: method 'c3a' has no hyperparameter 'lora_alpha'; its counterpart is 'alpha'; leave it at ...
    """
    parameters = inspect.signature(get_spec(method).implementation, eval_str=True).parameters
    kinds = {name: parameter.annotation for name, parameter in parameters.items() if name != "model"}
    for name, value in hyperparameters.items():
        if name not in kinds:
            hint = OTHER_NAMES.get(name) if kinds.get("alpha") == float | str else None
            raise ValueError(f"method {method!r} has no hyperparameter {name!r}; {hint or nearest(name, kinds)}")
        least = 0 if name in SEEDS else 1
        if kinds[name] is int and not (_is(value, Integral) and value >= least):
            raise ValueError(f"method {method!r}: {name} must be a whole number of at least {least}, got {value!r}")
        is_default = value is None and kinds[name] == float | None
        if kinds[name] in (float, float | None) and not (is_default or _is(value, Real) and math.isfinite(value)):
            raise ValueError(f"method {method!r}: {name} must be a finite number, got {value!r}")
        if name == "alpha" and kinds[name] == float | str:
            try:
                scale(name, value)
            except ValueError as error:
                raise ValueError(f"method {method!r}: {error}") from error


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def apply(model: nn.Module, method: str, **hyperparameters) -> nn.Module:
    """Make a model trainable by a method, and return the model to train (for adapters, PEFT's wrapper of it).

    A warning names the weights of fused experts that stay frozen although the targets sound as if they were adapted.

    Args:
        model: a transformers model. A new head trains under every method; a language model's own head does not.
        method: one of `METHODS`.
        hyperparameters: those of the method's function, among them ``target_modules``.

    Raises: ValueError for an unknown method, hyperparameter or target module, or a block size that does not divide.

    >>> apply(nn.Linear(2, 2), "c3b")
    Traceback (most recent call last):
    ...
    ValueError: unknown method 'c3b'; did you mean 'c3a'? (choices: full, head, bitfit, ia3, ...)
    """
    check(method, hyperparameters)
    model = get_spec(method).apply(model, **hyperparameters)
    if reads_targets(method) and not isinstance(getattr(model, "base_model", None), CirculantModel):
        # The tuners of this package warn themselves.
        warn_of_experts(hyperparameters.get("target_modules"), model, unadapted_experts(model))
    return model


__all__ = ["METHODS", "FreezeSecondProjections", "apply", "check", "finish", "head_names", "trainable_parameters"]
