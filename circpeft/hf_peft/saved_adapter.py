"""Reading a saved adapter, and the checks before a model is changed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any

import torch
from peft.utils import SAFETENSORS_WEIGHTS_NAME, WEIGHTS_NAME, load_peft_weights
from peft.utils.constants import CONFIG_NAME
from safetensors import SafetensorError
from torch import Tensor

from ..suggest import nearest

# A newer PEFT writes these fields for every method. They do not change what this package's methods compute.
HARMLESS_FIELDS = {"peft_version"}
# Errors of safetensors, pickle and torch's zip reader for a truncated or foreign file.
UNREADABLE = (SafetensorError, UnpicklingError, EOFError, RuntimeError)
# PEFT puts this in front of every key of an adapter.
KEY_PREFIX = "base_model.model."


@dataclass(frozen=True)
class SavedAdapter:
    """The keys and shapes of a saved adapter, and the fields of its config that this version does not know."""

    file: str
    config_file: str
    shapes: dict[str, torch.Size]
    unknown_fields: tuple[str, ...]

    def check_fits(
        self,
        expected: Sequence[tuple[Sequence[str], torch.Size]],
        others: Mapping[str, torch.Size],
        prefix: str,
        fields: Iterable[str],
        renamed: bool = False,
    ) -> None:
        """Check that this adapter fits a model.

        Args:
            expected: the keys and the shape of each parameter that the adapter has on that model. A layer with several
                names has several keys, of which one is saved.
            others: shapes of the model's own parameters.
            prefix: prefix of the method's parameters.
            fields: the config's fields that this version knows.
            renamed: whether the model maps keys of older checkpoints to new names. Then keys may differ.

        Raises: ValueError that names the file and the key.
        """
        if self.unknown_fields:
            name = self.unknown_fields[0]
            raise ValueError(
                f"{self.config_file}: unknown field {name!r} ({nearest(name, fields)}); this version does not know "
                f"how it changes what the adapter computes. Upgrade circpeft, or remove the field"
            )
        shapes = dict(others) | {key: shape for keys, shape in expected for key in keys}
        for key, shape in self.shapes.items():
            wanted = shapes.get(key)
            if wanted is not None and wanted != shape:
                raise ValueError(
                    f"{self.file}: {key!r} has shape {tuple(shape)}, this model needs {tuple(wanted)}: "
                    f"the adapter was made for another base model or other settings"
                )
        if renamed:
            return
        # PEFT 0.18 also writes the model's other adapters. Their keys have a name and a dot after the prefix.
        parameters = {key: key.partition(f".{prefix}adapters.")[2] for key in self.shapes}
        saved = {key for key, parameter in parameters.items() if parameter and "." not in parameter}
        unexpected = saved - shapes.keys()
        missing = {keys[0] for keys, _ in expected if not saved.intersection(keys)}
        for keys, what in ((unexpected, "holds {} and this model has no such layer"), (missing, "lacks {}")):
            if keys:
                raise ValueError(
                    f"{self.file} {what.format(repr(min(keys)))} ({len(keys)} such keys): "
                    f"the adapter was made for another base model or other settings"
                )


def read_saved_adapter(path: str, subfolder: str | None, fields: Iterable[str], **hub: Any) -> SavedAdapter | None:
    """Read and check the adapter in a folder or on the hub. Return None for a folder with only a config.

    Raises: ValueError that names the file, and the key of values that are not finite.
    """
    folder = os.path.join(path, subfolder) if subfolder else path
    config_file = os.path.join(folder, CONFIG_NAME)
    state, file = read_state(path, subfolder, **hub)
    if state is None:
        return None
    shapes = {key: tensor.shape for key, tensor in state.items()}
    return SavedAdapter(file, config_file, shapes, unknown_fields(path, subfolder, fields))


def unknown_fields(path: str, subfolder: str | None, fields: Iterable[str]) -> tuple[str, ...]:
    """Return the fields of the config in a local folder that are not in ``fields``. A config on the hub is not read."""
    config_file = os.path.join(path, subfolder or "", CONFIG_NAME)
    if not os.path.isfile(config_file):
        return ()
    with open(config_file, encoding="utf-8") as stream:
        return tuple(sorted(json.load(stream).keys() - set(fields) - HARMLESS_FIELDS))


def read_state(path: str, subfolder: str | None = None, **hub: Any) -> tuple[dict[str, Tensor] | None, str]:
    """Return the saved tensors of an adapter and the name of their file.

    The tensors are None for a local folder without an adapter file.

    Raises: ValueError that names the file, and the key of values that are not finite.
    """
    folder = os.path.join(path, subfolder) if subfolder else path
    names = [name for name in (SAFETENSORS_WEIGHTS_NAME, WEIGHTS_NAME) if os.path.exists(os.path.join(folder, name))]
    file = os.path.join(folder, names[0] if names else SAFETENSORS_WEIGHTS_NAME)
    if os.path.isdir(folder) and not names:
        return None, file
    try:
        state = load_peft_weights(path, device="cpu", **({"subfolder": subfolder} if subfolder else {}), **hub)
    except UNREADABLE as error:
        raise ValueError(f"{file} cannot be read; it is truncated or not an adapter file: {error}") from error
    for key, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            count = int((~torch.isfinite(tensor)).sum())
            raise ValueError(f"{file}: {key!r} holds {count} values that are not finite; the adapter is broken")
    return state, file
