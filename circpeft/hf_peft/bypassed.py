"""Linear layers that a model does not call: it reads their weight, so that an adapter there would do nothing."""

from torch import nn

MAMBA, MAMBA2 = ("x_proj", "dt_proj", "out_proj"), ("out_proj",)
# By the config's model_type. The fused kernels of state-space models read theirs; without these kernels, as on a CPU,
# the same layers are called.
READ = {
    "wavlm": ("q_proj", "k_proj", "v_proj", "out_proj"),
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
    found, kinds = {}, {}
    for name, layer in model.named_modules():
        own = getattr(getattr(layer, "config", None), "model_type", "")
        kind = kinds[name] = own or kinds.get(name.rpartition(".")[0] if name else None, "")
        if isinstance(layer, nn.modules.linear.NonDynamicallyQuantizableLinear):
            found[name] = "nn.MultiheadAttention"
        elif isinstance(layer, nn.Linear) and name.rsplit(".", 1)[-1] in READ.get(kind, ()):
            found[name] = f"the attention of {kind}" if kind == "wavlm" else f"the fused kernel of {kind}"
    return found
