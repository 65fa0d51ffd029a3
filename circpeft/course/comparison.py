"""What the three fine-tuning notebooks share: a plan of runs, the runs, and tables and figures that compare them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import torch
from transformers import AutoConfig

from circpeft import methods, models, plots, recipes, results, tasks, training
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
    listed: str,
    folder: Path,
    model: str = "",
    data_dir: str = "",
    target_modules: str = "",
    epochs: int = 0,
    max_train: int = -1,
    seeds: int = 1,
) -> list[Recipe]:
    """The recipes of a notebook's parameters: every method with every seed, checked before anything trains.

    Args: ``kind``: of the notebook's tasks; ``listed``: the methods, as `recipes.parse_methods` reads them, of which
    "all" leaves out, with a line, those that this model cannot have (BitFit where it has no biases); the others as in
    the notebooks, where an empty value takes the profile's.

    Raises: ValueError for a task of another notebook, and whatever `training.check` raises.
    """
    found = tasks.get(task)
    if found.kind != kind:
        raise ValueError(f"task {task!r} is one of {found.kind}: run {NOTEBOOKS[found.kind]} for it")
    settings = dict(recipes.profile(profile, kind))
    settings["target_modules"] = recipes.targets(target_modules or settings["target_modules"])
    settings |= {"model": model} if model else {}
    settings |= {"epochs": epochs} if epochs else {}
    settings |= {"max_train": max_train} if max_train >= 0 else {}
    made = [
        Recipe(task, name, hyperparameters=own, data_dir=data_dir, seed=seed, output_dir=str(folder), **settings)
        for name, own in recipes.parse_methods(listed)
        for seed in range(seeds)
    ]
    if listed.strip() == "all":
        made = _possible(made)
    training.check(made)
    return made


def _possible(made: list[Recipe]) -> list[Recipe]:
    """The recipes without the methods that are refused, if there are others; each of these is told."""
    refused = {}
    for recipe in made:
        if recipe.seed == 0:
            try:
                training.check([recipe])
            except ValueError as error:
                refused[recipe.method] = error
    if len(refused) == len({recipe.method for recipe in made}):
        return made  # it is not the methods: the check of all says what it is
    for method, error in refused.items():
        print(f"{method} is left out: {error}")
    return [recipe for recipe in made if recipe.method not in refused]


def layers_of(run: Recipe | Result) -> str:
    """The adapted layers of a recipe or a finished run, as they are shown."""
    targets = run.target_modules if isinstance(run, Recipe) else run.settings["target_modules"]
    return targets if isinstance(targets, str) else ", ".join(targets)


def parameters(recipe: Recipe) -> int:
    """Trainable parameters of a recipe outside of the head, counted on the model's architecture without its weights."""
    kind = training.KINDS[tasks.get(recipe.task).kind]
    config = AutoConfig.from_pretrained(models.resolve(recipe.model))
    return methods.trainable_parameters(*base_model.outline(recipe, kind, config))


def run_all(planned: Iterable[Recipe]) -> list[Result]:
    """Run every recipe (or read its record), with a line before and after each."""
    planned, finished = list(planned), []
    for number, recipe in enumerate(planned, 1):
        started = time.perf_counter()
        print(f"[{number}/{len(planned)}] {recipe.label} on {layers_of(recipe)}, seed {recipe.seed}", flush=True)
        finished.append(training.run(recipe))
        done = finished[-1]
        print(f"      test {done.metric} {done.test_score:.3f} after {time.perf_counter() - started:.0f} s", flush=True)
    return finished


def table(finished: list[Result]):
    """The comparison as a styled table, a row a method."""
    scores = ["before", "validation", "test", "test min", "test max"]
    formats = {"parameters": "{:,}", "seconds": "{:.0f}", "peak MiB": "{:.0f}", **dict.fromkeys(scores, "{:.3f}")}
    return results.table(finished).style.hide(axis="index").format(formats)


def name_of(result: Result, of_all: str) -> str:
    """Label of a run in the figures: the method, and its layers where they are not those of the others (``of_all``)."""
    same = layers_of(result) == of_all or result.method in ("head", "full")
    return result.label if same else f"{result.label} ({layers_of(result)})"


def against_parameters(finished: list[Result], of_all: str):
    """Figure: test score against trainable parameters, a point a method, whiskers over the seeds.

    A method without parameters of its own, as the head alone, is a dotted line at its mean score.
    """
    runs: dict[str, list[Result]] = {}
    for result in finished:
        runs.setdefault(name_of(result, of_all), []).append(result)
    points, levels = {}, {}
    for name, group in runs.items():
        scores = [r.test_score for r in group]
        middle, half = sum(scores) / len(scores), (max(scores) - min(scores)) / 2
        if count := group[0].trainable_parameters:
            points[name] = ([count], [middle], [half])
        else:
            levels[name] = middle
    first = finished[0]
    counts = [x for (x,), *_ in points.values()] or [1]
    figure = plots.scatter(
        points,
        title=f"{first.task}: test {first.metric} against trainable parameters (head left out)",
        x_title="trainable parameters",
        y_title=f"test {first.metric}",
        log_x=True,
    )
    for name, level in levels.items():
        ends = [min(counts) / 1.4, max(counts) * 1.4]
        figure.add_scatter(x=ends, y=[level, level], mode="lines", line={"dash": "dot", "color": "#59636e"}, name=name)
    figure.layout.showlegend = len(runs) > 1
    return figure


def on_record(task: str):
    """The repository's own runs of an embedded task, a row a method; a table without rows for another task.

    They are kept in ``benchmarks/results/TASK.json``: more epochs and seeds than a notebook takes by itself.
    """
    path = results.ROOT / "benchmarks" / "results" / f"{task}.json"
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


def learning_curves(finished: list[Result], of_all: str) -> list:
    """Figures of seed 0: the validation score after each epoch, and the training loss."""
    first = [r for r in finished if r.seed == 0]
    scores = {name_of(r, of_all): ([e["epoch"] for e in r.epochs], [e["score"] for e in r.epochs]) for r in first}
    losses = {name_of(r, of_all): ([e["epoch"] for e in r.losses], [e["loss"] for e in r.losses]) for r in first}
    y_title = f"validation {first[0].metric}"
    return [
        plots.lines(scores, title="After each epoch, seed 0", x_title="epoch", y_title=y_title, markers=True),
        plots.lines(losses, title="Training loss, seed 0", x_title="epoch", y_title="loss", markers=False),
    ]


def spectra(finished: list[Result], of_all: str) -> list:
    """Figures of seed 0: singular values of the learnt ``ΔW`` in each watched layer."""
    learnt = [r for r in finished if r.seed == 0 and r.method != "head"]
    figures = []
    for layer in learnt[0].spectra if learnt else ():
        items = {name_of(r, of_all): torch.tensor(r.spectra[layer]) for r in learnt if max(r.spectra[layer]) > 0}
        title = f"ΔW of {layer.split('encoder.')[-1]}, relative to its largest singular value"
        figures.append(plots.spectrum(items, title=title, relative=True))
    return figures
