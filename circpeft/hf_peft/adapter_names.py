"""Names of adapters: those that a model can take, and those that it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from peft import PeftConfig
from peft.utils import ModulesToSaveWrapper
from peft.utils.other import TrainableTokensWrapper
from torch import nn

from ..suggest import nearest
from .layer import CirculantLayer
from .saved_keys import KEY_PREFIX
from .token_rows import ROWS

LONGEST_NAME = 100  # characters, which are at most 255 bytes in most alphabets


def check_new_name(name: str) -> None:
    """Raise ValueError for a name that no adapter can have.

    PyTorch's modules refuse an empty name, a dot, and the names of their attributes. PEFT saves an adapter into a
    folder with its name, so a name must not be a path or too long for one.
    """
    if (
        not isinstance(name, str)
        or len(name) > LONGEST_NAME
        or not name.isprintable()
        or any(c in name for c in "/\\:")
    ):
        raise ValueError(
            f"adapter name {str(name)[:LONGEST_NAME]!r} cannot be the name of a folder; choose letters, digits, - and _"
        )
    # Adapters are in a ModuleDict. It rejects the names of its own attributes, but only after layers were replaced.
    if hasattr(nn.ModuleDict(), name) or "." in name or not name:
        raise ValueError(
            f"adapter name {name!r} is empty, has a dot, or is an attribute of PyTorch's modules; choose another"
        )


def check_adapter_names(names: str | Iterable[str], known: Iterable[str]) -> None:
    """Raise ValueError for the name of an adapter that a model does not have, with the nearest one that it has."""
    known = list(known)
    for name in [names] if isinstance(names, str) else names:
        if name not in known:
            raise ValueError(f"Adapter {name} does not exist; {nearest(name, known)}")  # as PEFT begins it


def check_saved_apart(
    configs: Mapping[str, PeftConfig], model: nn.Module, adapted: Mapping[str, nn.Module], marker: str
) -> None:
    """Check that PEFT can tell adapters from layers by their names.

    When PEFT saves an adapter, it leaves out every key that has the name of another adapter as a part, even if that
    part names a layer of the model. PEFT also copies each module with a name in modules_to_save, and adapters are
    modules.

    Args:
        configs: the configs by adapter name; the adapter that will be added is the last.
        model: the base model, with the adapters that it has.
        adapted: the parts of the adapter that will be added, by layer.
        marker: what the keys have between a layer and its adapter.

    Raises: ValueError that names the adapter, and what PEFT would take it for.
    """
    *_, new = configs
    for name in configs:
        for saved in configs[new].modules_to_save or ():
            if name.endswith(saved):
                raise ValueError(
                    f"an adapter cannot have the name {name!r} beside modules_to_save={saved!r}: PEFT would take the "
                    f"adapter for that module; choose another adapter_name"
                )
    keys: dict[str, list[str]] = {name: [] for name in configs}
    keys[new] = [f"{layer}{marker}{part}" for layer, a in adapted.items() for part, _ in a.named_parameters()]
    saved = tuple(f".{name}" for name in configs[new].modules_to_save or ())
    for layer, module in model.named_modules():
        if f".{layer}".endswith(saved):
            keys[new].append(f"{layer}.weight")
        if isinstance(module, CirculantLayer):
            of_layer: Mapping[str, nn.Module] = module.adapters
            place = module.adapter_layer_names[0]
        elif isinstance(module, ModulesToSaveWrapper):
            of_layer, place = module.modules_to_save, "modules_to_save"
        elif isinstance(module, TrainableTokensWrapper):
            for name in module.token_adapter.trainable_tokens_delta:
                keys.setdefault(name, []).append(f"{layer}.{ROWS}")
            continue
        else:
            continue
        for name, adapter in of_layer.items():
            keys.setdefault(name, []).extend(f"{layer}.{place}.{part}" for part, _ in adapter.named_parameters())
    for name, of_adapter in keys.items():
        for key in of_adapter:
            for other in configs.keys() - {name}:
                if f".{other}." in f".{KEY_PREFIX}{key}.":
                    raise ValueError(
                        f"an adapter cannot have the name {other!r} beside {name!r}: PEFT would not save {key!r} of "
                        f"{name!r}, because a part of it has that name; choose another adapter_name"
                    )
