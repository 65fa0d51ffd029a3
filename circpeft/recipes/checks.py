"""The types and the ranges of a recipe's values."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ..suggest import nearest
from .plain_values import is_plain

CHOICES = {
    "precision": ("float32", "bf16", "fp16"),
    "base_dtype": ("float32", "bfloat16", "float16"),
    "quantization": ("", "4bit", "8bit"),
    "tested_epoch": ("best", "last"),
    "feature_order": ("natural", "permuted"),
}
# The smallest value of each integer.
INTEGERS = {"epochs": 1, "batch_size": 1, "max_length": 8, "max_train": 0, "max_eval": 0, "seed": 0}
INTEGERS |= {"gradient_accumulation": 1, "max_new_tokens": 0, "generation_batch_size": 0}
FLOATS = ("learning_rate", "head_learning_rate", "weight_decay", "adam_beta2", "warmup", "base_dropout")
TEXTS = ("task", "method", "model", "data_dir", "report_to", "output_dir")
SWITCHES = ("hold_out", "gradient_checkpointing", "deterministic", "save_model", "weight_changes")
# Settings that may be given among the hyperparameters.
RATES = {"learning_rate", "head_learning_rate"}
LARGEST = sys.float_info.max  # an integer may be larger


def check(recipe: Any) -> None:
    """Raise ValueError for a value of a `Recipe` that has a wrong type or is out of range, with what is expected."""
    _check_names(recipe)
    _check_types(recipe)
    _check_ranges(recipe)
    _check_hyperparameters(recipe)


def check_unrepeated(name: str, values: Iterable[Any], advice: str = "give each value once") -> None:
    """Raise ValueError for a value that a list has twice. Values are compared as they are written.

    >>> check_unrepeated("seeds", [0, 0, 1])
    Traceback (most recent call last):
    ...
    ValueError: seeds has 0 twice; give each value once
    """
    for text, times in Counter(map(repr, values)).items():
        if times > 1:
            raise ValueError(f"{name} has {text} twice; {advice}")


def _check_names(recipe: Any) -> None:
    for name, text in (("target_modules", "a string or "), ("target_parameters", "")):
        value = getattr(recipe, name)
        if text and isinstance(value, str):
            continue
        if not isinstance(value, (list, tuple, set, frozenset)) or not all(isinstance(n, str) for n in value):
            raise ValueError(f"{name} must be {text}a list of names, got {value!r}")
        check_unrepeated(name, value)


def _check_types(recipe: Any) -> None:
    for name, minimum in INTEGERS.items():
        if type(getattr(recipe, name)) is not int or getattr(recipe, name) < minimum:
            raise ValueError(f"{name} must be an integer of at least {minimum}, got {getattr(recipe, name)!r}")
    for name in TEXTS:
        if not isinstance(getattr(recipe, name), str):
            raise ValueError(f"{name} must be a string, got {getattr(recipe, name)!r}")
    if any(character in recipe.task for character in "/\\:"):
        raise ValueError(f"task must be a name, not a path, got {recipe.task!r}: files of a run begin with it")
    for name in SWITCHES:
        if not isinstance(getattr(recipe, name), bool):
            raise ValueError(f"{name} must be True or False, got {getattr(recipe, name)!r}")
    for name in FLOATS:
        value = getattr(recipe, name)
        if value is None and name == "base_dropout":
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{name} must be a number, got {value!r}")
    if not isinstance(recipe.chat_template, bool) and recipe.chat_template != "auto":
        raise ValueError(f"chat_template must be True, False or 'auto', got {recipe.chat_template!r}")


def _check_ranges(recipe: Any) -> None:
    for name in ("learning_rate", "head_learning_rate", "weight_decay"):
        if not 0 <= getattr(recipe, name) <= LARGEST:
            raise ValueError(f"{name} must be a number of at least 0, got {getattr(recipe, name)!r}")
    if not 0 <= recipe.adam_beta2 < 1:
        raise ValueError(f"adam_beta2 must be in [0, 1), such as 0.999 or 0.95, got {recipe.adam_beta2!r}")
    if recipe.base_dropout is not None and not 0 <= recipe.base_dropout < 1:
        raise ValueError(f"base_dropout must be in [0, 1) or None, got {recipe.base_dropout!r}")
    if not 0 <= recipe.warmup < 1:
        raise ValueError(f"warmup must be a share of the steps in [0, 1), got {recipe.warmup!r}")
    for name, choices in CHOICES.items():
        if getattr(recipe, name) not in choices:
            raise ValueError(f"unknown {name} {getattr(recipe, name)!r}; {nearest(getattr(recipe, name), choices)}")


def _check_hyperparameters(recipe: Any) -> None:
    given = recipe.hyperparameters
    if not isinstance(given, dict):
        raise ValueError(f"hyperparameters must be a dictionary such as {{'block_size': 64}}, got {given!r}")
    for name in RATES & set(given):
        value = given[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= LARGEST:
            raise ValueError(f"{name} of method {recipe.method!r} must be a positive number, got {value!r}")
    for name, value in given.items():
        if not is_plain(value):  # it is part of the record
            raise ValueError(f"{name} of method {recipe.method!r} must be a number or a text, got {value!r}")
