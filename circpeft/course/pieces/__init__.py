"""Interactive pieces of the notebooks: small pictures that are drawn and computed in the browser."""

from importlib import import_module

# Imported on first use, so that one piece does not load what the others need.
_MODULE_OF = {
    "BlockDial": "block_dial",
    "Clusters": "clusters",
    "FactorMixer": "mixer",
    "KernelLab": "kernel_lab",
    "Phasors": "phasors",
    "Piece": "base",
    "SpectrumEraser": "eraser",
    "Switches": "switches",
    "TwoGradients": "gradients",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
