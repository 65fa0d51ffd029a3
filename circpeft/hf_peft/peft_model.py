"""What circpeft adds to methods of `peft.PeftModel` for models with its own adapters.

PEFT loads weights over an adapter of the same name without reading their config, and expects the module names that the
model had when they were saved. It writes an adapter's files in place. A tuner cannot change this, so methods of
`PeftModel` are wrapped. Models with PEFT's own adapters pass through unchanged.
"""

from __future__ import annotations

import inspect
import os
import re
import shutil
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from peft import PeftConfig, PeftModel
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from peft.utils.constants import CONFIG_NAME
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn

from ..files import draft_folder, make_folder
from .adapter_names import check_adapter_names
from .caller_warnings import warn_caller
from .config_file import check_config
from .config_json import read_config
from .configs import CirculantConfig
from .layer import CirculantLayer
from .other_methods import check_other_method, files_are_checked
from .same_settings import check_reload
from .saved_keys import KEY_PREFIX, ModelKeys, loaded_by_peft, peft_loads
from .tuner import CirculantModel
from .written_files import move_files
from .written_keys import keep_own_keys

WHOLE_KEY = re.compile(r".+", re.DOTALL)


def extend_peft_model() -> None:
    """Make `peft.PeftModel` find, check and save adapters of circpeft as described in this module."""
    PeftModel.from_pretrained = classmethod(_checked_from_pretrained(PeftModel.from_pretrained.__func__))
    PeftModel.load_adapter = _checked_load_adapter(PeftModel.load_adapter)
    PeftModel.save_pretrained = _atomic_save_pretrained(PeftModel.save_pretrained)
    PeftModel.set_adapter = _with_checked_name(PeftModel.set_adapter)
    PeftModel.delete_adapter = _with_checked_name(PeftModel.delete_adapter)


def _is_ours(model: PeftModel) -> bool:
    return isinstance(model.__dict__["_modules"].get("base_model"), CirculantModel)


def keys_of(model: nn.Module, adapter_name: str) -> ModelKeys:
    """Return the keys of an adapter on a model that has it, without the adapter's name, and those of the base model."""
    keys = [key.removeprefix(KEY_PREFIX) for key in model.state_dict()]
    markers = {f".{module.adapter_layer_names[0]}." for module in model.modules() if isinstance(module, CirculantLayer)}
    for marker in markers:  # not the names of modules: wrappers of torch remove their own part from the keys
        named = f"{marker}{adapter_name}."
        keys += [key.replace(named, marker) for key in keys if named in key]
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, AuxiliaryTrainingWrapper):
            name = name.removeprefix(KEY_PREFIX)
            keys += [f"{name}.{part}" for part in module.adapter_state_dict_load_map(adapter_name)]
    return ModelKeys(model.base_model.model if isinstance(model, PeftModel) else model, dict.fromkeys(keys))


def renamed_state(model: PeftModel, adapter_name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a saved adapter under the names that a model with this adapter has for them."""
    with peft_loads(None):
        keys = keys_of(model, adapter_name)
        return {KEY_PREFIX + (keys.find(key := k.removeprefix(KEY_PREFIX)) or key): v for k, v in state.items()}


def _checked_from_pretrained(load: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(load)

    @wraps(load)
    def from_pretrained(*args: Any, **kwargs: Any) -> PeftModel:
        given = signature.bind(*args, **kwargs).arguments
        mapping, config = given.get("key_mapping"), given.get("config")
        if mapping is None:
            mapping = getattr(given["model"], "_checkpoint_conversion_mapping", None)
        if config is None:
            _check_config(given["model_id"], given.get("kwargs", {}))
        if isinstance(config, CirculantConfig) and config._saved_adapter is None:  # made for this file by hand
            config.check_saved_adapter(given["model_id"], **given.get("kwargs", {}))
        with peft_loads(mapping):
            loaded: PeftModel = load(*args, **kwargs)
        return loaded

    return from_pretrained


def _check_config(folder: str | os.PathLike[str], options: dict[str, Any]) -> None:
    """Check the config in a local folder: PEFT reads the name of its method before all else."""
    file = os.path.join(folder, options.get("subfolder") or "", CONFIG_NAME)
    if os.path.isfile(file):
        check_config(file, read_config(file))


def _checked_load_adapter(load: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(load)

    @wraps(load)
    def load_adapter(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        given = bound.arguments
        model, name, mapping = given["self"], given["adapter_name"], given.get("key_mapping")
        hub, _ = model._split_kwargs(dict(given.get("kwargs", {})))
        if not _is_ours(model):
            if files_are_checked() and name in model.peft_config:
                check_other_method(model, name, given["model_id"], mapping, hub)
            return load(*args, **kwargs)
        _check_config(given["model_id"], hub)
        in_use = name in model.peft_config and not loaded_by_peft()  # from_pretrained has just added the adapter
        with peft_loads(mapping):
            if in_use:
                saved = PeftConfig.from_pretrained(given["model_id"], **hub)
                check_reload(model.base_model, saved, name, given["model_id"])
            found: list[ModelKeys] = []

            def rename(match: re.Match[str]) -> str:
                if not found:  # only now the model has the adapter
                    found.append(keys_of(model, name))
                return found[0].find(match[0]) or match[0]

            given["key_mapping"] = {WHOLE_KEY: rename}
            return load(*bound.args, **bound.kwargs)

    return load_adapter


def _atomic_save_pretrained(save: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(save)

    @wraps(save)
    def save_pretrained(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        given = bound.arguments
        model, folder = given["self"], Path(given["save_directory"])
        if not _is_ours(model) or folder.is_file() or not given.get("is_main_process", True):
            save(*args, **kwargs)
            return
        selected = given.get("selected_adapters")
        names = list(model.peft_config) if selected is None else selected
        for name in names:
            check_adapter_names(name, model.peft_config)
            model.peft_config[name].check()
        if not given.get("safe_serialization", True):
            warn_caller("safe_serialization=False is ignored: only safetensors is read back")
            given["safe_serialization"] = True
        make_folder(folder)
        with draft_folder(folder, "adapter") as temporary:  # in the folder itself, so that a file moves within one disk
            if (folder / "README.md").is_file():  # PEFT completes an earlier model card
                shutil.copy(folder / "README.md", temporary)
            given["save_directory"] = str(temporary)
            save(*bound.args, **bound.kwargs)
            for name in names:
                inner = temporary if name == "default" else temporary / name
                keep_own_keys(model, name, inner / SAFETENSORS_WEIGHTS_NAME)
            move_files(temporary, folder)

    return save_pretrained


def _with_checked_name(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def checked(self: PeftModel, adapter_name: str, *args: Any, **kwargs: Any) -> Any:
        if _is_ours(self):
            check_adapter_names(adapter_name, self.peft_config)
        return method(self, adapter_name, *args, **kwargs)

    return checked
