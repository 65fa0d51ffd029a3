"""The keys of an adapter that was written: those that would be refused when it is loaded are removed from the file.

PEFT writes the embeddings of the base model with an adapter if their number differs from that of the published model,
and PEFT up to 0.20 also writes the other adapters of a model.
"""

from __future__ import annotations

from pathlib import Path

from peft import PeftModel
from peft.utils.other import AuxiliaryTrainingWrapper
from safetensors.torch import load_file, save_file

from .adapter_file import read_header
from .caller_warnings import warn_caller
from .saved_adapter import OTHER_COPIES
from .saved_keys import KEY_PREFIX, plain_name


def keep_own_keys(model: PeftModel, adapter_name: str, file: Path) -> None:
    """Remove the keys from a file that are not those of its adapter. Weights of the base model are named in a warning.

    Args:
        model: the model.
        adapter_name: the adapter that was saved.
        file: its safetensors file.
    """
    marker = f".{model.base_model.prefix}adapters."
    wrapped = [plain_name(n) for n, m in model.named_modules() if isinstance(m, AuxiliaryTrainingWrapper)]
    copied = tuple(f"{name}." if name.startswith(KEY_PREFIX) else f"{KEY_PREFIX}{name}." for name in wrapped)
    bias = model.peft_config[adapter_name].bias
    biases = () if bias == "none" else (".bias",) if bias == "all" else (".base_layer.bias",)

    def is_own(key: str) -> bool:
        if marker in key:
            return "." not in key.partition(marker)[2]
        return key.endswith(biases) or (key.startswith(copied) and not OTHER_COPIES.search(key))

    others = [key for key in read_header(str(file)) if not is_own(key)]
    if not others:
        return
    if of_model := [key for key in others if marker not in key]:
        warn_caller(
            f"the adapter {adapter_name!r} is saved without {of_model[0].removeprefix(KEY_PREFIX)!r}, a weight of the "
            f"base model; to train and save new embeddings, name their module in modules_to_save"
        )
    state = load_file(file)
    save_file({key: tensor for key, tensor in state.items() if key not in others}, file, metadata={"format": "pt"})
