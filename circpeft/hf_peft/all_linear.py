"""The layers that target_modules="all-linear" adapts."""

from __future__ import annotations

from copy import copy
from typing import Any

from peft.tuners.tuners_utils import _maybe_include_all_linear_layers
from torch import nn

from .caller_warnings import warn_caller
from .configs import CirculantConfig
from .saved_keys import plain_name
from .targets import is_target
from .uncalled_layers import uncalled_layers


def with_layer_names(config: CirculantConfig, model: nn.Module) -> CirculantConfig:
    """Return a copy of the config with layer names instead of "all-linear", without layers that are not called."""
    named: CirculantConfig = _maybe_include_all_linear_layers(copy(config), model)
    uncalled = uncalled_layers(model)
    if config.target_modules != named.target_modules:
        listed = set(named.target_modules or ())
        candidates = sorted(listed & uncalled.keys())
        left_out = [name for name in candidates if is_target(named, name)]
        kept: Any = {plain_name(name) for name in listed - uncalled.keys()}  # the config takes any collection
        named.target_modules = kept
        if left_out:
            warn_caller(
                f"all-linear leaves out {len(left_out)} layers, {', '.join(left_out[:4])}"
                f"{', ...' if len(left_out) > 4 else ''}: the model reads their weight without calling them"
            )
    return named
