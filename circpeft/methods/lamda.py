"""LaMDA: LoRA with a frozen first projection, a trainable square core, and a second projection that is frozen early.

``ΔW = (alpha / r) B S A`` (Azizi et al. 2024, arXiv 2406.12832, as CDVFT section 4 describes and counts it). No library
has it. Here it uses PEFT's LoRA layers, with ``S A`` in place of LoRA's first matrix. The result is a LoRA: `finish`
turns it into one that PEFT loads without circpeft.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .model import Targets, adapted, checked_targets

# The second projections are frozen one after the other during this first share of the steps (LaMDA's own paper). The
# parameters in CDVFT Table 3 follow from it.
FREEZING_SHARE = 0.3


class SquareCore(nn.Module):
    """``x -> S A x`` with a frozen A, in place of LoRA's first projection.

    Shapes: ``A: (r, d_in)``, ``S: (r, r)``, ``x: (..., d_in) -> (..., r)``. S starts as the identity.
    """

    projection: Tensor

    def __init__(self, first: nn.Linear) -> None:
        super().__init__()
        a = first.weight.detach()
        self.in_features, self.out_features = first.in_features, first.out_features
        self.register_buffer("projection", a)
        self.core = nn.Parameter(torch.eye(len(a), dtype=a.dtype, device=a.device))

    @property
    def weight(self) -> Tensor:
        """``S A``, which PEFT reads as LoRA's first matrix."""
        return self.core @ self.projection

    def forward(self, x: Tensor) -> Tensor:
        return linear(linear(x, self.projection), self.core)


def _lora_layers(model: nn.Module) -> list[Any]:
    return [m for m in model.modules() if isinstance(getattr(m, "lora_A", None), nn.ModuleDict)]


def lamda(
    model: nn.Module, target_modules: Targets = None, r: int = 32, alpha: float = 32, dropout: float = 0.0
) -> nn.Module:
    """Apply LaMDA: a frozen first projection, a trainable square core, and a second projection that is frozen early.

    A starts at random and B at zero, as in LoRA and in the authors' code. S starts as the identity, so ``ΔW = 0``. The
    Trainer needs the callback `FreezeSecondProjections`, which `circpeft.run` adds.
    """
    targets = checked_targets(model, target_modules)
    model = adapted(model, LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets))
    for layer in _lora_layers(model):
        for name, first in layer.lora_A.items():
            layer.lora_A[name] = SquareCore(first)
    return model


class FreezeSecondProjections(TrainerCallback):
    """A Trainer callback that freezes the second projections layer by layer, evenly over the first share of the steps.

    Args: ``share``: of all steps. After them, only the square cores (and the head) train.
    """

    def __init__(self, model: nn.Module, share: float = FREEZING_SHARE) -> None:
        self.share = share
        self.second = [layer.lora_B for layer in _lora_layers(model)]

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        # Nothing is frozen before the second step. The first step of a warm-up has a rate of zero; a projection that is
        # frozen before it moves stays zero, and so does the gradient of its core.
        until = max(2, self.share * state.max_steps)
        part = max(0, state.global_step - 1) / (until - 1)
        frozen = len(self.second) if state.global_step >= until else int(len(self.second) * part)
        for number, projections in enumerate(self.second):
            for p in projections.parameters():
                p.requires_grad_(number >= frozen)
                if number < frozen:
                    p.grad = None  # without a gradient, AdamW does not move it by its momentum either


@torch.no_grad()
def finish(model: nn.Module) -> nn.Module:
    """Turn a trained LaMDA into the equivalent LoRA, with ``S A`` as its first matrix, and return the model.

    >>> model = lamda(nn.Sequential(nn.Linear(6, 4)), ["0"], r=2)
    >>> [name for name, _ in finish(model).named_parameters() if "lora_A" in name]
    ['base_model.model.0.lora_A.default.weight']
    """
    for layer in _lora_layers(model):
        for name, first in layer.lora_A.items():
            if isinstance(first, SquareCore):
                weight = first.weight.detach()
                plain = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
                plain.weight = nn.Parameter(weight, requires_grad=first.core.requires_grad)
                layer.lora_A[name] = plain
    return model
