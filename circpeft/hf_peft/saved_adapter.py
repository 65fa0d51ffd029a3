"""A saved adapter: its header, and the checks before a model is changed and before its tensors are read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from ..suggest import nearest
from .adapter_file import FLOATS, TensorHeader, check_all_finite, find_files, read_header
from .config_json import read_config
from .mismatch import Shapes, of_keys, of_shapes, other_method
from .saved_keys import KEY_PREFIX, ModelKeys, base_name
from .token_rows import token_rows

# A newer PEFT writes these fields for every method. They do not change what this package's methods compute.
HARMLESS_FIELDS = {"peft_version"}
# PEFT keeps the base model's module, and the copies of other adapters, under these names.
OTHER_COPIES = re.compile(r"\.(original_module|modules_to_save)\.")


@dataclass(frozen=True)
class SavedAdapter:
    """The header of a saved adapter, and the fields of its config that this version does not know."""

    file: str
    config_file: str
    headers: Mapping[str, TensorHeader]
    unknown_fields: tuple[str, ...]

    def check_fits(
        self,
        model: nn.Module,
        expected: Sequence[tuple[Sequence[str], torch.Size]],
        others: Mapping[str, Tensor],
        prefix: str,
        fields: Iterable[str],
        whole: Collection[str] = (),
        biases: Collection[str] = (),
        rows: Collection[str] = (),
    ) -> None:
        """Check that this adapter fits a model. Keys are compared as PEFT or transformers will rename them.

        Args:
            model: the base model.
            expected: the keys and the shape of each parameter that the adapter has on that model. A layer with several
                names has several keys, of which one is saved.
            others: the model's own parameters and buffers.
            prefix: prefix of the method's parameters.
            fields: the config's fields that this version knows.
            whole: keys of the modules that are saved whole (modules_to_save).
            biases: keys of the biases that train beside the adapter.
            rows: keys of the rows of embeddings that train beside the adapter.

        Raises: ValueError that names the file, the key and the reason. A key of another of the model's own parameters
        is one of the reasons: loading it would change the base model.
        """
        if self.unknown_fields:
            name = self.unknown_fields[0]
            raise ValueError(
                f"{self.config_file}: unknown field {name!r} ({nearest(name, fields)}); this version does not know "
                f"how it changes what the adapter computes. Upgrade circpeft, or remove the field"
            )
        if (method := other_method(self.headers, prefix)) is not None:
            raise ValueError(f"{self.file} holds parameters of {method}, but its config names another method")
        marker = f".{prefix}adapters."
        shapes = {name: tensor.shape for name, tensor in others.items()}
        shapes |= {key: shape for keys, shape in expected for key in keys}
        keys = ModelKeys(model, shapes)
        found: dict[str, str] = {}
        for saved, header in self.headers.items():
            shape = header.shape
            if "." in saved.partition(marker)[2]:  # a name and a dot, as in the state of a model
                raise ValueError(f"{self.file} holds {saved!r}, a parameter of another adapter; save only this one")
            if not saved.startswith(KEY_PREFIX):
                raise ValueError(f"{self.file} holds {saved!r}; the keys of a saved adapter begin with {KEY_PREFIX!r}")
            key = saved.removeprefix(KEY_PREFIX)
            own = keys.find(key if marker in key else base_name(key))
            if own is None:
                self._refuse(saved, "but this model has no such layer", of_keys(key, _same_kind(key, shapes, marker)))
            is_bias = own in biases and saved.endswith(".bias")
            if marker not in own and own not in rows and not is_bias and (own not in whole or OTHER_COPIES.search(key)):
                raise ValueError(
                    f"{self.file} holds {saved!r}, a weight of the base model, which an adapter must not change; to "
                    f"train {own!r} too, name its module in modules_to_save"
                )
            wanted = torch.float32 if marker in own or own in rows else others[own].dtype
            if not header.suits(wanted):
                expected_types = f"one of {', '.join(FLOATS)}" if wanted.is_floating_point else wanted
                raise ValueError(f"{self.file}: {saved!r} has values of type {header.dtype}; expected {expected_types}")
            if own in found and not is_bias:
                self._refuse(saved, f"and {found[own]!r}", f"on this model both are {own!r}")
            found.setdefault(own, saved)
            if marker not in own and shapes[own] != shape:
                self._refuse_shape(saved, own, found, shapes, marker)
        for own, saved in found.items():
            if shapes[own] != self.headers[saved].shape:
                self._refuse_shape(saved, own, found, shapes, marker)
        for names in [*(names for names, _ in expected), *([name] for name in whole)]:
            if not found.keys() & set(names):
                saved_keys = [key.removeprefix(KEY_PREFIX) for key in self.headers]
                near = of_keys(names[0], _same_kind(names[0], saved_keys, marker))
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
                {part: self.headers[found[key]].shape for part, key in parts.items()},
                {part: shapes[key] for part, key in parts.items()},
            )
        shape = tuple(self.headers[saved].shape)
        raise ValueError(f"{self.file}: {saved!r} has shape {shape}, this model needs {tuple(shapes[own])}: {reason}")


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
    others = {base_name(name): value for name, value in model.state_dict().items()}
    # PEFT copies every module with such an end of its name, and needs all of its tensors.
    saved = tuple(config.modules_to_save or ())
    copied = tuple(f"{name}." for of in names.values() for name in map(base_name, of) if name.endswith(saved))
    whole = [key for key in others if saved and key.startswith(copied)]
    biases = [key for key in others if key.endswith(".bias") and config.bias != "none"]
    if config.bias != "all":
        of_layers = {f"{base_name(n)}.bias" for name in adapted for n in names[model.get_submodule(name)]}
        biases = [key for key in biases if key in of_layers]
    of_rows = [(rows.keys, rows.shape) for rows in token_rows(config, model, adapted)]
    rows = {key for keys, _ in of_rows for key in keys}
    found = config._saved_adapter
    found.check_fits(model, [*expected, *of_rows], others, prefix, config.known_fields(), {*whole}, {*biases}, rows)
    check_all_finite(found.file)


def _same_kind(key: str, keys: Iterable[str], marker: str) -> list[str]:
    """Return the keys of adapters for a key of an adapter, and the others for any other key."""
    return [other for other in keys if (marker in other) == (marker in key)]


def read_saved_adapter(path: str, subfolder: str | None, fields: Iterable[str], **hub: Any) -> SavedAdapter | None:
    """Read the header of the adapter in a folder or on the hub. Return None for a folder with only a config.

    Raises: ValueError that names the file.
    """
    config_file, file = find_files(path, subfolder, **hub)
    if not file:
        return None
    unknown = tuple(sorted(read_config(config_file).keys() - set(fields) - HARMLESS_FIELDS))
    return SavedAdapter(file, config_file, read_header(file), unknown)
