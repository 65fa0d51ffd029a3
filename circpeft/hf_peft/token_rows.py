"""Rows of an embedding that train beside an adapter: PEFT's ``trainable_token_indices``.

PEFT wraps the embedding, keeps the trained rows, and writes them over the embedding's in each call. A layer whose
weight is tied to the embedding uses the same rows. PEFT checks little of this before it changes a model, so it is
checked here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper, TrainableTokensWrapper, _get_input_embeddings_name
from torch import Tensor, nn

from ..suggest import nearest
from .saved_keys import plain_name
from .targets import last_parts

# Where the trained rows are saved, after the name of the embedding.
ROWS = "token_adapter.trainable_tokens_delta"


class TokenRows(NamedTuple):
    """The trained rows of one weight: the names of the layers that share it, and the shape of the rows."""

    names: list[str]
    shape: torch.Size

    @property
    def keys(self) -> list[str]:
        """The keys under one of which the rows are saved."""
        return [f"{name}.{ROWS}" for name in self.names]


def token_rows(config: Any, model: nn.Module, adapted: Collection[str]) -> list[TokenRows]:
    """Return the rows of embeddings that a config trains.

    Args:
        config: a `CirculantConfig`, with or without ``trainable_token_indices``.
        model: the base model, perhaps with the wrappers of earlier adapters.
        adapted: names of the layers that the config adapts.

    Raises: ValueError that names the layer, if no layer has the name, an index exceeds its rows, or it is trained in
    another way, too; TypeError for a layer that is neither an embedding nor a linear layer without bias.
    """
    found: dict[tuple[int, tuple[int, ...]], TokenRows] = {}
    layers = _layers(model)
    for target, indices in _by_layer(config, model).items():
        # PEFT accepts any end of a name, also without a dot before it.
        matched = [layer for layer in layers if plain_name(layer).endswith(target)]
        if not matched:
            embeddings = last_parts(name for name, layer in layers.items() if isinstance(layer, nn.Embedding))
            raise ValueError(f"trainable_token_indices={target!r} matches no layer; {nearest(target, embeddings)}")
        for layer in matched:
            weight = _checked(layer, layers[layer], indices)
            tied = [other for other, module in layers.items() if getattr(module, "weight", None) is weight]
            _check_otherwise_untrained(tied, model, adapted, config.modules_to_save or ())
            empty = TokenRows([], torch.Size((len(indices), weight.shape[1])))
            found.setdefault((id(weight), tuple(indices)), empty).names.append(layer)
    return list(found.values())


def _by_layer(config: Any, model: nn.Module) -> Mapping[str, list[int]]:
    given: list[int] | dict[str, list[int]] | None = config.trainable_token_indices
    if given is None or isinstance(given, dict):
        return given or {}
    name = _get_input_embeddings_name(model, "embed_tokens")
    return {plain_name(name or "embed_tokens"): given}


def _layers(model: nn.Module) -> dict[str, Any]:
    """Return the layers of a model by name, those that PEFT wraps as they are in the base model."""
    layers: dict[str, Any] = {}
    wrapped: tuple[str, ...] = ()
    for name, module in model.named_modules(remove_duplicate=False):
        if name.startswith(wrapped) and wrapped:
            continue
        if isinstance(module, (AuxiliaryTrainingWrapper, BaseTunerLayer)):
            wrapped = (*wrapped, f"{name}.")
            module = module.original_module if isinstance(module, AuxiliaryTrainingWrapper) else module.get_base_layer()
        layers[name] = module
    return layers


def _checked(name: str, layer: Any, indices: list[int]) -> Tensor:
    """Return the weight of a layer whose rows can be trained."""
    weight = getattr(layer, "weight", None)
    plain = isinstance(layer, nn.Embedding) or isinstance(layer, nn.Linear) and layer.bias is None
    if not plain or not isinstance(weight, Tensor) or not weight.is_floating_point():
        raise TypeError(
            f"trainable_token_indices: layer {name!r} is a {type(layer).__name__}; expected an embedding, or a linear "
            f"layer without bias, with floating-point weights"
        )
    if max(indices) >= len(weight):
        raise ValueError(
            f"trainable_token_indices: layer {name!r} has no row {max(indices)}; its rows are 0 to {len(weight) - 1}"
        )
    return weight


def _check_otherwise_untrained(
    names: list[str], model: nn.Module, adapted: Collection[str], whole: Collection[str]
) -> None:
    """Check that the layers of one weight, some of whose rows train, are trained in no other way."""
    for name in names:
        if saved := [module for module in whole if name.endswith(module)]:
            raise ValueError(
                f"layer {name!r} is in modules_to_save={_listed(saved)}, and trainable_token_indices trains rows of "
                f"its weight; train it as a whole or by rows, not both"
            )
        module = model.get_submodule(name)
        if name in adapted or isinstance(module, BaseTunerLayer):
            raise ValueError(
                f"layer {name!r} has trainable_token_indices, or is tied to a layer that has, so it cannot have an "
                f"adapter, too; leave it out with exclude_modules"
            )
        if isinstance(module, AuxiliaryTrainingWrapper) and not isinstance(module, TrainableTokensWrapper):
            raise ValueError(
                f"layer {name!r} is trained as a whole by another adapter (modules_to_save), so its rows cannot be "
                f"trained with trainable_token_indices"
            )


def check_rows_of_all(configs: Mapping[str, PeftConfig], model: nn.Module, rows: Sequence[TokenRows]) -> None:
    """Check that a new adapter trains rows of the same layers as the others: PEFT cannot save adapters that differ.

    Args:
        configs: the configs by adapter name; the adapter that will be added is the last.
        model: the base model, with the adapters that it has.
        rows: the rows of the adapter that will be added.

    Raises: ValueError that names the adapters and the layers.
    """
    *others, new = configs
    wrapped = [
        name
        for name, module in model.named_modules()
        if isinstance(module, TrainableTokensWrapper) and module.token_adapter.tied_adapter is None
    ]
    mine = [name for of_weight in rows for name in of_weight.names]
    same = {*wrapped} <= {*mine} and all({*wrapped} & {*of_weight.names} for of_weight in rows)
    if others and not same:
        raise ValueError(
            f"adapter {new!r} trains rows of {_listed(mine)}, and {', '.join(others)} of {_listed(wrapped)} "
            f"(trainable_token_indices): PEFT could not save them; train rows of the same layers in all adapters"
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "no layer"


def check_rows_to_merge(model: nn.Module, adapter_names: Collection[str] | None) -> None:
    """Check that no two of the named (by default the active) adapters have trained the same row.

    Raises: ValueError that names the layer and the adapters.
    """
    for name, module in model.named_modules():
        if isinstance(module, TrainableTokensWrapper):
            rows = module.token_adapter.token_indices
            names = [n for n in (adapter_names or module.active_adapters) if n in rows]
            for i, first in enumerate(names):
                for second in names[i + 1 :]:
                    if common := set(rows[first]) & set(rows[second]):
                        raise ValueError(
                            f"nothing is merged: {first} and {second} have both trained row {min(common)} of {name!r} "
                            f"(trainable_token_indices); merge only one of them"
                        )
