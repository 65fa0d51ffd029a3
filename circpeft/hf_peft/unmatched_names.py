"""Names and indices in a config that match nothing in a model: errors and warnings with the nearest one that matches.

If nothing in a field matches, it is an error. If only a part does, it is a warning: a config may serve several models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING

from peft.utils.constants import DUMMY_TARGET_MODULES
from peft.utils.other import get_pattern_key
from torch import nn

from ..suggest import nearest
from .caller_warnings import warn_caller
from .saved_keys import plain_name
from .targets import is_target, last_parts, layers_of, unmatched_targets

if TYPE_CHECKING:
    from .configs import CirculantConfig

# PEFT adds these names to modules_to_save by the task, whatever the head of the model is called.
HEADS = {"SEQ_CLS": ("classifier", "score"), "TOKEN_CLS": ("classifier", "score"), "QUESTION_ANS": ("qa_outputs",)}


def check_targets(config: CirculantConfig, model: nn.Module) -> None:
    """Check the names in target_modules, exclude_modules, layers_to_transform, layers_pattern and modules_to_save.

    Raises: ValueError if nothing of a field matches, except for exclude_modules. The other cases warn.
    """
    names = [plain_name(name) for name, _ in layers_of(model)]
    targets = config.target_modules
    if isinstance(targets, (set, list)) and targets:
        missing = unmatched_targets(model, sorted(targets))
        _report([f"target module {name!r} matches no layer: {hint}" for name, hint in missing.items()], targets)
    if config.exclude_modules:
        _check_excluded(config.exclude_modules, names)
    if config.layers_to_transform is not None and isinstance(targets, (set, list)):
        _check_indices(config, names)
    # PEFT accepts any end of a name, also without a dot before it.
    heads = set(HEADS.get(config.task_type, ()))
    wanted = [name for name in config.modules_to_save or () if name not in heads]
    unsaved = [name for name in wanted if not any(known.endswith(name) for known in names)]
    texts = [f"modules_to_save={name!r} matches no module; {_nearest_module(name, names)}" for name in unsaved]
    _report(texts, config.modules_to_save or ())


def check_found(config: CirculantConfig, model: nn.Module, adapted: Collection[str]) -> None:
    """Check that a config adapts layers, and that the keys of its patterns are among them.

    Raises: ValueError if it adapts none, or if no key of a pattern matches. A part of the keys warns.
    """
    targets = config.target_modules
    if not adapted and targets and targets != DUMMY_TARGET_MODULES:
        if config.exclude_modules and _any_target(config, model, exclude_modules=None):
            raise ValueError(f"exclude_modules={config.exclude_modules!r} leaves out every layer of {targets!r}")
        if config.modules_to_save and _any_target(config, model, modules_to_save=None):
            raise ValueError(f"every layer of {targets!r} is in modules_to_save={config.modules_to_save!r}")
        if isinstance(targets, str):
            hint = unmatched_targets(model, [targets]).get(targets, f"did you mean the list [{targets!r}]?")
            raise ValueError(f"target_modules={targets!r} is a regex for full layer names and matches no layer; {hint}")
    # Modules of modules_to_save may have a key: one pattern then serves configs with and without them.
    saved = tuple(f".{name}" for name in config.modules_to_save or ())
    known = [*adapted, *(name for name, _ in layers_of(model) if f".{name}".endswith(saved))]
    for field in ("block_size_pattern", "alpha_pattern") if adapted else ():
        keys = getattr(config, field) or {}
        missing = [key for key in keys if not any(_is_key(key, name) for name in known)]
        texts = [
            f"{field} key {key!r} matches no adapted layer; {nearest(key, last_parts(adapted))}" for key in missing
        ]
        _report(texts, keys)


def _report(texts: Sequence[str], of: Collection[object]) -> None:
    if texts and len(texts) >= len(of):
        raise ValueError("; ".join(texts))
    for text in texts:
        warn_caller(text)


def _is_key(key: str, name: str) -> bool:
    return any(get_pattern_key([key], form) == key for form in (plain_name(name), name))


def _nearest_module(name: str, names: Iterable[str]) -> str:
    outermost = {known for known in names if known and known.count(".") <= 1}
    return nearest(name, last_parts(known for known in outermost if not known.rsplit(".", 1)[-1].isdigit()))


def _any_target(config: CirculantConfig, model: nn.Module, **changed: None) -> bool:
    other = copy(config)
    for field, value in changed.items():
        setattr(other, field, value)
    return any(is_target(other, name) for name, _ in layers_of(model))


def _check_excluded(excluded: Collection[str], names: Sequence[str]) -> None:
    def matches(name: str) -> bool:
        if isinstance(excluded, str):
            return any(re.fullmatch(name, known) for known in names)
        return any(f".{known}".endswith(f".{name}") for known in names)

    for name in [excluded] if isinstance(excluded, str) else sorted(excluded):
        if not matches(name):
            what = f"exclude_modules={name!r} excludes nothing"
            warn_caller(f"{what}; {nearest(name, last_parts(n for n in names if n))}")


def _check_indices(config: CirculantConfig, names: Sequence[str]) -> None:
    """Check layers_pattern and layers_to_transform against the indices in the names of the target layers."""
    anywhere = copy(config)
    anywhere.layers_to_transform = anywhere.layers_pattern = None
    # A full name is a target whatever its index.
    targets = config.target_modules or ()
    candidates = [name for name in names if name not in targets and is_target(anywhere, name)]
    if not candidates:
        return  # another check names the reason
    patterns = config.layers_pattern
    patterns = [patterns] if isinstance(patterns, str) else patterns or []
    # These are PEFT's: without a pattern, the first number in a name is the index.
    find: Callable[[str], str] = r"(?:^|.*?\.){}\.(\d+)\.".format
    lists = last_parts(re.split(r"\.\d+\.", name)[0] for name in candidates if re.search(r"\.\d+\.", name))
    missing = [pattern for pattern in patterns if not any(re.match(find(pattern), name) for name in candidates)]
    texts = [f"layers_pattern={pattern!r} matches no list of layers; {nearest(pattern, lists)}" for pattern in missing]
    _report(texts, patterns)
    expressions = [find(pattern) for pattern in patterns] or [r".*?\.[^.]*\.(\d+)\."]
    matches = (re.match(expression, name) for name in candidates for expression in expressions)
    indices = sorted({int(match.group(1)) for match in matches if match})
    chosen = config.layers_to_transform
    wanted = [chosen] if isinstance(chosen, int) else chosen or []
    if not indices:
        raise ValueError(
            f"layers_to_transform={wanted!r} finds no index in the names of the target layers, such as "
            f"{candidates[0]!r}; leave it at None, or give the list's name as layers_pattern"
        )
    texts = []
    for index in wanted:
        if index not in indices:
            near = min(indices, key=lambda other: abs(other - index))
            texts.append(
                f"layers_to_transform={index} matches no layer; the nearest index is {near} "
                f"(of {indices[0]} to {indices[-1]})"
            )
    _report(texts, wanted)
