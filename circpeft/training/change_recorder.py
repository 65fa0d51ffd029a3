"""A callback that records how ``ΔW`` grows: the singular values and a heat map of three layers after each epoch."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.pytorch_utils import Conv1D

from ..adapters import C3A
from ..files import write_atomically
from ..hf_peft.base_weights import is_quantized, linear_shape
from ..hf_peft.layer import CirculantLayer
from ..method_specs import get_spec
from ..recipes import Recipe
from . import distributed, weight_changes
from .spectra import base_model, circulant_singular_values, is_target, learnt_change, weight_of

# The SVD of a larger matrix takes seconds. A C3A layer of any size has its singular values from its kernels.
LARGEST = 1024 * 4096


def change_recorders(trainer: Trainer, recipe: Recipe) -> list[ChangeRecorder]:
    """Return the recorder of a run, before it trains.

    The list is empty if the recipe does not want one, or if the method changes no weight matrix: ``head`` and
    ``bitfit``.
    """
    if not recipe.weight_changes or get_spec(recipe.method).trains not in ("adapter", "all"):
        return []
    names = watched_layers(trainer.model, recipe)
    return [ChangeRecorder(trainer, recipe, names)] if names else []


def watched_layers(model: nn.Module, recipe: Recipe) -> list[str]:
    """Return the names of the first, the middle and the last linear layer that the method changes.

    They are names of the base model. Only layers in the numbered stack of the model count, not a pooler or a head. Full
    fine-tuning changes every layer; those that an adapter would have are taken, so that methods can be compared.
    """
    found = []
    for name, layer in base_model(model).named_modules():
        adapted = isinstance(layer, BaseTunerLayer)
        if adapted or (get_spec(recipe.method).trains == "all" and is_target(name, recipe.target_modules)):
            base = layer.get_base_layer() if adapted else layer
            linear = type(base) in (nn.Linear, Conv1D) or is_quantized(base)
            if linear and any(part.isdigit() for part in name.split(".")):
                found.append(name)
    return list(dict.fromkeys((found[0], found[len(found) // 2], found[-1]))) if found else []


class ChangeRecorder(TrainerCallback):
    """Records ``ΔW`` of a few layers after each epoch of a short run, and after eight of a long one.

    It draws no random numbers and changes nothing in the model. What it has recorded is kept in a file beside the
    checkpoints, so that a resumed run continues the list.

    Args:
        trainer: the Trainer, with the model before its first step.
        recipe: the settings.
        names: names of the layers in the base model.

    Attributes:
        epochs: what was recorded, an entry per epoch, as the file has it.
    """

    def __init__(self, trainer: Trainer, recipe: Recipe, names: list[str]) -> None:
        self.trainer, self.recipe, self.names = trainer, recipe, names
        self.path = Path(trainer.args.output_dir) / "weight_changes.json"
        self.planned = weight_changes.epochs_to_record(recipe.epochs)
        self.epochs: list[dict[str, Any]] = []
        self.layers: list[dict[str, Any]] = []
        self.initial: dict[str, Tensor | None] = {}
        for name in names:
            layer: Any = base_model(trainer.model).get_submodule(name)
            adapted = isinstance(layer, BaseTunerLayer)
            d_in, d_out = linear_shape(layer.get_base_layer() if adapted else layer, name)
            step = weight_changes.step_of((d_out, d_in), len(names) * len(self.planned))
            known = d_in * d_out <= LARGEST or _circulant(layer) is not None
            index = weight_changes.recorded_index(min(d_in, d_out)) if known else []
            self.layers.append({"name": name, "shape": [d_out, d_in], "step": step, "index": index})
            # An adapter's base layer keeps its weight.
            self.initial[name] = None if adapted else weight_of(layer).detach().cpu().clone()

    @property
    def content(self) -> str:
        """The text of the file with everything so far."""
        return weight_changes.content(self.recipe.name, self.layers, self.epochs)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Read what was recorded before an interruption, up to the checkpoint."""
        if state.global_step:
            first = distributed.state().is_main_process
            recorded: Any = distributed.from_first(self._recorded() if first else None)  # all record the same epochs
            self.epochs = [entry for entry in recorded if entry["epoch"] <= round(state.epoch)]

    def _recorded(self) -> list[dict[str, Any]]:
        """Return the entries of the file beside the checkpoints; warn if it cannot be read."""
        try:
            weight_changes.read(self.path)  # checks it
            return json.loads(self.path.read_text(encoding="utf-8"))["epochs"]
        except (OSError, ValueError) as error:
            warnings.warn(
                f"the weight changes of the epochs before the interruption are lost: {error}; the training continues",
                stacklevel=2,
            )
            return []

    @torch.no_grad()
    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Record the epoch, unless ``ΔW`` is not finite: a run that diverged has nothing to show."""
        epoch = round(state.epoch)
        if epoch not in self.planned or epoch in [entry["epoch"] for entry in self.epochs]:
            return
        entries = [self._measured(**layer) for layer in self.layers]  # on every process: FSDP shards the weights
        if all(entries):
            self.epochs.append({"epoch": epoch, "layers": entries})
            if distributed.state().is_main_process:
                write_atomically(self.path, self.content)

    def _measured(self, name: str, shape: list[int], step: int, index: list[int]) -> dict[str, Any]:
        """Return the entry of one layer; an empty one if ``ΔW`` is not finite."""
        model = self.trainer.model
        kernels = _circulant(base_model(model).get_submodule(name))
        needs_all = bool(index) and kernels is None
        change = learnt_change(model, name, self.initial[name], 1 if needs_all else step)
        if not change.isfinite().all():
            return {}
        cells = change[::step, :: step if needs_all else 1]
        if not index:
            values = torch.zeros(0)
        elif kernels is not None:
            values = circulant_singular_values(kernels)
        else:
            values = torch.linalg.svdvals(change.float())  # float64 would take twice as long
        if len(values):
            values = values.where(values > max(shape) * torch.finfo(torch.float32).eps * values[0], 0)
        return {
            **weight_changes.encoded_map(cells.numpy()),
            "rank": int(values.count_nonzero()),
            "singular_values": [float(f"{values[place - 1]:.3g}") for place in index],
        }


def _circulant(layer: nn.Module) -> Tensor | None:
    """Return the scaled kernels ``(m, n, b)`` of a layer whose ``ΔW`` is block-circulant; None for others."""
    adapters = list(layer.adapters.values()) if isinstance(layer, CirculantLayer) else []
    if len(adapters) != 1 or type(adapters[0]) is not C3A:
        return None
    kernel = adapters[0].kernel.detach()
    kernel = kernel.full_tensor() if hasattr(kernel, "full_tensor") else kernel
    return kernel.cpu().double() * (adapters[0].alpha / adapters[0].d_in)
