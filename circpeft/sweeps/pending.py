"""Which runs of a sweep are still to be made, and which of them cannot be."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import replace

from tqdm.auto import tqdm

from .. import results, training
from ..escaping import terminal
from ..recipes import Recipe
from . import record


def not_on_record(recipes: Iterable[Recipe]) -> tuple[list[Recipe], list[str]]:
    """Return the runs that are not on record, and the names of the others."""
    fingerprints: dict[tuple, str] = {}
    pending, known_names = [], []
    for recipe in recipes:
        path = results.path_of(recipe.name, recipe.output_dir)
        if not os.path.lexists(path):
            pending.append(recipe)
            continue
        source = (recipe.task, recipe.data_dir, recipe.max_train, recipe.max_eval, recipe.hold_out)
        if source not in fingerprints:
            try:
                fingerprints[source] = training.data_of(recipe).fingerprint
            except Exception:  # the check of all pending runs will find and report it
                fingerprints[source] = ""
        try:
            known = training.recorded(recipe, fingerprints[source])
        except (OSError, ValueError) as error:
            tqdm.write(terminal(f"{error}\n  moved to {record.set_aside(path)}; it runs again"), file=sys.stderr)
            known = None
        if known is None:
            pending.append(recipe)
        else:
            record.forget_failure(recipe)
            known_names.append(recipe.name)
    return pending, known_names


def impossible(pending: list[Recipe], remote: bool) -> dict[str, Exception]:
    """Return the runs that cannot be made, by name, each with its error. Print how each data set is split.

    With ``remote``, settings that depend on the device are not checked: the cluster may have another one.
    """
    checked = {r.name: replace(r, precision="float32", quantization="") if remote else r for r in pending}
    try:
        print_data(training.check(list(checked.values())))
        return {}
    except Exception:  # which run it was, and whether there are others, is found one by one below
        logging.getLogger(__name__).debug("looking for the run that is not possible", exc_info=True)
    impossible: dict[str, Exception] = {}
    errors: dict[str, Exception | None] = {}
    lines: dict[tuple[str, str], str] = {}
    for name, recipe in checked.items():
        key = replace(recipe, seed=0).name
        if key not in errors:
            errors[key] = None
            try:
                lines |= training.check([recipe])
            except Exception as error:  # recorded as the outcome of that run
                errors[key] = error
        if (found := errors[key]) is not None:
            impossible[name] = found
    print_data(lines)
    return impossible


def print_data(lines: dict[tuple[str, str], str]) -> None:
    """Print the lines about the data sets from `training.check`."""
    for (task, _), line in lines.items():
        tqdm.write(terminal(f"data of {task}: {line}"), file=sys.stderr)
