"""The `train` command: train one run."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circpeft.cli.settings import add_overrides, add_settings, read_overrides, read_settings
from circpeft.course.parameters import RequestError
from circpeft.escaping import print_text
from circpeft.files import expanded
from circpeft.recipes import LEARNING_RATES, TABLES
from circpeft.run_files.ownership import BusyError

if TYPE_CHECKING:
    from circpeft.recipes import Recipe
    from circpeft.results import Result

SHOWN = ("task", "label", "seed", "metric", "score", "test_score", "trainable_parameters", "seconds", "state")


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command(
        "train",
        "Train one run: a method on a task, or one cell of a paper's table.",
        "circpeft train c3a:block_size=64 --task entailment --set epochs 1\n  "
        "torchrun --nproc-per-node 2 -m circpeft train --table cdvft-3 --row LaMDA --column 'GSM8K Acc.' "
        "--profile paper",
        "If torchrun or accelerate launch starts several processes, they train the run together.",
    )
    parser.add_argument(
        "method",
        metavar="METHOD",
        nargs="?",
        default="",
        help=f"{', '.join(LEARNING_RATES)}; add hyperparameters after colons, such as c3a:block_size=64",
    )
    parser.add_argument("--task", default="", metavar="NAME", help="name of the task (default: entailment)")
    parser.add_argument(
        "--data-dir",
        default="",
        metavar="FOLDER",
        help="data folder of the task (default: the embedded data, or the hub)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: 0)")
    parser.add_argument(
        "--table", default="", metavar="NAME", help=f"run one cell of this printed table: {', '.join(TABLES)}"
    )
    parser.add_argument("--row", default="", metavar="TEXT", help="the cell's row, as printed")
    parser.add_argument("--column", default="", metavar="TEXT", help="the cell's column, as printed")
    add_overrides(parser)
    add_settings(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Train the run, or read its record if there is one, and print its scores; return 1 if the training diverged.

    Raises: RequestError for a run that cannot be trained.
    """
    settings = read_settings(options)
    _check_combination(options)
    from transformers.utils import logging as transformers_logging

    from circpeft import training
    from circpeft.training.logging_filters import quiet

    quiet()
    try:
        recipe = _cell(options, settings) if options.table else _recipe(options, settings)
        lines = training.check([recipe])
    except (ValueError, TypeError, OSError) as error:
        raise RequestError(str(error)) from error
    if training.distributed.state().is_main_process:
        # before a training that may take hours
        print_text(f"data: {lines[recipe.task, recipe.data_dir]}", file=sys.stderr)
    verbosity = transformers_logging.get_verbosity()
    if options.quiet:
        transformers_logging.set_verbosity_error()  # this hides the Trainer's progress bar
    try:
        # The Trainer logs to stdout, which is kept for the result.
        with open(os.devnull, "w", encoding="utf-8") as sink, redirect_stdout(sink if options.quiet else sys.stderr):
            result = _run(recipe)
    # It diverged, or a file that it reads or writes is damaged or missing.
    except (FloatingPointError, training.CheckpointError, OSError) as error:
        print_text(f"circpeft train: error: {error}", file=sys.stderr)
        return 1
    finally:
        transformers_logging.set_verbosity(verbosity)
    if training.distributed.state().is_main_process:
        _print_result(recipe, result, as_json=options.json)
    training.distributed.leave()
    return 0


def _run(recipe: Recipe) -> Result:
    """Return the record of a run, which is trained unless it has one.

    Raises: RequestError for rows or weights that do not fit into the model, and for a run that another process makes.
    """
    from circpeft import results, training

    try:
        ready = training.read_or_prepare(recipe)
    except (ValueError, TypeError, OSError) as error:
        raise RequestError(str(error)) from error
    if isinstance(ready, results.Result):
        return ready
    try:
        return training.train_and_record(ready)
    except (training.UnfitModelError, BusyError) as error:
        raise RequestError(str(error)) from error


def _check_combination(options: argparse.Namespace) -> None:
    """Raise RequestError if the options do not say which run to train."""
    if options.grid:
        raise RequestError("a grid is several runs: use `circpeft sweep`, or give one value with --override")
    if options.override and not options.table:
        raise RequestError("--override is for a row of a table; write the hyperparameters after the method's name")
    if options.table and (options.method or options.task):
        raise RequestError("a cell of a table has its own method and task; leave out either these or --table")
    if not options.table and (options.row or options.column):
        raise RequestError("--row and --column choose a cell of a table; add --table")
    if not options.table and not options.method:
        task = options.task or "entailment"
        raise RequestError(f"no method given; name one, as in `circpeft train c3a --task {task}`, or use --table")


def _cell(options: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    """Return the recipe of one cell of a printed table."""
    from circpeft import recipes

    cells = recipes.plan_table(
        options.table,
        options.profile or "cpu",
        [options.seed],
        rows=[options.row] if options.row else [],
        columns=[options.column] if options.column else [],
        output_dir=options.output_dir,
        overrides=read_overrides(options),
        **settings,
    ).cells
    if len(cells) > 1:
        choices = "; ".join(f"--row {cell.row!r} --column {cell.column!r}" for cell in cells[:4])
        raise RequestError(f"{len(cells)} cells of {options.table} match; choose one, such as: {choices}")
    return replace(cells[0], data_dir=_absolute(options.data_dir)) if options.data_dir else cells[0]


def _recipe(options: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    """Return the recipe of a method on a task."""
    from circpeft import recipes, results, tasks

    task = options.task or "entailment"
    method, hyperparameters = recipes.parse_method(options.method)
    return recipes.Recipe(
        task,
        method,
        hyperparameters=hyperparameters,
        data_dir=_absolute(options.data_dir) if options.data_dir else "",
        seed=options.seed,
        output_dir=_absolute(options.output_dir or results.default_folder("train")),
        **recipes.settings_of(options.profile or "cpu", tasks.get(task).kind, settings),
    )


def _absolute(folder: str | Path) -> str:
    return str(Path(expanded(folder)).resolve())


def _print_result(recipe: Recipe, result: Result, as_json: bool) -> None:
    """Print the scores of a run and the paths of its record and its weights."""
    from circpeft import results, training

    record = str(results.path_of(recipe.name, recipe.output_dir))
    folder = training.weights_of(recipe)
    weights = str(folder) if folder.is_dir() else ""  # the record may be older than this call, its weights deleted
    if as_json:
        scores = {name: getattr(result, name) for name in SHOWN}
        print_text(json.dumps({**scores, "record": record, "weights": weights}))
        return
    text = f"test {result.metric} {result.test_score:.3f}"
    if result.score is not None:
        text = f"validation {result.metric} {result.score:.3f}, test {result.test_score:.3f}"
    print_text(f"{recipe.label} on {recipe.task}, seed {recipe.seed}: {text}, {result.seconds:.0f} s")
    print_text(f"record: {record}")
    if weights:
        print_text(f"{folder.parent.name.removesuffix('s')}: {weights}")
