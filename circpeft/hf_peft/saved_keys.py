"""Keys of a saved adapter, and the names that a model has for them.

The names differ where a wrapper of torch (`torch.compile`, FSDP, DDP, activation checkpointing) adds a part to them,
and where transformers has renamed the parts of a model since the adapter was saved.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import transformers
from torch import nn

# PEFT puts this in front of every key of an adapter.
KEY_PREFIX = "base_model.model."
# Under these names torch.compile, FSDP and activation checkpointing keep the module that they wrap.
WRAPPED = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
# DDP and DataParallel use a name that a model may also use itself.
DATA_PARALLEL = "module"

# PEFT keeps a layer that it adapts, and a module of modules_to_save with a copy for each adapter, under these names.
PEFT_PART = re.compile(r"\.(base_layer|original_module|modules_to_save(\.[^.]+)?)(?=\.)")

Renaming = Callable[[str], str]
# While PEFT loads an adapter: the key mapping that it applies. Elsewhere None.
_peft_key_mapping: ContextVar[Mapping[str, str] | None] = ContextVar("peft_key_mapping", default=None)


def plain_name(name: str) -> str:
    """Return the name of a module or parameter without the parts that wrappers of torch add.

    >>> plain_name("_orig_mod.model.layers.0._checkpoint_wrapped_module.mlp")
    'model.layers.0.mlp'
    """
    return ".".join(part for part in name.split(".") if part not in WRAPPED) if "_" in name else name


def base_name(name: str) -> str:
    """Return the name that a module or parameter of the base model has without PEFT.

    >>> base_name("head.modules_to_save.default.weight"), base_name("q.base_layer.bias")
    ('head.weight', 'q.bias')
    """
    return PEFT_PART.sub("", name)


def _bare_name(name: str) -> str:
    return ".".join(part for part in plain_name(name).split(".") if part != DATA_PARALLEL)


def _innermost_name(name: str) -> str:
    return base_name(_bare_name(name))


def is_wrapper(module: nn.Module) -> bool:
    """Tell whether a module is a wrapper of torch around another one, and not a part of the model."""
    data_parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    return isinstance(module, data_parallel) or any(name in module._modules for name in WRAPPED)


@contextmanager
def peft_loads(key_mapping: Mapping[str, str] | None) -> Iterator[None]:
    """Declare that PEFT loads an adapter within a ``with`` block, with this key mapping."""
    token = _peft_key_mapping.set(key_mapping or {})
    try:
        yield
    finally:
        _peft_key_mapping.reset(token)


def loaded_by_peft() -> bool:
    """Tell whether PEFT is loading an adapter; transformers, which has its own way, is not."""
    return _peft_key_mapping.get() is not None


def _by_patterns(mapping: Mapping[Any, str]) -> Renaming:
    """Return the renaming that PEFT applies for a key mapping: the first pattern that is found is replaced."""

    def rename(key: str) -> str:
        for pattern, replacement in mapping.items():
            renamed, count = re.subn(pattern, replacement, key)
            if count:
                return renamed
        return key

    return rename


def _renamings(model: nn.Module) -> list[Renaming]:
    """Return what transformers renames in checkpoints of earlier versions of this model."""
    base: Any = model
    while is_wrapper(base):
        base = next(iter(base._modules.values()))
    # Up to version 4, a class has a mapping of patterns. PEFT applies it only in PeftModel.from_pretrained.
    found = [_by_patterns(getattr(base, "_checkpoint_conversion_mapping", None) or {})]
    if isinstance(base, transformers.PreTrainedModel) and int(transformers.__version__.split(".")[0]) >= 5:
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import WeightRenaming, rename_source_key

        steps = [step for step in get_model_conversion_mapping(base) if isinstance(step, WeightRenaming)]
        found.append(lambda key: rename_source_key(key, steps, [])[0])
    return found


class ModelKeys:
    """The keys that an adapter has on a model, found by the keys of a saved adapter. None has `KEY_PREFIX`.

    Args:
        model: the base model.
        keys: the keys on that model, with the names that its modules have there.

    >>> with peft_loads(None):
    ...     keys = ModelKeys(nn.Linear(1, 1), ["layers.0._orig_mod.q.kernel"])
    ...     [keys.find(f"{name}.q.kernel") for name in ("layers.0", "_orig_mod.layers.0", "layers.1")]
    ['layers.0._orig_mod.q.kernel', 'layers.0._orig_mod.q.kernel', None]
    """

    def __init__(self, model: nn.Module, keys: Iterable[str]) -> None:
        self._first = _by_patterns(_peft_key_mapping.get() or {})
        self._renamings = _renamings(model)
        exact = {key: key for key in keys}
        self._tables: list[tuple[Renaming, dict[str, str | None]]] = [(str, dict(exact))]
        # A layer within a module that PEFT wraps is saved with PEFT's part in its name. Its name lacks that part before
        # the model is adapted. Apart from this, transformers loads a key only under the exact name.
        for simplify in (plain_name, _bare_name, _innermost_name) if loaded_by_peft() else (base_name,):
            table: dict[str, str | None] = {}
            for key in exact:
                table[simplify(key)] = None if simplify(key) in table else key  # None: two keys, so neither is meant
            self._tables.append((simplify, table))

    def find(self, saved: str) -> str | None:
        """Return the model's key for a key of a saved adapter, or None if it has no such key."""
        key = self._first(saved)
        candidates = list(dict.fromkeys([key, plain_name(key), *(step(plain_name(key)) for step in self._renamings)]))
        if not loaded_by_peft():
            candidates = [key, *(step(key) for step in self._renamings)]
        for simplify, table in self._tables:
            for candidate in candidates:
                if (found := table.get(simplify(candidate))) is not None:
                    return found
        return None
