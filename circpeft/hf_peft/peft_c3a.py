"""Adapters of PEFT's own C3A: load them as circpeft's C3A, and save circpeft's C3A for PEFT.

Both directions keep ``ΔW``. PEFT's kernel equals circpeft's in the row layout with ``alpha="paper"``, which is 1.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import peft
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from peft.auto import MODEL_TYPE_TO_PEFT_MODEL_MAPPING
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import save_file
from torch import nn

from ..files import draft_folder, make_folder
from ..ops import other_layout
from ..suggest import nearest
from .adapter_file import find_files, read_header, read_tensors
from .config_file import check_config
from .config_json import read_config
from .configs import C3AConfig
from .file_regexes import check_regexes
from .layer import C3ALinear
from .peft_model import renamed_state
from .saved_adapter import HARMLESS_FIELDS, SavedAdapter
from .saved_keys import KEY_PREFIX, peft_loads, plain_name
from .targets import exact_targets
from .written_files import move_files

PEFT_KERNEL, CIRCPEFT_KERNEL = ".c3a_kernel", ".circonv_adapters.kernel"
PEFT_BIAS = {"none": "none", "all": "all", "circonv_only": "c3a_only"}
# Fields with the same name and meaning in both configs.
COMMON_FIELDS = ("task_type", "base_model_name_or_path", "revision", "modules_to_save", "auto_mapping")


def _block_sizes(sizes: dict[str, int]) -> dict[str, Any]:
    """Return PEFT's fields for the block sizes of layers, given by full name.

    The most frequent size is the default. If the sizes differ, the pattern lists the size of every layer.
    """
    if len(set(sizes.values())) < 2:
        return {"block_size": next(iter(sizes.values()), 1), "block_size_pattern": {}}
    common = Counter(sizes.values()).most_common(1)[0][0]
    # The longest name comes first, because a key also matches the end of a longer name.
    return {"block_size": common, "block_size_pattern": {n: sizes[n] for n in sorted(sizes, key=len, reverse=True)}}


def _key_in_peft(pattern: dict[str, int], name: str) -> str:
    """Return the key that PEFT's C3A uses for a layer. It looks at the ends of the name before the whole name."""
    return next((key for key in pattern if re.match(rf".*\.{key}$", name)), name)


def load_peft_c3a(model: nn.Module, path: str | Path, adapter_name: str = "default", **hub: Any) -> PeftModel:
    """Load an adapter that PEFT's own C3A saved onto a base model, as circpeft's C3A.

    The outputs are the same, and the gradients are right. The adapter keeps PEFT's scale, ``alpha="paper"``: train it
    further with the learning rate that it had.

    Args:
        model: the base model.
        path: folder or hub id of the adapter.
        adapter_name: name of the adapter in the model.
        hub: options of the hub: subfolder, revision, token, ...

    Returns: the adapted model. The adapter is active and trainable.

    Raises: ValueError that names the file (and key) of an adapter that is of another method, unreadable, not finite or
    does not fit the model. The model is unchanged then.

    >>> import tempfile
    >>> from torch import nn
    >>> config = peft.C3AConfig(target_modules=["0"], block_size=4, init_weights="gaussian")
    >>> theirs = peft.get_peft_model(nn.Sequential(nn.Linear(8, 4, bias=False)), config)
    >>> x = theirs.base_model.model[0].base_layer.weight
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     theirs.save_pretrained(folder)
    ...     base = nn.Sequential(nn.Linear(8, 4, bias=False))
    ...     base.load_state_dict({"0.weight": x})
    ...     ours = load_peft_c3a(base, folder)
    <All keys matched successfully>
    >>> bool((ours(x) - theirs(x)).norm() < 1e-5)
    True
    """
    path = str(path)
    theirs, unknown, config_file, file = _read_config(path, hub)
    header = read_header(file)
    kernels = {key: entry.shape for key, entry in header.items() if key.endswith(PEFT_KERNEL)}
    for key, shape in kernels.items():
        if len(shape) != 3:
            raise ValueError(f"{file}: {key!r} has shape {tuple(shape)}; a kernel has three dimensions")
    sizes = {key.removeprefix(KEY_PREFIX).removesuffix(PEFT_KERNEL): shape[-1] for key, shape in kernels.items()}
    try:
        config = C3AConfig(
            **_block_sizes(sizes),
            alpha="paper",
            target_modules=theirs.target_modules,
            layers_to_transform=theirs.layers_to_transform,
            layers_pattern=theirs.layers_pattern,
            bias={theirs: ours for ours, theirs in PEFT_BIAS.items()}.get(theirs.bias, theirs.bias),
            **{name: getattr(theirs, name) for name in COMMON_FIELDS},
        )
    except (ValueError, TypeError) as error:
        raise ValueError(f"{config_file}: {error}") from error
    header = {_circpeft_key(key): entry for key, entry in header.items()}
    config.__dict__["_saved_adapter"] = SavedAdapter(file, config_file, header, unknown)
    try:
        with peft_loads(None):
            adapted = MODEL_TYPE_TO_PEFT_MODEL_MAPPING.get(config.task_type, PeftModel)(model, config, adapter_name)
    except (ValueError, TypeError) as error:
        if path in str(error):
            raise
        raise type(error)(f"{file}: {error}") from error
    state = {_circpeft_key(key): tensor for key, tensor in read_tensors(file).items()}
    set_peft_model_state_dict(adapted, renamed_state(adapted, adapter_name, state), adapter_name)
    return adapted


