"""The keys of an adapter that was written: those that would be refused when it is loaded are removed from the file.

PEFT writes the embeddings of the base model with an adapter if their number differs from that of the published model.
PEFT up to 0.20 also writes the other adapters of a model, and the parts of names that wrappers of torch add.
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
    """Give the keys of a file their plain names, and remove those that are not the adapter's.

    Weights of the base model that are removed are named in a warning.

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

    written = list(read_header(str(file)))
    own = {key: plain_name(key) for key in written if is_own(plain_name(key))}
    if own == {key: key for key in written}:
        return
    if of_model := [key for key in written if key not in own and marker not in key]:
        warn_caller(
            f"the adapter {adapter_name!r} is saved without {of_model[0].removeprefix(KEY_PREFIX)!r}, a weight of the "
            f"base model; to train and save new embeddings, name their module in modules_to_save"
        )
    state = load_file(file)
    save_file({plain: state[key] for key, plain in own.items()}, file, metadata={"format": "pt"})
