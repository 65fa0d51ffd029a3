"""A model's head, its target layers and its trainable parameters, for all methods."""

from __future__ import annotations

import re
from collections.abc import Iterable

from peft import PeftConfig, get_peft_model
from peft.tuners.tuners_utils import check_target_module_exists
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ..hf_peft import unmatched_targets

Targets = str | Iterable[str] | None
# Names of fused experts, as PEFT's target_parameters.
Parameters = Iterable[str] | None
# End of a transformers class's name -> PEFT's name of the task.
TASK_TYPES = {"ForSequenceClassification": "SEQ_CLS", "ForCausalLM": "CAUSAL_LM", "LMHeadModel": "CAUSAL_LM"}

# A class for a task, such as BertForMaskedLM, has a head. PoolFormerModel has none.
CLASS_WITH_HEAD = re.compile("For[A-Z]")


def task_type(model: nn.Module) -> str | None:
    """Return PEFT's name for the task of a transformers model, or None if it has none (images).

    >>> task_type(nn.Linear(2, 2)) is None
    True
    """
    return next((kind for end, kind in TASK_TYPES.items() if type(model).__name__.endswith(end)), None)


def head_names(model: nn.Module) -> list[str]:
    """Return the names of a transformers model's head: its children with parameters, except the base model.

    A norm counts as part of the base model if layers of the base model have names that end with its name. PEFT, too,
    accepts a name as the end of a longer one.

    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    >>> head_names(BertForSequenceClassification(BertConfig(vocab_size=9, **sizes)))
    ['classifier']
    """
    base = getattr(model, "base_model_prefix", "")
    sizes = {name: sum(p.numel() for p in child.parameters()) for name, child in model.named_children()}
    if not (base and hasattr(model, base)):
        if not base or not CLASS_WITH_HEAD.search(type(model).__name__):
            return []  # a base model, or not a transformers model: it has no head
        # In CLIP and others the base model has another name, and the head comes after it.
        children = dict(model.named_children())
        base = next((name for name, child in children.items() if isinstance(child, PreTrainedModel)), "") or max(
            (name for name, child in children.items() if not isinstance(child, nn.Linear)), key=sizes.__getitem__
        )
        sizes = dict(list(sizes.items())[list(sizes).index(base) :])
    inner = [name for name, _ in model.named_modules() if "." in name]
    return [name for name, size in sizes.items() if size and name != base and not _is_shared_norm(model, name, inner)]


def _is_shared_norm(model: nn.Module, name: str, inner: list[str]) -> bool:
    linear = any(isinstance(layer, nn.Linear) for layer in model.get_submodule(name).modules())
    return not linear and any(other.endswith(name) for other in inner)


def new_head_names(model: nn.Module) -> list[str]:
    """Return the names of a new head, which has to train under every method. A language model's head is not new.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    >>> model = LlamaForCausalLM(LlamaConfig(vocab_size=9, **sizes))
    >>> head_names(model), new_head_names(model)
    (['lm_head'], [])
    """
    return [] if task_type(model) == "CAUSAL_LM" else head_names(model)


def trainable_parameters(model: nn.Module, head: Iterable[str] = ()) -> int:
    """Return the number of trainable parameters outside the named head modules.

    A parameter that is tied to a head counts as the head's.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=9, n_positions=4))
    >>> trainable_parameters(model), trainable_parameters(model, ["lm_head"])
    (992, 920)
    """
    heads, named = set(head), list(model.named_parameters(remove_duplicate=False))
    head_parameters = {id(p) for n, p in named if heads & set(n.split("."))}
    return sum({id(p): p.numel() for _, p in named if p.requires_grad and id(p) not in head_parameters}.values())


def adapted(model: nn.Module, config: PeftConfig) -> nn.Module:
    """Return the model wrapped by PEFT. A new head is trained and saved with the adapter."""
    config.modules_to_save = new_head_names(model) or None
    config.task_type = task_type(model)
    return get_peft_model(model, config)


def checked_targets(model: nn.Module, targets: Targets) -> list[str] | str | None:
    """Return target names for PEFT. Unlike in PEFT, every name must match a layer, and so must a regex.

    Raises: ValueError that names a target without a layer, and the nearest name, or an invalid regex.
    """
    if not targets or targets == "all-linear":
        return "all-linear" if targets else None
    if isinstance(targets, str):
        try:
            re.compile(targets)
        except re.error as error:
            raise ValueError(f"target_modules={targets!r} is not a valid regex: {error}") from error
        if not any(re.fullmatch(targets, name) for name, _ in model.named_modules()):
            hint = unmatched_targets(model, [targets]).get(
                targets, f"for layers with this name, give the list [{targets!r}]"
            )
            raise ValueError(f"the regex {targets!r} in target_modules matches no layer's full name: {hint}")
        return targets
    names = list(targets)
    for name in names:
        if not isinstance(name, str) or not name:
            raise ValueError(f"target_modules must hold names of layers, got {name!r}")
    for name, hint in unmatched_targets(model, names).items():
        raise ValueError(f"target module {name!r} matches no layer: {hint}")
    return names


def target_sizes(model: nn.Module, config: PeftConfig) -> dict[str, tuple[int, int]]:
    """Return ``(d_in, d_out)`` of the linear layers that a config names, by full name. A new head is not a target.

    As in PEFT, a language model's head is a target if it is named, but not of "all-linear".
    """
    heads, sizes, all_linear = set(new_head_names(model)), {}, config.target_modules == "all-linear"
    output_layer = model.get_output_embeddings() if all_linear and isinstance(model, PreTrainedModel) else None
    for name, layer in model.named_modules():
        if heads & set(name.split(".")) or layer is output_layer or not isinstance(layer, (nn.Linear, Conv1D)):
            continue
        if all_linear or check_target_module_exists(config, name):
            # Not the shape of a linear layer's weight, because 4-bit weights are packed, two in a byte.
            linear = isinstance(layer, nn.Linear)
            sizes[name] = (layer.in_features, layer.out_features) if linear else tuple(layer.weight.shape)
    return sizes