def _circpeft_key(key: str) -> str:
    return key.replace(PEFT_KERNEL, CIRCPEFT_KERNEL)


def _read_config(path: str, hub: dict[str, Any]) -> tuple[peft.C3AConfig, tuple[str, ...], str, str]:
    """Return the config of PEFT's C3A, its unknown fields, and the paths of the config and of the adapter."""
    config_file, file = find_files(path, **hub)
    content = read_config(config_file)
    if check_config(config_file, content) is not peft.C3AConfig:
        raise ValueError(f"{config_file} is an adapter of {content['peft_type']}; expected one of PEFT's C3A")
    if not file:
        raise ValueError(
            f"{os.path.join(path, SAFETENSORS_WEIGHTS_NAME)} is missing: {path} has a config without an adapter"
        )
    known = {field.name for field in fields(peft.C3AConfig)}
    check_regexes(config_file, content)
    try:
        config = peft.C3AConfig(**{name: value for name, value in content.items() if name in known})
    except (ValueError, TypeError, AttributeError) as error:  # PEFT does not check the types of all values
        raise ValueError(f"{config_file}: {error}") from error
    return config, tuple(sorted(content.keys() - known - HARMLESS_FIELDS)), config_file, file


def save_peft_c3a(model: nn.Module, path: str | Path, adapter_name: str = "default") -> None:
    """Save a C3A adapter of circpeft so that PEFT loads it as its own C3A, without circpeft.

    ``alpha`` and the column layout are included in the kernel. Dropout is left out, because PEFT's C3A has none.
    Modules and biases that train beside the adapter are written unchanged. `load_peft_c3a` reads the same ``ΔW`` back.

    Raises: ValueError if the model has no C3A adapter with this name, or has it on a layer that is not an nn.Linear, or
    beside trained rows of an embedding; PEFT's C3A supports neither. Nothing is written then.
    """
    base: Any = model.base_model.model if isinstance(model, PeftModel) else model
    layers = {
        plain_name(name).removeprefix(KEY_PREFIX): layer  # as in the keys
        for name, layer in base.named_modules(remove_duplicate=False)
        if isinstance(layer, C3ALinear) and adapter_name in layer.adapters
    }
    if not layers:
        known = {name for layer in base.modules() if isinstance(layer, C3ALinear) for name in layer.adapters}
        raise ValueError(f"the model has no C3A adapter {adapter_name!r}; {nearest(adapter_name, sorted(known))}")
    for name, layer in layers.items():
        if not isinstance(layer.get_base_layer(), nn.Linear):
            kind = type(layer.get_base_layer()).__name__
            raise ValueError(f"layer {name!r} is a {kind}, and PEFT's C3A supports only nn.Linear")
    peft_model: Any = model
    ours = peft_model.peft_config[adapter_name]
    if ours.trainable_token_indices:
        raise ValueError(
            f"adapter {adapter_name!r} trains rows of an embedding (trainable_token_indices), and PEFT's C3A cannot"
        )
    state = {}
    for key, tensor in get_peft_model_state_dict(model, adapter_name=adapter_name).items():
        name = plain_name(key.removeprefix(KEY_PREFIX))
        if name.endswith(CIRCPEFT_KERNEL):
            name = name.removesuffix(CIRCPEFT_KERNEL)
            adapter = layers[name].adapters[adapter_name]
            kernel = layers[name].initial_alphas[adapter_name] * adapter.kernel.detach()
            name, tensor = name + PEFT_KERNEL, kernel if adapter.layout == "row" else other_layout(kernel)
        state[KEY_PREFIX + name] = tensor.detach().cpu().contiguous().clone()
    sizes = {name: layer.adapters[adapter_name].block_size for name, layer in layers.items()}
    blocks = _block_sizes(sizes)
    for name, b in sizes.items():
        pattern = blocks["block_size_pattern"]
        if pattern.get(_key_in_peft(pattern, name), blocks["block_size"]) != b:
            other = _key_in_peft(pattern, name)
            raise ValueError(
                f"PEFT's C3A would give {name!r} the block size of {other!r}, because its name ends with that"
            )
    config = peft.C3AConfig(
        **blocks,
        target_modules=exact_targets(base, layers),
        bias=PEFT_BIAS[ours.bias],
        inference_mode=True,
        **{name: getattr(ours, name) for name in COMMON_FIELDS},
    )
    folder = Path(path)
    make_folder(folder)
    with draft_folder(folder, "adapter") as temporary:
        save_file(state, temporary / SAFETENSORS_WEIGHTS_NAME, metadata={"format": "pt"})
        config.save_pretrained(str(temporary))
        move_files(temporary, folder)
