"""Shared code of the fine-tuning notebooks 08 to 10: plan runs, train them, compare them in tables and figures."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import torch
from transformers import AutoConfig

from circpeft import escaping, methods, models, places, plots, recipes, results, tasks, training
from circpeft.course import model_settings
from circpeft.method_specs import get_spec, reads_targets
from circpeft.recipes import Recipe
from circpeft.results import Result
from circpeft.training import base_model
from circpeft.training.logging_filters import quiet

__all__ = [
    "against_parameters",
    "layers_of",
    "learning_curves",
    "name_of",
    "on_record",
    "parameters",
    "plan",
    "quiet",
    "run_all",
    "spectra",
    "table",
]

NOTEBOOKS = {"text": "08_language_understanding", "images": "09_images", "instructions": "10_instructions"}


def plan(
    kind: str,
    profile: str,
    task: str,
    method_list: str,
    folder: Path,
    model: str = "",
    data_dir: str = "",
    target_modules: str = "",
    epochs: int = 0,
    max_train: int = -1,
    seeds: int = 1,
) -> list[Recipe]:
    """Return the recipes for a notebook's parameters, one for each method and seed, after checking all of them.

    Args:
        kind: the notebook's kind of task: "text", "images" or "instructions".
        profile, task: their names.
        method_list: the methods, in the form that `recipes.parse_methods` reads. "all" leaves out the methods that the
            model does not support (such as BitFit for a model without biases), and prints a line for each.
        folder: output folder.
        model, data_dir, target_modules, epochs, max_train: as in the notebook's parameters; an empty text, 0 epochs and
            a negative max_train take the profile's value, or that of `model_settings` for this model.
        seeds: number of runs for each method.

    Raises: ValueError for a task of another kind, and whatever `training.check` raises.
    """
    task_kind = tasks.get(task).kind
    if task_kind != kind:
        raise ValueError(
            f"task {task!r} is of kind {task_kind}, not {kind}; run notebook {NOTEBOOKS[task_kind]} instead"
        )
    settings = recipes.profile(profile, kind) | model_settings.settings_for(model, profile)
    settings["target_modules"] = recipes.targets(target_modules or settings["target_modules"])
    settings |= {"model": model} if model else {}
    settings |= {"epochs": epochs} if epochs else {}
    settings |= {"max_train": max_train} if max_train >= 0 else {}
    planned = [
        Recipe(task, name, hyperparameters=options, data_dir=data_dir, seed=seed, output_dir=str(folder), **settings)
        for name, options in recipes.parse_methods(method_list)
        for seed in range(seeds)
    ]
    if method_list.strip() == "all":
        planned = _drop_unsupported(planned)
    training.check(planned)
    return planned


def _drop_unsupported(planned: list[Recipe]) -> list[Recipe]:
    """Return the recipes without those of unsupported methods, and print a line for each of these methods."""
    refused = {}
    for recipe in planned:
        if recipe.seed == 0:
            try:
                training.check([recipe])
            except ValueError as error:
                refused[recipe.method] = error
    if len(refused) == len({recipe.method for recipe in planned}):
        return planned  # the cause is not a method; the check of all recipes raises the error
    for method, reason in refused.items():
        escaping.print_text(f"{method} is left out: {reason}")
    return [recipe for recipe in planned if recipe.method not in refused]


def layers_of(run: Recipe | Result) -> str:
    """Return the target modules of a recipe or a finished run as one text."""
    targets = run.target_modules if isinstance(run, Recipe) else run.settings["target_modules"]
    return targets if isinstance(targets, str) else ", ".join(targets)


def parameters(recipe: Recipe) -> int:
    """Return the number of trainable parameters without the head, counted on the architecture without its weights."""
    kind = training.KINDS[tasks.get(recipe.task).kind]
    config = AutoConfig.from_pretrained(models.resolve(recipe.model))
    return methods.trainable_parameters(*base_model.outline(recipe, kind, config))


def run_all(planned: Iterable[Recipe]) -> list[Result]:
    """Train every recipe, or read its record if there is one, and print a line before and after each."""
    planned, finished = list(planned), []
    for number, recipe in enumerate(planned, 1):
        started = time.perf_counter()
        escaping.print_text(
            f"[{number}/{len(planned)}] {recipe.label} on {layers_of(recipe)}, seed {recipe.seed}", flush=True
        )
        result = training.run(recipe)
        finished.append(result)
        escaping.print_text(
            f"      test {result.metric} {result.test_score:.3f} after {time.perf_counter() - started:.0f} s",
            flush=True,
        )
    return finished


def table(finished: list[Result]):
    """Return the comparison as a styled table with one row per method."""
    scores = ["before", "validation", "test", "test min", "test max"]
    formats = {"parameters": "{:,}", "seconds": "{:.0f}", "peak MiB": "{:.0f}", **dict.fromkeys(scores, "{:.3f}")}
    return escaping.html_table(results.table(finished)).hide(axis="index").format(formats)


def name_of(result: Result, usual_layers: str) -> str:
    """Return a run's label in the figures: its method, and its layers if they differ from those of the other runs."""
    same = layers_of(result) == usual_layers or not reads_targets(result.method)
    return result.label if same else f"{result.label} ({layers_of(result)})"


