"""The base model of a run: its config, its weights, and their number formats."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import torch
from peft import prepare_model_for_kbit_training
from torch import Tensor, nn
from transformers import AutoConfig, BitsAndBytesConfig, PretrainedConfig

from .. import methods, models
from ..hf_peft.feature_order import permute_all_features
from ..method_specs import SPECS, get_spec
from ..methods.model import head_names, new_head_names
from ..recipes import Recipe
from . import distributed
from .kinds import TaskKind


class UnfitModelError(ValueError):
    """A model whose weights cannot be read, or do not fit its config. Nothing has trained."""


def check(recipe: Recipe) -> None:
    """Raise ValueError for a number format that the machine or the method cannot use, naming those that it can."""
    on_gpu = distributed.state().device.type == "cuda"
    if recipe.precision == "fp16" and not on_gpu:
        raise ValueError("precision='fp16' needs a GPU; on a CPU choose float32 or bf16")
    if recipe.precision == "bf16" and on_gpu and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ValueError("precision='bf16' needs another GPU (Ampere or later); on this one choose float32 or fp16")
    if recipe.base_dtype == "float16" and not get_spec(recipe.method).trains_adapter:
        raise ValueError(
            f"method {recipe.method!r} trains the base model's weights, and base_dtype='float16' is too coarse for its "
            f"steps; choose float32 or bfloat16"
        )
    if recipe.quantization:
        _check_quantization(recipe)
    if recipe.feature_order == "permuted":
        _check_permuted(recipe)


def _check_quantization(recipe: Recipe) -> None:
    spec = get_spec(recipe.method)
    if recipe.quantization not in spec.quantization:
        possible = [name for name, other in SPECS.items() if recipe.quantization in other.quantization]
        reason = "it has no adapter for them" if spec.trains_adapter else "it trains weights of the model itself"
        raise ValueError(
            f"method {recipe.method!r} cannot use the rounded weights of quantization={recipe.quantization!r}: "
            f"{reason}; choose one of: {', '.join(possible)}"
        )
    if find_spec("bitsandbytes") is None:
        raise ValueError(
            f"quantization={recipe.quantization!r} needs bitsandbytes, which is not installed; "
            f"pip install 'circpeft[quantized]', or leave quantization empty"
        )


def _check_permuted(recipe: Recipe) -> None:
    if not get_spec(recipe.method).permutable:
        possible = " and ".join(name for name, spec in SPECS.items() if spec.permutable)
        raise ValueError(
            f"feature_order='permuted' permutes the features of {possible}, got method {recipe.method!r}; choose one "
            f"of these, or feature_order='natural'"
        )
    if recipe.target_parameters:
        raise ValueError(
            f"feature_order='permuted' cannot permute fused experts, got target_parameters="
            f"{list(recipe.target_parameters)}; leave them empty, or choose feature_order='natural'"
        )


def config_of(recipe: Recipe, task: Any, kind: TaskKind, folder: str) -> PretrainedConfig:
    """Return the model's config, with the task's outputs and the recipe's dropout.

    Raises: ValueError for a type of model that transformers cannot use for such tasks, and for a damaged config.
    """
    with models.readable(recipe.model, "config"):
        config = AutoConfig.from_pretrained(folder, **kind.config_options(task))
    if type(config) not in kind.model_class._model_mapping and not hasattr(config, "auto_map"):
        raise ValueError(
            f"model {recipe.model!r} is a {config.model_type!r}, for which transformers has no "
            f"{kind.model_class.__name__.removeprefix('Auto')}, as task {task.name!r} needs it; choose a model such as "
            f"{kind.example_models}"
        )
    if kind.has_new_head and config.num_labels != task.num_labels:  # PVT's config ignores what is asked for
        config.num_labels = task.num_labels
        for name, value in kind.config_options(task).items():
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


def with_method(base: nn.Module, recipe: Recipe) -> nn.Module:
    """Return the model, made trainable by the recipe's method."""
    options = dict(recipe.options)
    if recipe.target_parameters:
        options["target_parameters"] = list(recipe.target_parameters)
    model = methods.apply(base, recipe.method, target_modules=recipe.target_modules or None, **options)
    if recipe.feature_order == "permuted":
        permute_all_features(model, recipe.seed)
    return model


