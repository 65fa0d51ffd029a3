"""The commands that train: one run, and a whole table."""

from __future__ import annotations

import argparse
import ast
import json
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from circpeft.course.parameters import RequestError
from circpeft.recipes import SETTINGS
from circpeft.suggest import nearest

WORDS = {"true": True, "yes": True, "false": False, "no": False, "none": None}
EXIT_CODES = "exit codes: 0 everything is on record, 1 a run failed, 2 wrong usage, 130 interrupted"


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands to a parser."""
    train = command(
        "train",
        "Train one run: a method on a task, or one cell of a table. Under torchrun or accelerate launch, on all of "
        "their processes.",
        "circpeft train c3a:block_size=64 --task entailment --set epochs 1\n  "
        "torchrun --nproc-per-node 2 -m circpeft train --table cdvft-3 --row LaMDA --column 'GSM8K Acc.' "
        "--profile paper",
    )
    train.add_argument("method", nargs="?", default="", help="its name, with hyperparameters behind colons")
    train.add_argument("--task", default="", metavar="NAME", help="the task (default: entailment)")
    train.add_argument("--data-dir", default="", metavar="FOLDER", help="the task's data, instead of the hub")
    train.add_argument("--seed", type=int, default=0, metavar="N")
    train.add_argument("--table", default="", metavar="NAME", help="a printed table, for one of its cells")
    train.add_argument("--row", default="", metavar="TEXT", help="the row as it is printed")
    train.add_argument("--column", default="", metavar="TEXT", help="the column as it is printed")

    sweep = command(
        "sweep",
        "Run a whole printed table (cdvft-1 to cdvft-3, c3a-2 to c3a-4), or a TOML file of your own. What is on record "
        "is skipped, what was interrupted goes on.",
        "circpeft sweep cdvft-1 --profile smoke --seeds 2\n  "
        "circpeft sweep my_sweep.toml --workers 4\n  "
        "circpeft sweep c3a-2 --profile paper --seeds 5 --ray 10.0.0.1:6379 --gpus 0.5",
    )
    sweep.add_argument("table", help="name of a table, or path of a TOML file")
    sweep.add_argument("--seeds", type=int, default=None, metavar="N", help="runs a cell (default: 1, or the file's)")
    sweep.add_argument("--row", action="append", default=[], metavar="TEXT", help="only this printed row; repeatable")
    sweep.add_argument("--column", action="append", default=[], metavar="TEXT", help="only this column; repeatable")
    sweep.add_argument("--data", default="", metavar="FOLDER", help="a folder with a folder of data for each task")
    sweep.add_argument("--workers", type=int, default=1, metavar="N", help="runs at the same time on this machine")
    sweep.add_argument("--ray", default="", metavar="ADDRESS", help="run on a Ray cluster: host:port, auto or local")
    sweep.add_argument("--gpus", type=float, default=None, metavar="SHARE", help="of a GPU, for each run of a cluster")

    for each in (train, sweep):
        each.epilog += f"\n\n{EXIT_CODES}"
        each.add_argument("--profile", default="", metavar="NAME", help="smoke, cpu or paper (default: cpu)")
        each.add_argument("--set", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
                          help=f"another setting of a run; may be repeated: {', '.join(SETTINGS)}")  # fmt: skip
        each.add_argument("--output-dir", default="", metavar="FOLDER", help="where records go (default: in runs/)")
        each.add_argument("--json", action="store_true", help="a line of JSON for each run, and one for the whole")
        each.add_argument("--quiet", action="store_true", help="no progress bar")


def hint(command: str, unknown: list[str]) -> str:
    """What is to be said of arguments that a command does not know: a setting goes behind ``--set``."""
    if command in ("train", "sweep"):
        names = [argument[2:].partition("=")[0].replace("-", "_") for argument in unknown if argument[:2] == "--"]
        if known := [name for name in names if name in SETTINGS]:
            return f"; a run's settings are given as --set {known[0]} VALUE"
    return f" (see `circpeft {command} --help`)"


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """What ``--set`` says."""
    found: dict[str, Any] = {}
    for name, text in options.set:
        if name not in SETTINGS:
            raise RequestError(f"unknown setting {name!r}; {nearest(name, SETTINGS)}")
        if name in found:
            raise RequestError(f"setting {name!r} is given twice")
        try:
            found[name] = WORDS[text.lower()] if text.lower() in WORDS else ast.literal_eval(text)
        except (ValueError, SyntaxError):
            found[name] = text
    return found


def run_train(options: argparse.Namespace) -> int:
    """The ``train`` command; returns the exit code."""
    from transformers.utils import logging as hf_logging

    from circpeft import recipes, results, tasks, training
    from circpeft.training.logging_filters import quiet

    quiet()
    settings, profile = _settings(options), options.profile or "cpu"
    try:
        if options.table:
            if options.method or options.task:
                raise RequestError("a cell of a table has its own method and task: leave them out, or --table")
            cells = recipes.plan_table(
                options.table,
                profile,
                [options.seed],
                rows=[options.row] if options.row else [],
                columns=[options.column] if options.column else [],
                output_dir=options.output_dir,
                **settings,
            ).cells
            if len(cells) > 1:
                named = "; ".join(f"--row {cell.row!r} --column {cell.column!r}" for cell in cells[:4])
                raise RequestError(f"{len(cells)} cells of {options.table} are meant; choose one: {named}")
            [recipe] = cells
            if options.data_dir:
                recipe = replace(recipe, data_dir=str(Path(options.data_dir).expanduser().resolve()))
        else:
            if options.row or options.column:
                raise RequestError("--row and --column choose a cell of a table: give --table, too")
            task = options.task or "entailment"
            if not options.method:
                raise RequestError(
                    f"which method? Give one such as c3a, or --table; e.g. circpeft train c3a --task {task}"
                )
            name, own = recipes.parse_method(options.method)
            common = recipes.settings_of(profile, tasks.get(task).kind, settings)
            data = str(Path(options.data_dir).expanduser().resolve()) if options.data_dir else ""
            folder = str(Path(options.output_dir or results.default_folder("train")).resolve())
            run = {"hyperparameters": own, "data_dir": data, "seed": options.seed, "output_dir": folder, **common}
            recipe = recipes.Recipe(task, name, **run)
        training.check([recipe])
    except (ValueError, TypeError, FileNotFoundError) as error:
        raise RequestError(str(error)) from error
    before = hf_logging.get_verbosity()
    if options.quiet:
        hf_logging.set_verbosity_error()  # the Trainer then has no bar
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere if options.quiet else sys.stderr):
            result = training.run(recipe)  # the Trainer logs to stdout, where the result alone is wanted
    finally:
        hf_logging.set_verbosity(before)
    if int(os.environ.get("RANK", 0)) == 0:
        path = str(results.path_of(recipe.name, recipe.output_dir))
        kept = training.weights_of(recipe)
        weights = str(kept) if kept.is_dir() else ""  # a record may be read whose adapter was taken away
        if options.json:
            shown = (
                "task",
                "label",
                "seed",
                "metric",
                "score",
                "test_score",
                "trainable_parameters",
                "seconds",
                "state",
            )
            print(json.dumps({**{name: getattr(result, name) for name in shown}, "record": path, "weights": weights}))
        else:
            scores = f"validation {result.metric} {result.score:.3f}, test {result.test_score:.3f}"
            print(f"{recipe.label} on {recipe.task}, seed {recipe.seed}: {scores}, {result.seconds:.0f} s")
            print(f"record: {path}")
            if weights:
                print(f"{kept.parent.name.removesuffix('s')}: {weights}")
    training.distributed.leave()
    return 0


def run_sweep(options: argparse.Namespace) -> int:
    """The ``sweep`` command; returns the exit code."""
    from circpeft import recipes, sweeps
    from circpeft.training.logging_filters import quiet

    quiet()
    settings = _settings(options)
    common = {"data": options.data, "output_dir": options.output_dir, **settings}
    try:
        if options.seeds is not None:
            recipes.seeds_of(options.seeds)
        if options.table.endswith(".toml"):
            if options.row or options.column:
                raise RequestError("--row and --column choose from a printed table; a file says itself what it runs")
            plan = recipes.plan_file(options.table, options.profile, options.seeds or 0, **common)
        else:
            rows = {"rows": options.row, "columns": options.column}
            plan = recipes.plan_table(options.table, options.profile or "cpu", options.seeds or 1, **rows, **common)
    except (ValueError, TypeError, FileNotFoundError) as error:
        raise RequestError(str(error)) from error
    told = (lambda done, recipe: print(_line(done, recipe), flush=True)) if options.json else None
    try:
        outcome = sweeps.run_sweep(
            plan, workers=options.workers, ray=options.ray, gpus=options.gpus, progress=not options.quiet, told=told
        )
    except sweeps.SweepError as error:
        raise RequestError(str(error)) from error
    except sweeps.Stopped as error:
        print(f"\ncircpeft sweep: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted: what is finished stays, and the same command goes on from there", file=sys.stderr)
        raise
    if options.json:
        print(sweeps.summary(outcome))
    else:
        print(_end(outcome))
    return 1 if outcome.failed else 0


def _line(done: Any, recipe: Any) -> str:
    row = {name: value for name, value in asdict(done).items() if name not in ("record", "traceback")}
    return json.dumps(row | {"row": recipe.row, "column": recipe.column, "seed": recipe.seed})


def _end(outcome: Any) -> str:
    """What a sweep ended with, for the terminal."""
    lines = [f"failed: {name}: {error}" for name, error in outcome.failed.items()]
    lines += [f"left out: {entry['row'] or entry['column']}: {entry['reason']}" for entry in outcome.left_out]
    total = len(outcome.finished) + len(outcome.skipped) + len(outcome.failed)
    lines.append(
        f"{total} runs: {len(outcome.finished)} finished, {len(outcome.skipped)} on record before, "
        f"{len(outcome.failed)} failed, in {outcome.seconds:.0f} s"
    )
    lines.append(f"records: {outcome.folder / 'results'}; the table: circpeft report {outcome.folder}")
    return "\n".join(lines)
