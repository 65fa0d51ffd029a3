"""The `sweep` command: run every cell of a paper's table, or the runs that a TOML file lists."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from circpeft.cli.interruption import STAYS
from circpeft.cli.settings import add_overrides, add_settings, read_overrides, read_settings
from circpeft.course.parameters import RequestError
from circpeft.escaping import print_text
from circpeft.files import WriteError
from circpeft.recipes import TABLES

if TYPE_CHECKING:
    from circpeft.recipes import CellRecipe, Plan
    from circpeft.sweeps import Done, Judge, Outcome


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command(
        "sweep",
        "Run all cells of a paper's table, or the runs listed in a TOML file.",
        "circpeft sweep cdvft-1 --profile smoke --seeds 2\n  "
        "circpeft sweep my_sweep.toml --workers 4\n  "
        "circpeft sweep c3a-2 --profile paper --seeds 5 --ray 10.0.0.1:6379 --gpus 0.5\n  "
        "circpeft sweep c3a-2 --profile paper --seeds 5 --grid all learning_rate 1e-4,3e-4,1e-3",
        "Runs that have a record are skipped; interrupted runs resume.",
    )
    parser.add_argument("table", metavar="TABLE", help=f"{', '.join(TABLES)}, or the path of a TOML file")
    parser.add_argument(
        "--seeds",
        type=int,
        default=None,
        metavar="N",
        help="runs per cell (default: the file's or the paper's, or 1)",
    )
    parser.add_argument(
        "--row", action="append", default=[], metavar="TEXT", help="run only this row, as printed; repeatable"
    )
    parser.add_argument(
        "--column", action="append", default=[], metavar="TEXT", help="run only this column, as printed; repeatable"
    )
    parser.add_argument(
        "--data-dir",
        "--data",  # its earlier name
        dest="data_dir",
        default="",
        metavar="FOLDER",
        help="folder with one data folder per task (default: the embedded data, or the hub)",
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="runs at a time on this machine (default: 1)"
    )
    parser.add_argument("--ray", default="", metavar="ADDRESS", help="run on a Ray cluster: host:port, auto or local")
    parser.add_argument(
        "--gpus",
        type=float,
        default=None,
        metavar="N",
        help="with --ray: GPUs per run, such as 1 or 0.5 (default: 1 if the cluster has any)",
    )
    parser.add_argument(
        "--judge",
        default="",
        metavar="URL",
        help="an OpenAI-compatible service that grades MT-Bench answers, for the column of cdvft-3",
    )
    parser.add_argument("--judge-model", default="gpt-4", metavar="NAME", help="the judge's name (default: gpt-4)")
    parser.add_argument(
        "--judge-key",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="environment variable with the judge's key (default: OPENAI_API_KEY)",
    )
    parser.add_argument(
        "--questions", default="", metavar="FILE", help="MT-Bench's question.jsonl (default: from the hub)"
    )
    add_overrides(parser)
    add_settings(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Run the sweep and report its outcome; return 1 if a run failed.

    Raises: RequestError for a plan that cannot be run.
    """
    settings = read_settings(options)
    if options.table.endswith(".toml") and (options.row or options.column):
        raise RequestError("--row and --column choose from a printed table; with a TOML file, edit its lists instead")
    from circpeft import sweeps
    from circpeft.training.logging_filters import quiet

    quiet()
    plan = _plan(options, settings)
    try:
        outcome = sweeps.run_sweep(
            plan,
            workers=options.workers,
            ray=options.ray,
            gpus=options.gpus,
            judge=_judge(options),
            progress=not options.quiet,
            on_end=_print_run if options.json else None,
        )
    except sweeps.SweepError as error:
        raise RequestError(str(error)) from error
    except WriteError as error:
        print_text(f"circpeft sweep: error: {error}; {STAYS['sweep']}", file=sys.stderr)
        return 1
    print_text(sweeps.summary(outcome) if options.json else _summary(outcome))
    return 1 if outcome.failed or outcome.not_judged else 0


def _judge(options: argparse.Namespace) -> Judge | None:
    from circpeft.sweeps import Judge

    if not options.judge:
        return None
    return Judge(options.judge, options.judge_model, options.judge_key, options.questions)


def _plan(options: argparse.Namespace, settings: dict[str, Any]) -> Plan:
    """Return the plan of a printed table or of a TOML file."""
    from circpeft import recipes

    common = {
        "data": options.data_dir,
        "output_dir": options.output_dir,
        "overrides": read_overrides(options),
        **settings,
    }
    try:
        if options.seeds is not None:
            recipes.seeds_of(options.seeds)
        if options.table.endswith(".toml"):
            return recipes.plan_file(options.table, options.profile, options.seeds or 0, **common)
        chosen = {"rows": options.row, "columns": options.column}
        return recipes.plan_table(options.table, options.profile or "cpu", options.seeds, **chosen, **common)
    except (ValueError, TypeError, OSError) as error:
        raise RequestError(str(error)) from error


def _print_run(done: Done, recipe: CellRecipe) -> None:
    """Print the end of one run as a line of JSON."""
    names = {"disk_full": "full"}  # the names that scripts read
    row = {names.get(name, name): value for name, value in asdict(done).items() if name not in ("record", "traceback")}
    print_text(json.dumps(row | {"row": recipe.row, "column": recipe.column, "seed": recipe.seed}), flush=True)


def _summary(outcome: Outcome) -> str:
    """Return the text that ends a sweep."""
    from circpeft import sweeps

    lines = [f"failed: {name}: {error}" for name, error in outcome.failed.items()]
    lines += [f"not judged: {name}: {error}" for name, error in outcome.not_judged.items()]
    lines += [f"judged: {name}: MT-Bench {score:.2f}" for name, score in outcome.judged.items()]
    lines += [sweeps.search.described(entry) for entry in outcome.chosen]
    lines += [f"left out: {entry['row'] or entry['column']}: {entry['reason']}" for entry in outcome.left_out]
    total = len(outcome.finished) + len(outcome.skipped) + len(outcome.failed)
    lines.append(
        f"{total} runs in {outcome.seconds:.0f} s: {len(outcome.finished)} finished, "
        f"{len(outcome.skipped)} skipped (already on record), {len(outcome.failed)} failed"
    )
    lines.append(f"records: {outcome.folder / 'results'}")
    lines.append(f"show the table: circpeft report {outcome.folder}")
    return "\n".join(lines)