def outline(recipe: Recipe, kind: TaskKind, config: PretrainedConfig) -> tuple[nn.Module, list[str]]:
    """Return the model that would train, without its weights (on torch's meta device), and the names of its head.

    Raises: ValueError for a model with a head that no method would train, and for a config of which transformers can
    build no model; whatever `methods.apply` raises.
    """
    with torch.device("meta"), models.readable(recipe.model, "config"):
        base = kind.model_class.from_config(config)
    head = head_names(base)
    if kind.has_new_head and not head:
        raise ValueError(
            f"model {recipe.model!r}: {type(base).__name__} keeps its head inside its base model, where no method "
            f"would train it; choose a model such as {kind.example_models}"
        )
    with torch.random.fork_rng():  # some methods draw projections; BOFT cannot do so on the meta device
        return with_method(base, recipe), head


def load(recipe: Recipe, kind: TaskKind, folder: str, config: PretrainedConfig) -> nn.Module:
    """Return the model with its weights, in the recipe's number format.

    A new head stays in float32: it trains, and 16 bits would lose small steps.

    Raises: FileNotFoundError, see `models.hub_errors`, for a model that the hub does not give; UnfitModelError for
    weights that are damaged or of other sizes than the config says, and for a model with an adapter.
    """
    options, dtype = dict(kind.loading_options), getattr(torch, recipe.base_dtype)
    if recipe.quantization:
        options["quantization_config"] = _quantization_config(recipe, kind, config)
    try:
        with models.hub_errors(recipe.model), models.readable(recipe.model, "weights"):
            base, info = kind.model_class.from_pretrained(
                folder, config=config, dtype=dtype, output_loading_info=True, **options
            )
    except ValueError as error:
        raise UnfitModelError(str(error)) from error
    if getattr(base, "_hf_peft_config_loaded", False):
        raise UnfitModelError(f"model {recipe.model!r} holds an adapter; merge it first, with `circpeft merge`")
    _check_sizes(recipe, base, info["mismatched_keys"])
    if get_spec(recipe.method).trains != "all":
        _freeze_statistics(base)
    if recipe.quantization:
        # On some CPUs bitsandbytes rearranges 4-bit weights at the first evaluation, and then has no gradient.
        for layer in base.modules():
            if hasattr(layer, "support_avx512bf16_for_cpu"):
                layer.support_avx512bf16_for_cpu = False
        # The Trainer switches gradient checkpointing on.
        return prepare_model_for_kbit_training(base, use_gradient_checkpointing=False)
    if dtype != torch.float32 and get_spec(recipe.method).trains != "all":
        for name in new_head_names(base):
            base.get_submodule(name).float().register_forward_pre_hook(_in_float32)
    return base


def _check_sizes(recipe: Recipe, base: nn.Module, mismatched: Iterable[tuple | str]) -> None:
    """Raise UnfitModelError for weights outside the head that were left random because their sizes do not fit."""
    heads = tuple(f"{name}." for name in new_head_names(base))
    for entry in sorted(mismatched, key=str):
        name, *saved = (entry,) if isinstance(entry, str) else entry[:2]  # transformers 4 gives the name only
        if not name.startswith(heads):
            shape = f"has shape {tuple(saved[0])}" if saved else "has another shape"
            raise UnfitModelError(
                f"model {recipe.model!r}: the saved weight {name!r} {shape}, but config.json says "
                f"{tuple(base.state_dict()[name].shape)}; save config and weights of one model again"
            )


def _quantization_config(recipe: Recipe, kind: TaskKind, config: PretrainedConfig) -> BitsAndBytesConfig:
    with torch.device("meta"):
        head = head_names(kind.model_class.from_config(config))
    options: dict[str, Any] = {"llm_int8_skip_modules": head}  # despite its name also for 4 bits
    if recipe.quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, **options)
    compute = getattr(torch, recipe.base_dtype)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute, **options)


def _freeze_statistics(base: nn.Module) -> None:
    """Have batch norms outside the head use their stored statistics.

    If they updated them during training, they would change a frozen base model, and no adapter would save the change.
    """
    head = {inner for name in new_head_names(base) for inner in base.get_submodule(name).modules()}
    for layer in base.modules():
        if getattr(layer, "running_mean", None) is not None and layer not in head:
            layer.register_forward_pre_hook(_in_evaluation_mode)


def _in_evaluation_mode(module: nn.Module, inputs: tuple) -> None:
    module.eval()


def _in_float32(module: nn.Module, inputs: tuple) -> tuple:
    return tuple(x.float() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs)
