"""Reading a saved adapter, and the checks before a model is changed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any, NoReturn

import torch
from peft.utils import SAFETENSORS_WEIGHTS_NAME, WEIGHTS_NAME, load_peft_weights
from peft.utils.constants import CONFIG_NAME
from safetensors import SafetensorError
from torch import Tensor, nn

from ..suggest import nearest
from .mismatch import Shapes, of_keys, of_shapes, other_method
from .saved_keys import KEY_PREFIX, ModelKeys, base_name

# A newer PEFT writes these fields for every method. They do not change what this package's methods compute.
HARMLESS_FIELDS = {"peft_version"}
# Errors of safetensors, pickle and torch's zip reader for a truncated or foreign file.
UNREADABLE = (SafetensorError, UnpicklingError, EOFError, RuntimeError)


@dataclass(frozen=True)
class SavedAdapter:
    """The keys and shapes of a saved adapter, and the fields of its config that this version does not know."""

    file: str
    config_file: str
    shapes: dict[str, torch.Size]
    unknown_fields: tuple[str, ...]

    def check_fits(
        self,
        model: nn.Module,
        expected: Sequence[tuple[Sequence[str], torch.Size]],
        others: Mapping[str, torch.Size],
        prefix: str,
        fields: Iterable[str],
        whole: Iterable[str] = (),
    ) -> None:
        """Check that this adapter fits a model. Keys are compared as PEFT or transformers will rename them.

        Args:
            model: the base model.
            expected: the keys and the shape of each parameter that the adapter has on that model. A layer with several
                names has several keys, of which one is saved.
            others: shapes of the model's own parameters.
            prefix: prefix of the method's parameters.
            fields: the config's fields that this version knows.
            whole: keys of the modules that are saved whole (modules_to_save).

        Raises: ValueError that names the file, the key and the reason.
        """
        if self.unknown_fields:
            name = self.unknown_fields[0]
            raise ValueError(
                f"{self.config_file}: unknown field {name!r} ({nearest(name, fields)}); this version does not know "
                f"how it changes what the adapter computes. Upgrade circpeft, or remove the field"
            )
        if (method := other_method(self.shapes, prefix)) is not None:
            raise ValueError(f"{self.file} holds parameters of {method}, but its config names another method")
        marker = f".{prefix}adapters."
        shapes = dict(others) | {key: shape for keys, shape in expected for key in keys}
        keys = ModelKeys(model, shapes)
        found: dict[str, str] = {}
        for saved, shape in self.shapes.items():
            # PEFT 0.18 also writes the model's other adapters. Their keys have a name and a dot after the prefix.
            if "." in saved.partition(marker)[2]:
                continue
            if not saved.startswith(KEY_PREFIX):
                raise ValueError(f"{self.file} holds {saved!r}; the keys of a saved adapter begin with {KEY_PREFIX!r}")
            key = saved.removeprefix(KEY_PREFIX)
            own = keys.find(key if marker in key else base_name(key))
            if own is None:
                self._refuse(saved, "but this model has no such layer", of_keys(key, _same_kind(key, shapes, marker)))
            if own in found and marker in own:
                self._refuse(saved, f"and {found[own]!r}", f"on this model both are {own!r}")
            found.setdefault(own, saved)
            if marker not in own and shapes[own] != shape:
                self._refuse_shape(saved, own, found, shapes, marker)
        for own, saved in found.items():
            if shapes[own] != self.shapes[saved]:
                self._refuse_shape(saved, own, found, shapes, marker)
        for names in [*(names for names, _ in expected), *([name] for name in whole)]:
            if not found.keys() & set(names):
                near = of_keys(
                    names[0], _same_kind(names[0], [k.removeprefix(KEY_PREFIX) for k in self.shapes], marker)
                )
                raise ValueError(f"{self.file} lacks {KEY_PREFIX + names[0]!r}: {near}")

    def _refuse(self, saved: str, what: str, reason: str) -> NoReturn:
        raise ValueError(f"{self.file} holds {saved!r}, {what}: {reason}")

    def _refuse_shape(self, saved: str, own: str, found: dict[str, str], shapes: Shapes, marker: str) -> None:
        layer, of_adapter, _ = own.partition(marker)
        reason = "the adapter was made for another base model"
        if of_adapter:
            parts = {key.removeprefix(layer + marker): key for key in found if key.startswith(layer + marker)}
            reason = of_shapes(
                layer,
                {part: self.shapes[found[key]] for part, key in parts.items()},
                {part: shapes[key] for part, key in parts.items()},
            )
        raise ValueError(
            f"{self.file}: {saved!r} has shape {tuple(self.shapes[saved])}, this model needs {tuple(shapes[own])}: "
            f"{reason}"
        )


def check_saved_adapter(config: Any, model: nn.Module, adapted: Mapping[str, nn.Module], prefix: str) -> None:
    """Check that the adapter that was saved with a config fits the layers that it adapts.

    Args:
        config: a `CirculantConfig` that was read with its adapter.
        model: the base model.
        adapted: the adapters that the config gives, by the name of the layer.
        prefix: prefix of the method's parameters.

    Raises: ValueError that names the file, the key and the reason.
    """
    names: dict[nn.Module, list[str]] = {}
    for name, layer in model.named_modules(remove_duplicate=False):
        names.setdefault(layer, []).append(name)
    expected = [
        ([f"{n}.{prefix}adapters.{p}" for n in names[model.get_submodule(name)]], value.shape)
        for name, adapter in adapted.items()
        for p, value in adapter.named_parameters()
    ]
    # PEFT keeps layers and modules of modules_to_save under other names once an adapter has them.
    others = {base_name(name): value.shape for name, value in model.state_dict().items()}
    # PEFT copies every module with such an end of its name, and needs all of its tensors.
    saved = tuple(config.modules_to_save or ())
    copied = tuple(f"{name}." for of in names.values() for name in map(base_name, of) if name.endswith(saved))
    whole = [key for key in others if saved and key.startswith(copied)]
    config._saved_adapter.check_fits(model, expected, others, prefix, config.known_fields(), whole)


def _same_kind(key: str, keys: Iterable[str], marker: str) -> list[str]:
    """Return the keys of adapters for a key of an adapter, and the others for any other key."""
    return [other for other in keys if (marker in other) == (marker in key)]


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
