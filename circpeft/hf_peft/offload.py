"""Modules that accelerate keeps on the CPU or on disk between forward passes: their device, and their weights."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from accelerate.hooks import AlignDevicesHook, CpuOffload, ModelHook
from torch import nn


def hooks_of_accelerate(module: nn.Module) -> list[ModelHook]:
    """Return the hooks with which accelerate wraps the forward pass of a module."""
    hook = module.__dict__.get("_hf_hook")
    return [] if hook is None else list(getattr(hook, "hooks", [hook]))


def only_moves(module: nn.Module) -> bool:
    """Tell whether all of accelerate's hooks on a module move tensors between devices and change no value."""
    return all(isinstance(hook, (AlignDevicesHook, CpuOffload)) for hook in hooks_of_accelerate(module))


def execution_device(module: nn.Module) -> torch.device | int | str | None:
    """Return the device on which accelerate runs a module, or None if accelerate does not decide this."""
    devices = [getattr(hook, "execution_device", None) for hook in hooks_of_accelerate(module)]
    return next((device for device in devices if device is not None), None)


def check_in_memory(model: nn.Module, names: Iterable[str]) -> None:
    """Check that no named layer is offloaded, before transformers loads a saved adapter.

    Raises: ValueError for an offloaded layer. transformers would keep the adapter's file for it and never read it.
    """
    for name in names:
        if any(p.is_meta for p in model.get_submodule(name).parameters()):
            raise ValueError(
                f"transformers cannot load a saved adapter onto layer {name!r}, which is offloaded to the CPU or disk; "
                f"load the base model without offloading, or use peft.get_peft_model and "
                f"peft.set_peft_model_state_dict"
            )


@contextmanager
def onloaded(*modules: nn.Module) -> Iterator[None]:
    """Load the offloaded weights of modules to their execution devices, and offload them again afterwards.

    A parameter that is replaced meanwhile is kept in the CPU's memory, even if the old one was on disk.
    """
    with ExitStack() as stack:
        for module in modules:
            stack.enter_context(_onloaded(module))
        yield


@contextmanager
def _onloaded(module: nn.Module) -> Iterator[None]:
    hooks = [h for h in hooks_of_accelerate(module) if isinstance(h, AlignDevicesHook) and h.offload]
    if not hooks or not any(p.is_meta for p in module.parameters(recurse=False)):
        yield
        return
    hook = hooks[0]
    hook.pre_forward(module)
    loaded = dict(module.named_parameters(recurse=False))
    try:
        yield
        replaced = {
            name: p.detach().cpu() for name, p in module.named_parameters(recurse=False) if p is not loaded.get(name)
        }
        if replaced and isinstance(hook.weights_map, ChainMap):
            hook.weights_map.maps[0].update(replaced)
        elif replaced:
            hook.weights_map = ChainMap(replaced, hook.weights_map)
    finally:
        hook.post_forward(module, None)
