"""The `predict` command: answers of a trained model to the user's own rows."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circpeft.cli.output_files import output_path
from circpeft.course.parameters import RequestError
from circpeft.escaping import json_text, print_text
from circpeft.files import expanded

if TYPE_CHECKING:
    from datasets import Dataset

    from circpeft.prediction import TrainedModel

SUFFIX = ".jsonl"


def add(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser."""
    parser = add_command(
        "predict",
        "Predict your own rows with a trained model.",
        "circpeft predict runs/train/adapters/NAME --text 'All dogs bark.' 'Some dogs bark.'\n  "
        "circpeft predict runs/train/results/NAME.json --file rows.jsonl --to answers.jsonl\n  "
        "circpeft predict ADAPTER --task gsm8k --text 'What is 17 times 3?'",
        "The task, the model and its settings come from the record of the run. An adapter without a record needs "
        "--task. The rows have the columns of the task; labels are not needed.",
    )
    parser.add_argument(
        "source",
        metavar="ADAPTER_OR_RUN",
        help="a record (results/NAME.json), the folder of its weights, an output folder with one record, or a saved "
        "adapter",
    )
    parser.add_argument(
        "--text", nargs="+", default=[], metavar="TEXT", help="one row: a text for each text column of the task"
    )
    parser.add_argument("--file", default="", metavar="FILE", help="rows in a jsonl, json, csv, tsv or parquet file")
    parser.add_argument(
        "--to", default="", metavar="FILE", help="write the rows with their predictions to a new .jsonl file"
    )
    parser.add_argument("--task", default="", metavar="NAME", help="name of the task, for an adapter without a record")
    parser.add_argument(
        "--base", default="", metavar="MODEL", help="base model, for an adapter without a record (default: its own)"
    )
    parser.add_argument(
        "--data-dir", default="", metavar="FOLDER", help="images: data folder with the names of the classes"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object per line")
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Predict, and print or write the predictions.

    Raises: RequestError for a source, rows or an output file that cannot be used.
    """
    if bool(options.text) == bool(options.file):
        raise RequestError("give the rows either with --text or with --file")
    output = _output(options.to) if options.to else None
    from circpeft import prediction
    from circpeft.files import write_atomically
    from circpeft.training.logging_filters import quiet

    quiet()
    try:
        with (
            warnings.catch_warnings(record=True) as warned,
            open(os.devnull, "w", encoding="utf-8") as devnull,
            redirect_stdout(devnull if options.quiet else sys.stderr),  # the Trainer prints its metrics
        ):
            source, data_dir = expanded(options.source), expanded(options.data_dir)
            trained = prediction.open_trained(source, options.task, options.base, data_dir)
            rows = _rows(options, trained)
            predictions = prediction.predict(trained, rows, progress=bool(options.file) and not options.quiet)
        # Columns beside those of the task may hold what JSON does not have, such as times.
        both = zip(_plain(rows), predictions, strict=True)
        lines = [json_text({**given, **found}, default=str) for given, found in both]
        for text in dict.fromkeys(str(entry.message) for entry in warned if entry.category is UserWarning):
            print_text(f"warning: {' '.join(text.split())}", file=sys.stderr)
        if output:
            write_atomically(output, "".join(f"{line}\n" for line in lines))
    except (OSError, ValueError, TypeError) as error:
        raise RequestError(" ".join(str(error).split())) from error
    if output:
        print_text(f"{output}: {len(lines)} rows of {trained.task.name}")
    elif options.file or options.json:
        print_text("\n".join(lines))
    else:
        print_text(predictions[0]["prediction"])
    return 0


def _output(name: str) -> Path:
    """Return the path of a file that can be made.

    Raises: RequestError for another format, a file that exists, and a folder that cannot be written to.
    """
    path = output_path(name)
    if path.suffix != SUFFIX:
        raise RequestError(f"predictions are written as {SUFFIX}, got --to {name!r}")
    if path.exists():
        raise RequestError(f"{str(path)!r} exists; choose another file")
    return path


def _rows(options: argparse.Namespace, trained: TrainedModel) -> Dataset:
    from circpeft import prediction

    if options.text:
        return prediction.rows_of_texts(trained.task, options.text)
    return prediction.read_rows(trained.task, expanded(options.file))


def _plain(rows: Dataset) -> list[dict[str, Any]]:
    """Return the rows as values of JSON: an image as its path, or without one as an empty text."""
    from datasets import Image, Value

    columns = {}
    for name, feature in rows.features.items():
        if isinstance(feature, Image):
            columns[name] = [picture["path"] or "" for picture in rows.cast_column(name, Image(decode=False))[name]]
        elif isinstance(feature, Value) and feature.dtype.startswith(("binary", "large_binary")):
            columns[name] = [""] * len(rows)
        else:
            columns[name] = rows[name][:]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
