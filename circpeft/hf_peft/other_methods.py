"""The check of saved adapters of PEFT's own methods, where circpeft itself loads them.

PEFT loads every key of a file that the model has, also those of the base model. A program that loads an adapter of
LoRA gets PEFT's behaviour; the commands and the training of circpeft load one within `only_adapter_weights`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from peft import PeftModel, get_peft_model_state_dict

from .adapter_file import check_all_finite, find_files, read_header
from .saved_keys import KEY_PREFIX, ModelKeys, peft_loads

_checked: ContextVar[bool] = ContextVar("checked", default=False)


@contextmanager
def only_adapter_weights() -> Iterator[None]:
    """Refuse adapter files of any method that hold more than the adapter's weights, within a ``with`` block.

    >>> with only_adapter_weights():
    ...     files_are_checked()
    True
    """
    token = _checked.set(True)
    try:
        yield
    finally:
        _checked.reset(token)


def files_are_checked() -> bool:
    """Tell whether adapter files of PEFT's own methods are checked now."""
    return _checked.get()


def check_other_method(
    model: PeftModel, adapter_name: str, path: str, mapping: Mapping[str, str] | None, hub: Mapping[str, Any]
) -> None:
    """Check the file of an adapter that a model has, of any method of PEFT.

    Raises: ValueError that names the file and the key, for a pickle, a key that is not the adapter's, another shape or
    type of values, and values that are not finite.
    """
    config_file, file = find_files(path, **hub)
    if not file:
        raise ValueError(f"{os.path.dirname(config_file)} has a config without an adapter file")
    own = get_peft_model_state_dict(model, adapter_name=adapter_name, save_embedding_layers=False)
    with peft_loads(mapping):
        keys = ModelKeys(model.get_base_model(), [key.removeprefix(KEY_PREFIX) for key in own])
        for saved, header in read_header(file).items():
            found = saved if saved in own else KEY_PREFIX + (keys.find(saved.removeprefix(KEY_PREFIX)) or "")
            if found not in own:
                raise ValueError(
                    f"{file} holds {saved!r}, which is not a weight of its adapter; to train a module of the base "
                    f"model too, name it in modules_to_save"
                )
            if header.shape != own[found].shape:
                raise ValueError(
                    f"{file}: {saved!r} has shape {tuple(header.shape)}, this model needs {tuple(own[found].shape)}"
                )
            if not header.suits(own[found].dtype):
                raise ValueError(f"{file}: {saved!r} has values of type {header.dtype}, not of {own[found].dtype}")
    check_all_finite(file)
