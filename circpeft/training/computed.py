"""How a run is computed, as read from torch, the Trainer and the model: number formats, device, batch, attention.

`expected` returns the facts that this process decides before a model is loaded. `computed` returns all facts, as they
are in the Trainer and the model.
`circpeft.computation` says which of these facts make two runs comparable.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from operator import attrgetter
from typing import Any

import torch
from accelerate.utils import TorchDynamoPlugin
from torch import nn
from torch.nn.functional import conv2d
from transformers import Trainer

from ..ops.dispatch import forced_backend
from ..ops.precision import convolutions_allow_tf32, rounding_on_cpu, tf32_allowed
from ..recipes import Recipe
from . import distributed

# Settings of torch that change numbers, and their defaults. Those of `cudnn` and `cuda` count on a GPU only.
SWITCHES = {
    "cuda.matmul.allow_fp16_accumulation": False,
    "cuda.matmul.allow_fp16_reduced_precision_reduction": True,
    "cuda.matmul.allow_bf16_reduced_precision_reduction": True,
    "cuda.fp16_bf16_reduction_math_sdp_allowed": False,
    "cuda.cudnn_sdp_enabled": True,
    "cuda.mem_efficient_sdp_enabled": True,
    "cudnn.benchmark": False,
    "cudnn.deterministic": False,
    "cudnn.enabled": True,
    "cuda.flash_sdp_enabled": True,
    "cuda.math_sdp_enabled": True,
    "mkldnn.enabled": True,
}
EVERYWHERE = {"cuda.flash_sdp_enabled", "cuda.math_sdp_enabled", "mkldnn.enabled"}  # also on a CPU
# Variables with which libraries round the operands of float32 products, whatever torch's settings say.
ROUNDING_VARIABLES = {
    "cuda": ("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
    "cpu": ("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"),
}
PRODUCT_SIZE = 512  # smaller products may take kernels that do not round
FULL, TF32 = 1 + 2**-12, 1 + 2**-9  # ten bits of mantissa keep the second number only, seven bits neither
AMPERE = (8, 0)  # the first GPUs with TF32
PRECISIONS = {"no": "float32"}


def expected(recipe: Recipe) -> dict[str, Any]:
    """Return the facts of a run that this process decides, before a model is loaded."""
    device = distributed.state().device
    return {
        "device": device.type,
        "float32_products": float32_products(device),
        "float32_convolutions": float32_convolutions(device),
        "deterministic": recipe.deterministic or torch.are_deterministic_algorithms_enabled(),
        "compiled": _compiler(TorchDynamoPlugin()),
        "backend": forced_backend(),
        "switches": switches(device),
    }


def fingerprint(recipe: Recipe) -> str:
    """Return a hash of the facts that this process decides. A run is resumed only if they are the same."""
    return hashlib.sha256(json.dumps(expected(recipe), sort_keys=True).encode()).hexdigest()[:8]


def check(trainer: Trainer, recipe: Recipe) -> None:
    """Raise ValueError if the Trainer would not compute what the recipe says, naming both values."""
    facts = computed(trainer)
    wanted = {"precision": recipe.precision, "gradient_accumulation": recipe.gradient_accumulation}
    wanted["batch"] = recipe.batch_size * recipe.gradient_accumulation
    for name, value in wanted.items():
        if facts[name] != value:
            raise ValueError(
                f"the Trainer has {name}={facts[name]!r}, but the recipe says {value!r}; start in an environment "
                f"without variables for accelerate (ACCELERATE_*), or change the recipe"
            )


def computed(trainer: Trainer) -> dict[str, Any]:
    """Return how a Trainer computes, as it is set up now.

    Returns: a dictionary with

    - ``device``, ``threads``, ``processes``, ``sharded`` (by FSDP);
    - ``precision``: the number format of autocast, "float32" without it;
    - ``float32_products``, ``float32_convolutions``: what products of float32 numbers are rounded to: "float32" for
      nothing, "tf32", or "bf16";
    - ``weights``: the number format of most weights;
    - ``batch``: rows per step, over all processes and accumulated batches; ``gradient_accumulation``;
    - ``attention``, ``experts``: the implementations that the model uses, "" for none;
    - ``deterministic``: whether only deterministic operators run;
    - ``compiled``: torch.compile's backend, "" for none;
    - ``backend``: what `circpeft.use_backend` or ``CIRCPEFT_BACKEND`` forces, "auto" for nothing;
    - ``circulant_products``: what computed the circulant products of the first training step, such as "fold";
    - ``switches``: settings of ``torch.backends`` that are not at their defaults.
    """
    accelerator, arguments = trainer.accelerator, trainer.args
    device, model = accelerator.device, trainer.model
    autocast = accelerator.mixed_precision if accelerator.native_amp else "no"
    # Earlier versions of transformers give the number to accelerate as well.
    accumulation = max(arguments.gradient_accumulation_steps, accelerator.gradient_state.num_steps)
    return {
        "device": device.type,
        "threads": torch.get_num_threads(),
        "processes": accelerator.num_processes,
        "sharded": bool(trainer.is_fsdp_enabled),
        "precision": PRECISIONS.get(autocast, autocast),
        "float32_products": float32_products(device),
        "float32_convolutions": float32_convolutions(device),
        "weights": _number_format(model),
        "batch": arguments.train_batch_size * accelerator.num_processes * accumulation,
        "gradient_accumulation": accumulation,
        "attention": _implementation(model, "_attn_implementation"),
        "experts": _experts(model),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "compiled": _compiler(accelerator.state.dynamo_plugin),
        "backend": forced_backend(),
        "circulant_products": sorted(getattr(trainer, "circulant_products", None) or ()),
        "switches": switches(device),
    }


def _compiler(plugin: TorchDynamoPlugin) -> str:
    name = plugin.backend.value.lower()
    if name == "no":
        return ""
    if torch._dynamo.config.disable:  # TORCH_COMPILE_DISABLE=1
        return ""
    return name if plugin.mode in (None, "default") else f"{name} ({plugin.mode})"


def _number_format(model: nn.Module) -> str:
    sizes: Counter[str] = Counter()
    for parameter in model.parameters():
        sizes[str(parameter.dtype).removeprefix("torch.")] += parameter.numel()
    return sizes.most_common(1)[0][0]


def _implementation(model: nn.Module, name: str) -> str:
    """Return the implementations that the parts of a model use; those for images and texts may differ."""
    found = {str(value) for part in model.modules() if (value := getattr(getattr(part, "config", None), name, None))}
    return ", ".join(sorted(found))


def _experts(model: nn.Module) -> str:
    # Every config of transformers 5 names an implementation, also those of models without experts.
    has_experts = any("experts" in name.rpartition(".")[2] for name, _ in model.named_modules())
    return _implementation(model, "_experts_implementation") if has_experts else ""


def switches(device: torch.device) -> dict[str, Any]:
    """Return the settings of ``torch.backends`` that are not at their defaults and count on a device."""
    found = {}
    for name, default in SWITCHES.items():
        if device.type == "cuda" or name in EVERYWHERE:
            try:
                value = attrgetter(name)(torch.backends)
            except AttributeError:  # another version of torch
                continue
            value = value() if callable(value) else value
            if value != default:
                found[name] = value
    return found


def float32_products(device: torch.device) -> str:
    """Return what a device rounds the operands of float32 products to; "float32" if it does not round them.

    Settings and variables only say what may be rounded, so this is measured, unless all of them are at their defaults.
    """
    kind = device.type
    allowed = {"cuda": tf32_allowed, "cpu": lambda: rounding_on_cpu("matmul")}
    if kind not in allowed:
        return "float32"
    if not allowed[kind]() and not any(os.environ.get(name) for name in ROUNDING_VARIABLES[kind]):
        return "float32"
    unit = torch.eye(PRODUCT_SIZE, device=device)
    return _kept(lambda numbers: numbers @ unit, torch.ones(PRODUCT_SIZE, PRODUCT_SIZE, device=device))


def float32_convolutions(device: torch.device) -> str:
    """Return what a device rounds the operands of float32 convolutions to; "float32" if it does not round them."""
    if device.type == "cuda":
        # Not measured: TF32 is torch's default here, and a measurement would take memory on the GPU before a sweep.
        allowed = convolutions_allow_tf32() and os.environ.get("NVIDIA_TF32_OVERRIDE") != "0"
        has_tf32 = torch.version.hip is None and torch.cuda.get_device_capability(device) >= AMPERE
        return "tf32" if allowed and has_tf32 else "float32"
    rounding = rounding_on_cpu("conv") or any(os.environ.get(name) for name in ROUNDING_VARIABLES["cpu"])
    if device.type != "cpu" or not rounding:
        return "float32"
    unit = torch.eye(64).view(64, 64, 1, 1)
    return _kept(lambda numbers: conv2d(numbers, unit), torch.ones(1, 64, 32, 32))


@torch.no_grad()
def _kept(product: Any, ones: torch.Tensor) -> str:
    """Return the number format whose numbers survive a product with the unit matrix."""
    for number, name in ((FULL, "float32"), (TF32, "tf32")):
        if product(ones * number).flatten()[0].item() == number:
            return name
    return "bf16"
