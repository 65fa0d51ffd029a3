"""Linear layers that a model does not call: it reads their weight, so that an adapter there would do nothing."""

from torch import nn

MAMBA, MAMBA2 = ("x_proj", "dt_proj", "out_proj"), ("out_proj",)
# What the fused kernels of state-space models read (transformers 5.14; without these kernels, as on a CPU, the same
# layers are called), by the config's model_type.
READ = {
    "mamba": MAMBA,
    "falcon_mamba": MAMBA,
    "jamba": ("dt_proj",),
    "mamba2": MAMBA2,
    "bamba": MAMBA2,
    "falcon_h1": MAMBA2,
    "granitemoehybrid": MAMBA2,
    "nemotron_h": MAMBA2,
    "zamba2": MAMBA2,
}


def bypassed(model: nn.Module) -> dict[str, str]:
    """Names of linear layers whose weight a model reads without calling them, each with what does so.

    >>> bypassed(nn.Sequential(nn.MultiheadAttention(4, 2)))
    {'0.out_proj': 'nn.MultiheadAttention'}
    """
    kind = getattr(getattr(model, "config", None), "model_type", "")
    found = {}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.modules.linear.NonDynamicallyQuantizableLinear):
            found[name] = "nn.MultiheadAttention"
        elif isinstance(layer, nn.Linear) and name.rsplit(".", 1)[-1] in READ.get(kind, ()):
            found[name] = f"the fused kernel of {kind}"
    return found
