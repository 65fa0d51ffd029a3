"""The trained weights of a run on disk: an adapter, or a whole model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft import PeftModel
from torch import nn

from .. import methods, models, tasks
from ..files import atomic_folder, remove_leftovers
from ..hf_peft.other_methods import only_adapter_weights
from ..method_specs import get_spec
from ..recipes import Recipe
from ..results import Result
from . import base_model, digests, distributed
from .kinds import KINDS
from .loop import Trained
from .preparation import Prepared
from .trainer import published_names

MAY_CHANGE = ("README.md",)  # files beside the weights that a user may edit


def weights_of(recipe: Recipe) -> Path:
    """Return the folder of a run's trained weights: an adapter, or a model if the method trains the model itself.

    >>> weights_of(Recipe("sst2", "lora", output_dir="runs/mine")).parent.as_posix()
    'runs/mine/adapters'
    """
    folder = "adapters" if get_spec(recipe.method).trains_adapter else "models"
    return Path(recipe.output_dir) / folder / recipe.name


def _existing_weights(recipe: Recipe) -> Path:
    """Return `weights_of`. If nothing is there, the weights that a killed process was replacing are put back first."""
    folder = weights_of(recipe)
    if not folder.is_dir():
        remove_leftovers(folder.parent)
    return folder


def load_trained(recipe: Recipe) -> tuple[nn.Module, Any]:
    """Return the trained model of a run in evaluation mode, and its tokenizer or image processor.

    The base model has the recipe's number format, and is on the device where runs train.

    Raises: FileNotFoundError if the weights are not on this machine; ValueError for a run with permuted features, and
    for a file that holds more than the adapter's weights.
    """
    weights = _existing_weights(recipe)
    if recipe.feature_order == "permuted":
        raise ValueError(
            f"{recipe.name} has saved no adapter, because feature_order='permuted' is for comparisons: PEFT would load "
            f"it in the natural order, as another function; train with feature_order='natural' to use the model"
        )
    if not weights.is_dir():
        raise FileNotFoundError(
            f"the weights of {recipe.name} are not at {weights}: a cluster's node keeps them unless the folder is "
            f"shared, and save_model=False saves no whole model; train the run again on this machine"
        )
    task, adapter = tasks.get(recipe.task), get_spec(recipe.method).trains_adapter
    kind = KINDS[task.kind]
    folder = models.resolve(recipe.model, recipe.base_dtype) if adapter else str(weights)
    config = base_model.config_of(recipe, task, kind, folder)
    model = base_model.load(recipe, kind, folder, config)
    with only_adapter_weights():
        model = PeftModel.from_pretrained(model, weights) if adapter else model
    model = model if recipe.quantization else model.to(distributed.state().device)
    return model.eval(), kind.load_processor(folder)


def save_weights(prepared: Prepared, trained: Trained) -> dict[str, dict[str, Any]]:
    """Write the trained weights to `weights_of`. Every process calls this, and the first one writes.

    An earlier folder is replaced. When this returns, the weights are on the disk.

    A model is saved with its tokenizer or image processor, under its published names of weights, so that
    ``from_pretrained`` and ``pipeline`` take the folder. With ``save_model=False`` it is not saved.

    An adapter of permuted features is not saved: PEFT would load it without their order, as another function.

    Returns: the digests of the files, see `weight_faults`; empty if nothing is saved, and on the other processes.
    """
    recipe, model = prepared.recipe, trained.trainer.model
    if recipe.feature_order == "permuted":
        return {}
    adapter = get_spec(recipe.method).trains_adapter
    if not adapter and not recipe.save_model:
        return {}
    state = None
    if distributed.sharded():
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        # The full weights go to the first process only, without an adapter's base model: that may fit on no device.
        options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=adapter)
        state = get_model_state_dict(model, options=options)
    if not distributed.state().is_main_process:
        return {}
    with atomic_folder(weights_of(recipe), replace=True) as folder:
        if adapter:
            finished: Any = methods.finish(model)
            finished.save_pretrained(folder, state_dict=state)
        else:
            published_names(model)
            model.save_pretrained(folder, state_dict=state)
            prepared.processor.save_pretrained(folder)
    return digests.digests(weights_of(recipe), leave_out=MAY_CHANGE)


def weight_faults(recipe: Recipe, known: Result) -> list[str]:
    """Return what is wrong with the weights of a recorded run, a short sentence for each file.

    Weights that are not on this machine at all are not faulty: they may be on a cluster's node, or were deleted.
    """
    folder = _existing_weights(recipe)
    return digests.faults(folder, known.weights) if folder.is_dir() else []
