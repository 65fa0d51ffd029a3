"""Refuse an environment that contradicts the recipe, before anything is trained."""

from __future__ import annotations

import os

import torch
from accelerate.utils import DynamoBackend

from ..recipes import Recipe
from ..recipes.checks import CHOICES
from ..suggest import nearest
from . import distributed, launcher
from .device import accelerator

LAUNCH_SETS = "accelerate launch and the file of accelerate config set it"
# They replace transformers' training loop, or divide the work in another way. No run was compared under them.
UNSUPPORTED = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "tensor or context parallelism",
    "ACCELERATE_USE_SAGEMAKER": "SageMaker's data parallelism",
}


def check(recipe: Recipe) -> None:
    """Raise ValueError if the environment or torch's settings would compute something else than the recipe says.

    The error names the value, what sets it, and what to do.
    """
    for name, what in UNSUPPORTED.items():
        if launcher.flag(name):
            raise ValueError(
                f"{name}={os.environ[name]!r} asks for {what}, which recipes do not support ({LAUNCH_SETS}); launch "
                f"with --multi_gpu or --use_fsdp, or unset it"
            )
    _check_precision(recipe)
    _check_accumulation(recipe)
    _check_device()
    backend = os.environ.get("ACCELERATE_DYNAMO_BACKEND", "no")
    known = [choice.value.lower() for choice in DynamoBackend]
    if backend.lower() not in known:
        raise ValueError(f"unknown ACCELERATE_DYNAMO_BACKEND={backend!r}; {nearest(backend.lower(), known)}")
    _check_torch()


def _check_precision(recipe: Recipe) -> None:
    asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "no").lower()
    # The launcher writes "no" unless it is told otherwise; the recipe's own precision then applies.
    if asked in ("no", "", recipe.precision):
        return
    possible = asked in CHOICES["precision"]
    raise ValueError(
        f"ACCELERATE_MIXED_PRECISION={asked!r} contradicts the recipe's precision={recipe.precision!r} "
        f"({LAUNCH_SETS}); launch with --mixed_precision no, or unset it"
        f"{f', or set precision={asked!r} in the recipe' if possible else ''}"
    )


def _check_accumulation(recipe: Recipe) -> None:
    asked = os.environ.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "")
    if asked and asked != str(recipe.gradient_accumulation):
        raise ValueError(
            f"ACCELERATE_GRADIENT_ACCUMULATION_STEPS={asked} contradicts the recipe's gradient_accumulation="
            f"{recipe.gradient_accumulation} ({LAUNCH_SETS}); unset it, or set gradient_accumulation in the recipe"
        )


def _check_device() -> None:
    asked = os.environ.get("ACCELERATE_TORCH_DEVICE", "")
    if not asked:
        return
    present = accelerator()
    usual = "cpu" if present is None or launcher.flag("ACCELERATE_USE_CPU") else present.type
    if asked not in (usual, f"{usual}:0") or distributed.state().num_processes > 1:
        raise ValueError(
            f"ACCELERATE_TORCH_DEVICE={asked!r} would put the data on another device than the model, which trains on "
            f"{usual!r}; unset it, and choose a GPU with CUDA_VISIBLE_DEVICES, or the CPU with ACCELERATE_USE_CPU=true"
        )


def _check_torch() -> None:
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    if dtype != torch.float32:
        raise ValueError(
            f"torch's default dtype is {dtype}, in which new parameters would train; call "
            f"torch.set_default_dtype(torch.float32), and choose base_dtype in the recipe"
        )
    if device.type != "cpu":
        raise ValueError(
            f"torch's default device is {str(device)!r}, where the order of the rows would be drawn; call "
            f"torch.set_default_device('cpu'): the Trainer moves model and batches to the GPU"
        )
    for kind in ("cpu", distributed.state().device.type):
        if torch.is_autocast_enabled(kind):
            raise ValueError(
                f"autocast to {torch.get_autocast_dtype(kind)} is on around the whole run; leave the `with "
                f"torch.autocast` block, and set precision in the recipe"
            )