def against_parameters(finished: list[Result], usual_layers: str):
    """Draw the test score against the trainable parameters: one point per method, whiskers from lowest to highest seed.

    A method without parameters of its own, such as ``head``, is a dotted line at its mean score.
    """
    runs: dict[str, list[Result]] = {}
    for result in finished:
        runs.setdefault(name_of(result, usual_layers), []).append(result)
    points, levels = {}, {}
    for name, group in runs.items():
        scores = [r.test_score for r in group]
        mean = sum(scores) / len(scores)
        if count := group[0].trainable_parameters:
            points[name] = ([count], [mean], ([mean - min(scores)], [max(scores) - mean]))
        else:
            levels[name] = mean
    first = finished[0]
    counts = [x for (x,), *_ in points.values()] or [1]
    figure = plots.scatter(
        points,
        title=f"{first.task}: test {first.metric} against trainable parameters (without the head)",
        x_title="trainable parameters",
        y_title=f"test {first.metric}",
        log_x=True,
    )
    for name, level in levels.items():
        ends = [min(counts) / 1.4, max(counts) * 1.4]
        figure.add_scatter(
            x=ends,
            y=[level, level],
            mode="lines",
            line={"dash": "dot", "color": "#59636e"},
            name=escaping.plotly_name(name),
        )
    figure.layout.showlegend = len(runs) > 1
    return figure


def on_record(task: str):
    """Return the repository's own runs of an embedded task as a table, one row per method; empty for other tasks.

    The runs are in ``benchmarks/results/TASK.json``. They have more epochs and seeds than the notebook's defaults.
    """
    path = places.shipped() / "benchmarks" / "results" / f"{task}.json"
    runs = pd.DataFrame(json.loads(path.read_text(encoding="utf-8")) if path.exists() else [])
    if runs.empty:
        return runs
    return runs.groupby("label", sort=False).agg(
        parameters=("trainable_parameters", "first"),
        epochs=("epochs", lambda epochs: len(epochs.iloc[0])),
        seeds=("seed", "count"),
        before=("start_score", "mean"),
        test=("test_score", "mean"),
        lowest=("test_score", "min"),
        highest=("test_score", "max"),
    )


def learning_curves(finished: list[Result], usual_layers: str) -> list:
    """Return two figures for seed 0: the validation score after each epoch, and the training loss."""
    first = [r for r in finished if r.seed == 0]
    scores = {name_of(r, usual_layers): ([e["epoch"] for e in r.epochs], [e["score"] for e in r.epochs]) for r in first}
    losses = {name_of(r, usual_layers): ([e["epoch"] for e in r.losses], [e["loss"] for e in r.losses]) for r in first}
    y_title = f"validation {first[0].metric}"
    return [
        plots.lines(
            scores, title="Validation score after each epoch, seed 0", x_title="epoch", y_title=y_title, markers=True
        ),
        plots.lines(losses, title="Training loss, seed 0", x_title="epoch", y_title="loss", markers=False),
    ]


def spectra(finished: list[Result], usual_layers: str) -> list:
    """Return figures for seed 0: the singular values of the learned ``ΔW`` in each recorded layer."""
    trained = [r for r in finished if r.seed == 0 and get_spec(r.method).trains != "head"]
    figures = []
    for layer in trained[0].spectra if trained else ():
        items = {name_of(r, usual_layers): torch.tensor(r.spectra[layer]) for r in trained if max(r.spectra[layer]) > 0}
        title = f"ΔW of {layer.split('encoder.')[-1]}, relative to its largest singular value"
        figures.append(plots.spectrum(items, title=title, relative=True))
    return figures
