"""Every method that the course compares: a name, and a function that makes a model trainable by it."""

import inspect
import re
from collections.abc import Callable, Iterable

from peft import LoraConfig, PeftConfig, get_peft_model
from torch import nn

from .hf_peft import C3AConfig, CDVFTConfig, unmatched_targets
from .ops.checks import nearest

Targets = str | Iterable[str] | None


def head_names(model: nn.Module) -> list[str]:
    """Names of a transformers model's head: its children with parameters beside the base model.

    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    >>> head_names(BertForSequenceClassification(BertConfig(vocab_size=9, **sizes)))
    ['classifier']
    """
    base = getattr(model, "base_model_prefix", "")
    if not base or not hasattr(model, base):  # a base model, or no transformers model at all: nothing is beside it
        return []
    return [name for name, child in model.named_children() if name != base and any(True for _ in child.parameters())]


def trainable_parameters(model: nn.Module, head: Iterable[str] = ()) -> int:
    """Number of trainable parameters outside of the named head modules."""
    heads = set(head)
    return sum(p.numel() for n, p in model.named_parameters() if p.requires_grad and not heads & set(n.split(".")))


def _adapted(model: nn.Module, config: PeftConfig) -> nn.Module:
    config.modules_to_save = head_names(model) or None
    if type(model).__name__.endswith("ForSequenceClassification"):
        config.task_type = "SEQ_CLS"
    return get_peft_model(model, config)


def _targets(model: nn.Module, targets: Targets) -> list[str] | str | None:
    """Target names as PEFT takes them. Stricter than PEFT: every name, and a regex, must match."""
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


def full(model: nn.Module, target_modules: Targets = None) -> nn.Module:
    """Full fine-tuning: every parameter trains; the targets are checked, and do not matter."""
    _targets(model, target_modules)
    return model.requires_grad_(True)


def head(model: nn.Module, target_modules: Targets = None) -> nn.Module:
    """The head alone: the base model is frozen; the targets are checked, and do not matter."""
    _targets(model, target_modules)
    model.requires_grad_(False)
    for name in head_names(model):
        model.get_submodule(name).requires_grad_(True)
    return model


def lora(
    model: nn.Module, target_modules: Targets = None, r: int = 8, alpha: float = 8, dropout: float = 0.0
) -> nn.Module:
    """LoRA (Hu et al. 2021) through PEFT: ``ΔW = (alpha / r) B A``."""
    targets = _targets(model, target_modules)
    return _adapted(model, LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets))


def c3a(
    model: nn.Module,
    target_modules: Targets = None,
    block_size: int | str = "auto",
    alpha: float = 1.0,
    dropout: float = 0.0,
    init_weights: bool | str = True,
    layout: str = "row",
) -> nn.Module:
    """C3A, see `circpeft.C3A`."""
    targets = _targets(model, target_modules)
    fields = {"block_size": block_size, "alpha": alpha, "dropout": dropout, "init_weights": init_weights}
    return _adapted(model, C3AConfig(target_modules=targets, layout=layout, **fields))


def cdvft(
    model: nn.Module,
    target_modules: Targets = None,
    block_size: int | str = "auto",
    num_factors: int = 3,
    alpha: float = 1.0,
    dropout: float = 0.0,
    init_weights: bool | str = True,
) -> nn.Module:
    """CDVFT, see `circpeft.CDVFT`."""
    targets = _targets(model, target_modules)
    fields = {"block_size": block_size, "alpha": alpha, "dropout": dropout, "init_weights": init_weights}
    return _adapted(model, CDVFTConfig(target_modules=targets, num_factors=num_factors, **fields))


METHODS: dict[str, Callable[..., nn.Module]] = {"full": full, "head": head, "lora": lora, "c3a": c3a, "cdvft": cdvft}


def check(method: str, hyperparameters: dict) -> None:
    """Raise ValueError for an unknown method or hyperparameter, with the nearest names."""
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; {nearest(method, METHODS)}")
    known = [name for name in inspect.signature(METHODS[method]).parameters if name != "model"]
    for name in hyperparameters:
        if name not in known:
            raise ValueError(f"method {method!r} has no hyperparameter {name!r}; {nearest(name, known)}")


def apply(model: nn.Module, method: str, **hyperparameters) -> nn.Module:
    """Make a model trainable by a method; returns the model to train (wrapped by PEFT for the adapters).

    Args:
        model: a transformers model; its head stays trainable under every method.
        method: one of `METHODS`.
        hyperparameters: those of the method's function, ``target_modules`` among them.

    Raises: ValueError for an unknown method, hyperparameter or target module, or a block size that does not divide.

    >>> apply(nn.Linear(2, 2), "c3b")
    Traceback (most recent call last):
    ...
    ValueError: unknown method 'c3b'; did you mean 'c3a'? (choices: full, head, lora, c3a, cdvft)
    """
    check(method, hyperparameters)
    return METHODS[method](model, **hyperparameters)
