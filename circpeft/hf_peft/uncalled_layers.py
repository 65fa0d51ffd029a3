"""Linear layers that a model does not call: it reads their weight, so that an adapter there would do nothing."""

from torch import nn

# Where the fused kernels of state-space models are not installed, as on a CPU, the same layers are called.
FUSED = "the fused kernel"
MAMBA, MAMBA2 = (FUSED, ("x_proj", "dt_proj", "out_proj")), (FUSED, ("out_proj",))
# By the config's model_type: what reads the weights, and the layers' names.
READ = {
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


def uncalled_layers(model: nn.Module) -> dict[str, str]:
    """Names of linear layers whose weight a model reads without calling them, each with what does so.

    >>> uncalled_layers(nn.Sequential(nn.MultiheadAttention(4, 2)))
    {'0.out_proj': 'nn.MultiheadAttention'}
    """
    found, kinds = {}, {}
    for name, layer in model.named_modules():
        above, _, last = name.rpartition(".")
        kind = kinds[name] = getattr(getattr(layer, "config", None), "model_type", "") or kinds.get(above, "")
        what, names = READ.get(kind, ("", ()))
        if isinstance(layer, nn.modules.linear.NonDynamicallyQuantizableLinear):
            found[name] = "nn.MultiheadAttention"
        elif isinstance(layer, nn.Linear) and last in names:
            found[name] = f"{what} of {kind}"
    return found
