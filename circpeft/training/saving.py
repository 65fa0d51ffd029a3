"""The trained weights of a run on disk: an adapter, or a whole model."""

from __future__ import annotations

from pathlib import Path

from .. import methods
from ..method_specs import get_spec
from ..recipes import Recipe
from . import distributed
from .loop import Trained
from .preparation import Prepared
from .trainer import published_names


def weights_of(recipe: Recipe) -> Path:
    """Return the folder of a run's trained weights: an adapter, or a model if the method trains the model itself.

    >>> weights_of(Recipe("sst2", "lora", output_dir="runs/mine")).parent.as_posix()
    'runs/mine/adapters'
    """
    folder = "adapters" if get_spec(recipe.method).trains_adapter else "models"
    return Path(recipe.output_dir) / folder / recipe.name


def save_weights(prepared: Prepared, trained: Trained) -> None:
    """Write the trained weights to `weights_of`. Every process calls this, and the first one writes.

    A model is saved with its tokenizer or image processor, under its published names of weights, so that
    ``from_pretrained`` and ``pipeline`` take the folder. With ``save_model=False`` it is not saved.
    """
    recipe, model = prepared.recipe, trained.trainer.model
    adapter = get_spec(recipe.method).trains_adapter
    if not adapter and not recipe.save_model:
        return
    state = None
    if distributed.sharded():
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        # The full weights go to the first process only, without an adapter's base model: that may fit on no device.
        options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=adapter)
        state = get_model_state_dict(model, options=options)
    if not distributed.state().is_main_process:
        return
    folder = weights_of(recipe)
    if adapter:
        methods.finish(model).save_pretrained(folder, state_dict=state)
        return
    published_names(model)
    model.save_pretrained(folder, state_dict=state)
    prepared.processor.save_pretrained(folder)
