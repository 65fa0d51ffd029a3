"""Find a trained model by the folder or the record of its run, or by an adapter's folder, and load it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from torch import nn

from .. import models, results, tasks, training
from ..export import AdapterFolder
from ..export.adapter_folder import CONFIG
from ..recipes import Recipe
from ..suggest import nearest
from ..tasks import embedded
from ..training import distributed

LONGEST = 8192  # tokens of a text for an adapter without a record; the model's positions may allow fewer
SHOWN_RECORDS = 8  # in an error


@dataclass(frozen=True)
class TrainedModel:
    """A model that is ready to predict.

    Attributes:
        recipe: settings of its run; for an adapter without a record, those that prediction needs.
        task: its task, with the names of the classes. Classes of images without known names are named by numbers.
        kind: the kind of the task.
        model: the model in evaluation mode.
        processor: its tokenizer or image processor.
    """

    recipe: Recipe
    task: tasks.AnyTask
    kind: training.TaskKind
    model: nn.Module
    processor: Any


def open_trained(source: str | Path, task: str = "", base: str = "", data_dir: str = "") -> TrainedModel:
    """Load the trained model of a run, or a base model with a saved adapter.

    Args:
        source: the record of a run, its folder of weights, an output folder with one record, or the folder of any
            adapter of PEFT.
        task: name of the task, for an adapter without a record.
        base: base model of an adapter without a record; "" takes the one that the adapter names.
        data_dir: data folder of the run, from which the names of image classes are read; "" takes the run's own.

    Raises: FileNotFoundError for a source that is neither, with the nearest records; ValueError for a task or base
    model that contradicts the record, an unknown task, and a record that cannot be read; what `training.load_trained`
    and `AdapterFolder.load` raise.
    """
    record = _record(Path(source))
    if record is None:
        return _from_adapter(source, task, base, data_dir)
    recipe, known = recipe_of(record), results.read(record)
    if damage := training.weight_faults(recipe, known):
        raise ValueError(f"the weights of {recipe.name} are damaged: in {training.weights_of(recipe)}, {damage[0]}")
    for name, given, own in (("task", task, recipe.task), ("base model", base, recipe.model)):
        if given and given != own:
            raise ValueError(f"the record {str(record)!r} has the {name} {own!r}, got {given!r}; leave it out")
    recipe_for_names = replace(recipe, data_dir=data_dir) if data_dir else recipe
    found = tasks.get(recipe.task)
    kind = training.KINDS[found.kind]
    if found.kind != "images":
        model, processor = training.load_trained(recipe)
        return TrainedModel(recipe, found, kind, model, processor)
    weights = training.weights_of(recipe)
    if (weights / CONFIG).is_file():
        opened = AdapterFolder.open(weights, recipe.model)
        model, folder = opened.load(recipe.base_dtype), opened.base_folder
    else:
        folder = str(weights)
        with models.readable(folder, "weights"):
            model = kind.model_class.from_pretrained(weights).eval()
    named = _named(found, model, recipe_for_names, known.groups)
    return TrainedModel(recipe, named, kind, _placed(model), kind.load_processor(folder))


def recipe_of(record: Path) -> Recipe:
    """Return the recipe of a run, with the output folder in which its record is now.

    Raises: ValueError for a file that is not a record, or a record of another version with settings that this one does
    not have.
    """
    settings = results.read(record).settings
    known = {field.name for field in fields(Recipe)}
    if unknown := sorted(settings.keys() - known):
        raise ValueError(f"the record {str(record)!r} has the setting {unknown[0]!r}, which this version does not know")
    recipe = Recipe(**settings, output_dir=str(record.absolute().parents[1]))
    if recipe.name != record.stem:
        raise ValueError(f"the record {str(record)!r} was renamed; its run is {recipe.name!r}")
    return recipe


def _record(source: Path) -> Path | None:
    """Return the record of a source; None for the folder of an adapter without one.

    Raises: FileNotFoundError for anything else.
    """
    if source.is_file() and source.suffix == ".json":
        return source
    if source.parent.name in ("adapters", "models"):
        record = results.path_of(source.name, source.parents[1])
        if record.is_file():
            return record
    if (source / CONFIG).is_file():
        return None
    records = sorted((source / "results").glob("*.json")) if source.is_dir() else []
    if len(records) == 1:
        return records[0]
    if records:
        names = ", ".join(str(path) for path in records[:SHOWN_RECORDS])
        more = f" and {len(records) - SHOWN_RECORDS} more" if len(records) > SHOWN_RECORDS else ""
        raise FileNotFoundError(f"{str(source)!r} has {len(records)} records; name one: {names}{more}")
    beside = sorted(str(path) for path in source.parent.glob("*")) if source.parent.is_dir() else []
    raise FileNotFoundError(
        f"{str(source)!r} is neither a record, nor the folder of a run or an adapter; {nearest(source, beside[:40])}"
    )


def _from_adapter(source: str | Path, task: str, base: str, data_dir: str) -> TrainedModel:
    if not task:
        raise ValueError(f"{str(source)!r} has no record of a run; name its task; {nearest(task, tasks.TASKS)}")
    found: Any = tasks.get(task)
    opened = AdapterFolder.open(source, base)
    kind = training.KINDS[found.kind]
    if opened.model_class.__name__ != kind.model_class.__name__ and not _is_of(opened, kind):
        raise ValueError(
            f"task {task!r} needs a model of {kind.model_class.__name__}, and {str(source)!r} is an adapter for "
            f"{opened.model_class.__name__}; name another task"
        )
    model: Any = opened.load()
    method = "full"  # of the recipe; only its settings for rows and answers are read
    recipe = Recipe(task, method, model=opened.base, data_dir=data_dir, max_length=LONGEST)
    if found.kind == "images":
        found = _named(found, model, recipe)
    elif found.kind == "text" and model.config.num_labels != found.num_labels:
        raise ValueError(
            f"task {task!r} has {found.num_labels} classes or values, and the adapter's classifier has "
            f"{model.config.num_labels}; name another task"
        )
    return TrainedModel(recipe, found, kind, _placed(model), kind.load_processor(opened.base_folder))


def _is_of(opened: AdapterFolder, kind: training.TaskKind) -> bool:
    """Return whether a class of transformers is one that the kind's auto class loads."""
    return opened.model_class in kind.model_class._model_mapping.values()


def _named(task: Any, model: Any, recipe: Recipe, scored: Iterable[str] = ()) -> tasks.ImageTask:
    """Return an image task with the names of its classes: from the data if they are at hand, else from the model.

    Args:
        task: the task.
        model: the trained model.
        recipe: the settings that name the data.
        scored: names of classes that the run was scored on.

    Raises: ValueError for data with another number of classes, or without one that the run was scored on.
    """
    if recipe.data_dir or task.name in ("digits", *embedded.TASKS):
        named = task.with_labels_of(training.data_of(recipe).data)
        if named.num_labels != model.config.num_labels:
            raise ValueError(
                f"the data has {named.num_labels} classes, and the model has {model.config.num_labels}; give the data "
                f"folder that the run was trained on"
            )
        if renamed := sorted(set(scored) - set(named.labels)):
            raise ValueError(
                f"the data has no class {renamed[0]!r}, on which the run was scored; give the data folder that the run "
                f"was trained on"
            )
        return named
    names = [str(model.config.id2label.get(number, number)) for number in range(model.config.num_labels)]
    return replace(task, labels=tuple(names))


def _placed(model: nn.Module) -> nn.Module:
    return model.to(distributed.state().device).eval()
