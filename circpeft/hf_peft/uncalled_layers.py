"""Linear layers that a model does not call. It reads their weight, so an adapter on them would have no effect."""

from typing import Any

from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

# Without the fused kernels of state-space models, as on a CPU, the same layers are called.
FUSED = "the fused kernel"
MAMBA, MAMBA2 = (FUSED, ("x_proj", "dt_proj", "out_proj")), (FUSED, ("out_proj",))
# model_type of the config -> what reads the weights, and the names of the layers.
READERS = {
    "wavlm": ("the attention", ("q_proj", "k_proj", "v_proj", "out_proj")),
    "mamba": MAMBA,
    "falcon_mamba": MAMBA,
    "jamba": (FUSED, ("dt_proj",)),
    "mamba2": MAMBA2,
    "bamba": MAMBA2,
    "falcon_h1": MAMBA2,
    "granitemoehybrid": MAMBA2,
    "nemotron_h": MAMBA2,
    "zamba2": MAMBA2,
}


def config_of(module: nn.Module) -> Any:
    """Return the config of a part of a model, or None."""
    # PEFT's wrappers pass on what the module inside has. Those of 0.18 fail if none of their adapters is active.
    return None if isinstance(module, AuxiliaryTrainingWrapper) else getattr(module, "config", None)


def uncalled_layers(model: nn.Module) -> dict[str, str]:
    """Return the names of linear layers that a model reads without calling them, each with what reads it.

    >>> uncalled_layers(nn.Sequential(nn.MultiheadAttention(4, 2)))
    {'0.out_proj': 'nn.MultiheadAttention'}
    """
    uncalled: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for name, layer in model.named_modules():
        parent, _, last = name.rpartition(".")
        kind = kinds[name] = getattr(config_of(layer), "model_type", "") or kinds.get(parent, "")
        reader, names = READERS.get(kind, ("", ()))
        if isinstance(layer, nn.modules.linear.NonDynamicallyQuantizableLinear):
            uncalled[name] = "nn.MultiheadAttention"
        elif isinstance(layer, nn.Linear) and last in names:
            uncalled[name] = f"{reader} of {kind}"
    return uncalled


def check_wrapper(wrapper: nn.Module, name: str) -> None:
    """Raise TypeError for a layer that is compiled on its own: its compiled code would not call an adapter."""
    layer = getattr(wrapper, "_orig_mod", None)
    if isinstance(layer, (nn.Linear, nn.Conv2d)):
        raise TypeError(
            f"layer {name!r} is compiled on its own (torch.compile), so an adapter inside it would not be called; "
            f"add the adapter first, and compile afterwards"
        )
