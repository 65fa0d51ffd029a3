"""The base model of a run: its config, its weights, and their number formats."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from peft import prepare_model_for_kbit_training
from torch import Tensor, nn
from transformers import AutoConfig, BitsAndBytesConfig, PretrainedConfig

from .. import methods, models
from ..method_specs import SPECS, get_spec
from ..methods.model import head_names, new_head_names
from ..recipes import Recipe


def weights_of(recipe: Recipe) -> Path:
    """Folder of what a run has trained: its adapter, or the model where the method trains weights of the model itself.

    >>> weights_of(Recipe("sst2", "lora", output_dir="runs/mine")).parent.as_posix()
    'runs/mine/adapters'
    """
    return Path(recipe.output_dir) / ("adapters" if get_spec(recipe.method).trains_adapter else "models") / recipe.name


def check(recipe: Recipe) -> None:
    """Raise ValueError for a number format that the machine or the method does not take, naming those that it does."""
    if recipe.precision == "fp16" and not torch.cuda.is_available():
        raise ValueError("precision='fp16' needs a GPU; on a CPU: float32 or bf16")
    if (
        recipe.precision == "bf16"
        and torch.cuda.is_available()
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        raise ValueError("precision='bf16' needs another GPU (Ampere or later); on this one: float32 or fp16")
    spec = get_spec(recipe.method)
    if recipe.base_dtype == "float16" and not spec.trains_adapter:
        raise ValueError(
            f"method {recipe.method!r} trains the base model's weights, and base_dtype='float16' is too coarse for its "
            f"steps; choose float32 or bfloat16"
        )
    if not recipe.quantization:
        return
    if recipe.quantization not in spec.quantization:
        able = [name for name, other in SPECS.items() if recipe.quantization in other.quantization]
        does = "has no adapter for them" if spec.trains_adapter else "trains weights of the model itself"
        raise ValueError(
            f"method {recipe.method!r} does not go with the rounded weights of quantization={recipe.quantization!r}: "
            f"it {does}; choose one of: {', '.join(able)}"
        )
    if find_spec("bitsandbytes") is None:
        raise ValueError(
            f"quantization={recipe.quantization!r} needs bitsandbytes, which is not installed; "
            f"pip install 'circpeft[quantized]', or leave quantization empty"
        )


def config_of(recipe: Recipe, task: Any, kind: ModuleType, folder: str) -> PretrainedConfig:
    """The model's config, with the task's outputs and the recipe's dropout.

    Raises: ValueError for a kind of model that is not made for such tasks.
    """
    config = AutoConfig.from_pretrained(folder, **kind.settings(task))
    if type(config) not in kind.AUTO._model_mapping and not hasattr(config, "auto_map"):
        raise ValueError(
            f"model {recipe.model!r} is a {config.model_type!r}, of which transformers has no {kind.AUTO.__name__[4:]} "
            f"as task {task.name!r} needs it; choose a model of a kind such as {kind.SUCH}"
        )
    if kind.NEW_HEAD and config.num_labels != task.num_labels:  # PVT's keeps its own number, whatever is asked for
        config.num_labels = task.num_labels
        for name, value in kind.settings(task).items():
            setattr(config, name, value)
    if recipe.base_dropout is not None:
        _set_dropout(config, recipe.base_dropout)
    return config


def _set_dropout(config: PretrainedConfig, probability: float) -> None:
    for name, value in list(vars(config).items()):
        if isinstance(value, PretrainedConfig):  # CLIP has one for images and one for texts
            _set_dropout(value, probability)
        elif type(value) in (int, float) and ("dropout" in name or name.endswith("_pdrop")):
            setattr(config, name, probability)


def adapted(base: nn.Module, recipe: Recipe) -> nn.Module:
    """The model, made trainable by the recipe's method."""
    return methods.apply(base, recipe.method, target_modules=recipe.target_modules or None, **recipe.options)


def outline(recipe: Recipe, kind: ModuleType, config: PretrainedConfig) -> tuple[nn.Module, list[str]]:
    """The model that would train, without its weights (on torch's meta device), and the names of its head."""
    with torch.device("meta"):
        base = kind.AUTO.from_config(config)
    head = head_names(base)
    if kind.NEW_HEAD and not head:  # it would stay as it was drawn, whatever trains
        raise ValueError(
            f"model {recipe.model!r}: {type(base).__name__} keeps its head inside of its base model, where no method "
            f"would train it; choose a model of a kind such as {kind.SUCH}"
        )
    with torch.random.fork_rng():  # some methods draw projections, and BOFT cannot on the meta device
        return adapted(base, recipe), head


def load(recipe: Recipe, kind: ModuleType, folder: str, config: PretrainedConfig) -> nn.Module:
    """The model with its weights, in the number format that the recipe wants.

    A new head is left in float32: it trains, and sixteen bits swallow small steps.
    """
    loading, dtype = dict(kind.LOADING), getattr(torch, recipe.base_dtype)
    if recipe.quantization:
        loading["quantization_config"] = _quantized(recipe, kind, config)
    with models.hub_errors(recipe.model):
        base = kind.AUTO.from_pretrained(folder, config=config, dtype=dtype, **loading)
    if get_spec(recipe.method).trains != "all":
        _freeze_statistics(base)
    if recipe.quantization:
        # bitsandbytes lays 4-bit weights out anew at the first evaluation on some CPUs, and then has no gradient.
        for layer in base.modules():
            if hasattr(layer, "support_avx512bf16_for_cpu"):
                layer.support_avx512bf16_for_cpu = False
        return prepare_model_for_kbit_training(base, use_gradient_checkpointing=False)  # the Trainer sees to that
    if dtype != torch.float32 and get_spec(recipe.method).trains != "all":
        for name in new_head_names(base):
            base.get_submodule(name).float().register_forward_pre_hook(_in_float32)
    return base


def _quantized(recipe: Recipe, kind: ModuleType, config: PretrainedConfig) -> BitsAndBytesConfig:
    with torch.device("meta"):
        head = head_names(kind.AUTO.from_config(config))
    settings: dict[str, Any] = {"llm_int8_skip_modules": head}  # of 4 bits too, whatever its name
    if recipe.quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, **settings)
    compute = getattr(torch, recipe.base_dtype)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute, **settings)


def _freeze_statistics(base: nn.Module) -> None:
    """Have batch norms outside the head use what they know: trained along, they would change a frozen base model, and
    what they learn would be in no adapter.
    """
    head = {inner for name in new_head_names(base) for inner in base.get_submodule(name).modules()}
    for layer in base.modules():
        if getattr(layer, "running_mean", None) is not None and layer not in head:
            layer.register_forward_pre_hook(_as_evaluated)


def _as_evaluated(module: nn.Module, inputs: tuple) -> None:
    module.eval()


def _in_float32(module: nn.Module, inputs: tuple) -> tuple:
    return tuple(x.float() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs)
