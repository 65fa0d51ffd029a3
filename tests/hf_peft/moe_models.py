"""Tiny mixtures of experts for tests, and their adapters."""

import copy

import peft
import pytest
import torch
import transformers
from torch import nn
from transformers import (
    GptOssConfig,
    GptOssForCausalLM,
    Llama4ForCausalLM,
    Llama4TextConfig,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

import circpeft
from circpeft.hf_peft.expert_layers import ExpertsLayer

SIZES = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
SIZES |= {"num_key_value_heads": 4, "max_position_embeddings": 64, "pad_token_id": 0, "num_experts_per_tok": 2}
SIZES |= {"bos_token_id": 1, "eos_token_id": 2}
BOTH = ["experts.gate_up_proj", "experts.down_proj"]
CONFIGS = {"c3a": circpeft.C3AConfig, "cdvft": circpeft.CDVFTConfig}
SCALES = {"c3a": 20.0, "cdvft": 0.3}
KINDS = {
    "mixtral": (MixtralForCausalLM, MixtralConfig, {"intermediate_size": 48, "num_local_experts": 4}),
    "qwen3_moe": (Qwen3MoeForCausalLM, Qwen3MoeConfig, {"moe_intermediate_size": 24, "num_experts": 4, "head_dim": 8}),
    "gpt_oss": (
        GptOssForCausalLM,
        GptOssConfig,
        {"intermediate_size": 24, "num_local_experts": 4, "head_dim": 8, "layer_types": ["full_attention"] * 2},
    ),
    "llama4": (
        Llama4ForCausalLM,
        Llama4TextConfig,
        {
            "intermediate_size": 24,
            "intermediate_size_mlp": 40,
            "num_local_experts": 4,
            "head_dim": 8,
            "interleave_moe_layer_step": 1,
        },
    ),
}


def moe(kind: str, implementation: str = "eager", dtype: torch.dtype = torch.float64) -> nn.Module:
    """Return a tiny model with random weights, also where the model's own start is zero or empty."""
    new = kind in ("mixtral", "qwen3_moe") or implementation != "eager"
    if new and int(transformers.__version__.split(".")[0]) < 5:
        pytest.skip("transformers before version 5 has experts as single layers, or has one implementation of them")
    torch.manual_seed(0)
    model_class, config_class, sizes = KINDS[kind]
    model = model_class(config_class(**(SIZES | sizes))).to(dtype).eval()
    model.config._experts_implementation = implementation
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.2)
    return model


def experts_of(model: nn.Module, layer: int = 0) -> nn.Module:
    """Return the module of experts of a layer."""
    name = next(
        n for n, _ in model.named_modules() if n.endswith((f"{layer}.mlp.experts", f"{layer}.feed_forward.experts"))
    )
    return model.get_submodule(name)


def tokens() -> torch.Tensor:
    """Return a batch of three sequences."""
    return torch.randint(3, 64, (3, 7), generator=torch.Generator().manual_seed(1))


def config(method: str, **fields) -> circpeft.C3AConfig | circpeft.CDVFTConfig:
    """Return a config with random kernels for q_proj and both weights of the experts."""
    defaults = {"block_size": 8, "init_weights": False, "alpha": SCALES[method], "target_modules": ["q_proj"]}
    return CONFIGS[method](**(defaults | {"target_parameters": BOTH} | fields))


def adapted(model: nn.Module, method: str, **fields) -> nn.Module:
    """Return the model adapted by PEFT, with kernels in the model's dtype."""
    torch.manual_seed(1)
    made = peft.get_peft_model(model, config(method, **fields), autocast_adapter_dtype=False)
    return made.eval()


def layers(model: nn.Module) -> dict[str, ExpertsLayer]:
    """Return the adapted experts of a model by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, ExpertsLayer)}


@torch.no_grad()
def with_dense_change(base: nn.Module, model: nn.Module, names=("default",)) -> nn.Module:
    """Return the base model with every adapter's dense ΔW added to its weights, expert by expert."""
    base = copy.deepcopy(base)
    for module_name, layer in model.base_model.model.named_modules():
        if isinstance(layer, ExpertsLayer):
            experts = base.get_submodule(module_name)
            for name in names:
                for weight in layer.adapters[name].weights if name in layer.adapters else ():
                    for e in range(4):
                        delta = layer.adapters[name].expert(weight, e).delta_weight()
                        transposed = type(experts).__name__ in ("GptOssExperts", "Llama4TextExperts")
                        getattr(experts, weight)[e] += delta.T if transposed else delta
        elif hasattr(layer, "adapters"):
            for name in names:
                if name in layer.adapters:
                    base.get_submodule(module_name).weight += layer.get_delta_weight(name)
    return base
