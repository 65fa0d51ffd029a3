"""The `rates` command: a learning rate to begin with, and why; on request a short search on the user's data."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circpeft.cli.output_files import output_path
from circpeft.cli.settings import RUN_EXIT_CODES, add_settings, read_settings
from circpeft.course.parameters import RequestError
from circpeft.escaping import print_text
from circpeft.files import expanded
from circpeft.recipes import LEARNING_RATES
from circpeft.suggest import nearest

if TYPE_CHECKING:
    from circpeft.rates import Search
    from circpeft.recipes import Recipe

SUFFIXES = (".html", ".png")
EXIT_CODES = "exit codes: 0 success, 1 every rate diverged, 2 wrong usage, 130 interrupted"
DETAILS = (
    'C3A and CDVFT have the scale alpha="lora" by default, at which LoRA\'s learning rates work. With alpha="paper" '
    "a layer needs a rate that grows with its width. Nothing is trained without --search. With --search, short trials "
    "are trained and compared by their validation loss."
)


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command(
        "rates",
        "Suggest a learning rate for a method on a model.",
        "circpeft rates minilm --method c3a:block_size=64\n  "
        "circpeft rates roberta-base --method c3a:alpha=paper --set target_modules query,value\n  "
        "circpeft rates --method c3a --task entailment --search --steps 60 --plot rates.html",
        DETAILS,
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        default="",
        help="an embedded model, a folder, a hub ID, or a model of the papers such as roberta-base (default: the "
        "profile's)",
    )
    parser.add_argument(
        "--method",
        default="c3a",
        metavar="METHOD",
        help=f"{', '.join(LEARNING_RATES)}; add hyperparameters after colons, such as c3a:block_size=64 (default: c3a)",
    )
    parser.add_argument(
        "--lora-rate",
        type=float,
        default=None,
        metavar="RATE",
        help="a rate at which LoRA trains this model well (alpha = r); C3A and CDVFT keep it",
    )
    parser.add_argument("--search", action="store_true", help="compare short trials on the task's data")
    parser.add_argument(
        "--rates", default="", metavar="LIST", help="rates of the search, such as 3e-4,1e-3,3e-3 (default: five)"
    )
    parser.add_argument("--steps", type=int, default=60, metavar="N", help="steps of each trial (default: 60)")
    parser.add_argument("--plot", default="", metavar="FILE", help=f"save the search's figure: {' or '.join(SUFFIXES)}")
    parser.add_argument("--task", default="", metavar="NAME", help="name of the task (default: entailment)")
    parser.add_argument(
        "--data-dir", default="", metavar="FOLDER", help="data folder of the task (default: the embedded data)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: 0)")
    add_settings(parser)
    parser.epilog = str(parser.epilog).replace(RUN_EXIT_CODES, EXIT_CODES)
    parser.set_defaults(execute=execute, table="")


def execute(options: argparse.Namespace) -> int:
    """Print a suggestion, or the outcome of a search; return 1 if every rate diverged.

    Raises: RequestError for wrong arguments, and for a run that cannot be trained.
    """
    settings = read_settings(options)
    rates = _check(options, settings)
    try:
        recipe = _recipe(options, settings)
        given = recipe.hyperparameters.get("learning_rate") or recipe.learning_rate
        if given and not options.search:
            raise RequestError(
                f"learning_rate={given:g} is given, but a suggestion does not use it; add --search to compare rates "
                f"around it, or leave it out"
            )
        from circpeft.rates import suggest

        suggestion = suggest(
            recipe.model,
            recipe.method,
            target_modules=recipe.target_modules or None,
            target_parameters=recipe.target_parameters,
            lora_rate=options.lora_rate,
            **recipe.options,
        )
        if options.search:
            return _search(options, recipe, rates or (suggestion.rates if options.lora_rate else None))
    except (ValueError, TypeError, OSError) as error:
        raise RequestError(str(error)) from error
    print_text(json.dumps(suggestion.to_dict()) if options.json else suggestion.text)
    return 0


def _check(options: argparse.Namespace, settings: dict[str, Any]) -> list[float] | None:
    """Return the rates of ``--rates``, or None.

    Raises: RequestError for options that contradict each other, or a rate that is not a number.
    """
    if options.model and settings.get("model", options.model) != options.model:
        raise RequestError(f"the model is given twice: {options.model!r} and --set model {settings['model']!r}")
    for name, given in (("--rates", options.rates), ("--plot", options.plot)):
        if given and not options.search:
            raise RequestError(f"{name} belongs to a search; add --search")
    if options.plot and Path(options.plot).suffix.lower() not in SUFFIXES:
        raise RequestError(f"no figure has the suffix {Path(options.plot).suffix!r}; {nearest(options.plot, SUFFIXES)}")
    if options.plot:
        output_path(options.plot)
    if not options.rates:
        return None
    try:
        return [float(text) for text in options.rates.split(",")]
    except ValueError as error:
        raise RequestError(f"--rates takes numbers such as 3e-4,1e-3,3e-3, got {options.rates!r}") from error


def _recipe(options: argparse.Namespace, settings: dict[str, Any]) -> Recipe:
    """Return the recipe of the run for which a rate is sought."""
    from circpeft import recipes, results, tasks
    from circpeft.rates.shapes import default_targets

    task = options.task or "entailment"
    method, hyperparameters = recipes.parse_method(options.method)
    model = options.model or settings.get("model", "")
    # The profile's target layers are those of the profile's own model.
    of_model = {"model": model, "target_modules": default_targets(model)} if model else {}
    merged = recipes.settings_of(options.profile or "cpu", tasks.get(task).kind, {**of_model, **settings})
    folder = options.output_dir or results.default_folder("rates")
    return recipes.Recipe(
        task,
        method,
        hyperparameters=hyperparameters,
        data_dir=str(Path(expanded(options.data_dir)).resolve()) if options.data_dir else "",
        seed=options.seed,
        output_dir=str(Path(expanded(folder)).resolve()),
        **merged,
    )


def _search(options: argparse.Namespace, recipe: Recipe, rates: Sequence[float] | None) -> int:
    """Run a search and print its outcome."""
    from transformers.utils import logging as transformers_logging

    from circpeft import plots  # now, because a package that is missing should not be noticed after the search
    from circpeft.rates import search
    from circpeft.training.logging_filters import quiet

    quiet()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        with open(os.devnull, "w", encoding="utf-8") as sink, redirect_stdout(sink if options.quiet else sys.stderr):
            found: Search = search(recipe, rates, options.steps, progress=not options.quiet)
    finally:
        transformers_logging.set_verbosity(verbosity)
    print_text(json.dumps(found.to_dict()) if options.json else found.text)
    if options.plot:
        print_text(f"figure: {plots.save(found.figure(), expanded(options.plot))}", file=sys.stderr)
    return 1 if found.best is None else 0
