"""What the methods share: a model's head, its target layers, and what of it trains."""

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
# What PEFT calls the tasks, by the end of a transformers class's name.
TASK_TYPES = {"ForSequenceClassification": "SEQ_CLS", "ForCausalLM": "CAUSAL_LM", "LMHeadModel": "CAUSAL_LM"}

# A class for a task, which has a head, not PoolFormerModel.
HEADED = re.compile("For[A-Z]")


def task_type(model: nn.Module) -> str | None:
    """PEFT's name for what a transformers model is for, or None where it has none (images).

    >>> task_type(nn.Linear(2, 2)) is None
    True
    """
    return next((kind for end, kind in TASK_TYPES.items() if type(model).__name__.endswith(end)), None)


def head_names(model: nn.Module) -> list[str]:
    """Names of a transformers model's head: its children with parameters beside the base model.

    A norm whose name ends those of layers in the base model counts as the base model's, because PEFT, too, takes a name
    for the end of a longer one.

    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    >>> head_names(BertForSequenceClassification(BertConfig(vocab_size=9, **sizes)))
    ['classifier']
    """
    base = getattr(model, "base_model_prefix", "")
    sizes = {name: sum(p.numel() for p in child.parameters()) for name, child in model.named_children()}
    if not (base and hasattr(model, base)):
        if not base or not HEADED.search(type(model).__name__):
            return []  # a base model, or no transformers model at all: nothing is beside it
        # CLIP's, and others': their base model goes by another name, and the head lies behind it.
        children = dict(model.named_children())
        base = next((name for name, child in children.items() if isinstance(child, PreTrainedModel)), "") or max(
            (name for name, child in children.items() if not isinstance(child, nn.Linear)), key=sizes.get
        )
        sizes = dict(list(sizes.items())[list(sizes).index(base) :])
    inner = [name for name, _ in model.named_modules() if "." in name]
    return [name for name, size in sizes.items() if size and name != base and not _shared_norm(model, name, inner)]


def _shared_norm(model: nn.Module, name: str, inner: list[str]) -> bool:
    linear = any(isinstance(layer, nn.Linear) for layer in model.get_submodule(name).modules())
    return not linear and any(other.endswith(name) for other in inner)


def new_head_names(model: nn.Module) -> list[str]:
    """The head's names where it starts from nothing and has to train under every method: not a language model's.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    >>> model = LlamaForCausalLM(LlamaConfig(vocab_size=9, **sizes))
    >>> head_names(model), new_head_names(model)
    (['lm_head'], [])
    """
    return [] if task_type(model) == "CAUSAL_LM" else head_names(model)


def trainable_parameters(model: nn.Module, head: Iterable[str] = ()) -> int:
    """Number of trainable parameters outside of the named head modules; one that is tied to a head is the head's.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=9, n_positions=4))
    >>> trainable_parameters(model), trainable_parameters(model, ["lm_head"])
    (992, 920)
    """
    heads, named = set(head), list(model.named_parameters(remove_duplicate=False))
    of_head = {id(p) for n, p in named if heads & set(n.split("."))}
    return sum({id(p): p.numel() for _, p in named if p.requires_grad and id(p) not in of_head}.values())


def adapted(model: nn.Module, config: PeftConfig) -> nn.Module:
    """The model wrapped by PEFT, its new head trained and saved with the adapter."""
    config.modules_to_save = new_head_names(model) or None
    config.task_type = task_type(model)
    return get_peft_model(model, config)


def checked_targets(model: nn.Module, targets: Targets) -> list[str] | str | None:
    """Target names as PEFT takes them. Stricter than PEFT: every name, and a regex, must match.

    Raises: ValueError that names a target without a layer, and the nearest name.
    """
    if not targets or targets == "all-linear":
        return targets or None
    if isinstance(targets, str):
        if not any(re.fullmatch(targets, name) for name, _ in model.named_modules()):
            hint = unmatched_targets(model, [targets]).get(targets, f"for layers named so, give the list [{targets!r}]")
            raise ValueError(f"the regex {targets!r} in target_modules matches no layer's full name: {hint}")
        return targets
    names = list(targets)
    for name, hint in unmatched_targets(model, names).items():
        raise ValueError(f"target module {name!r} matches no layer: {hint}")
    return names


def target_sizes(model: nn.Module, config: PeftConfig) -> dict[str, tuple[int, int]]:
    """``(d_in, d_out)`` of the linear layers that a config names, by their full names; the head is no target.

    A language model's own is one where it is named, and none of "all-linear", as PEFT has it.
    """
    heads, found, every = set(new_head_names(model)), {}, config.target_modules == "all-linear"
    last = model.get_output_embeddings() if every and isinstance(model, PreTrainedModel) else None
    for name, layer in model.named_modules():
        if heads & set(name.split(".")) or layer is last or not isinstance(layer, (nn.Linear, Conv1D)):
            continue
        if every or check_target_module_exists(config, name):
            # Not the weight's shape for a linear layer: four bits are packed two to a byte.
            linear = isinstance(layer, nn.Linear)
            found[name] = (layer.in_features, layer.out_features) if linear else tuple(layer.weight.shape)
    return found
