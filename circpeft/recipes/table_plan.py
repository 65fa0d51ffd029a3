"""Plans of the printed tables: the recipes of a table's cells under a profile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..files import expanded
from ..results import default_folder
from ..suggest import nearest
from .checks import check_unrepeated
from .overrides import Overrides, Variant, check_overrides, variants
from .plan import Plan, planned, seeds_of, settings_of
from .protocol import checked_statistic
from .recipe import CellRecipe
from .tables import MODELS, STAND_INS, TABLES, Row, Table


def table(
    name: str, profile: str = "paper", seeds: int | Sequence[int] | None = None, **options: Any
) -> list[CellRecipe]:
    """Return the recipes of one printed table, each with its ``row`` and ``column``.

    Args: see `plan_table`.

    Raises: whatever `plan_table` raises.

    >>> cells = table("cdvft-1")  # 30 cells, with five seeds each
    >>> len(cells), cells[-1].label, cells[-1].model
    (150, 'cdvft:block_size=768', 'FacebookAI/roberta-base')
    >>> [(cell.row, cell.column, cell.label) for cell in table("cdvft-1", "cpu")][-1]
    ('CDVFT p=768', 'entailment', 'cdvft:block_size=384')
    """
    return list(plan_table(name, profile, seeds, **options).cells)


def plan_table(
    name: str,
    profile: str = "paper",
    seeds: int | Sequence[int] | None = None,
    *,
    data: str | Path = "",
    rows: Iterable[str] = (),
    columns: Iterable[str] = (),
    output_dir: str | Path = "",
    statistic: str = "",
    overrides: Overrides = MappingProxyType({}),
    **settings: Any,
) -> Plan:
    """Return the plan of one printed table under a profile.

    The table's protocol (`recipes.protocol`) decides which epoch is tested and how seeds are summarised; where nothing
    is chosen on validation, no training rows are held out for it.

    In the profile ``paper`` the tasks and models are those of the paper. In the others a small model replaces the
    table's first one. Rows of larger models are left out, and block sizes keep the number of blocks. An embedded task
    replaces all columns.

    Args:
        name: "c3a-2" to "c3a-4" or "cdvft-1" to "cdvft-3".
        profile: "smoke", "cpu" or "paper".
        seeds: number of runs for each cell, with seeds 0, 1, ...; or the seeds themselves. None takes the table's
            printed number in the profile ``paper``, and 1 in the others.
        data: a folder with a data folder for each task (``data/rte``, ...). The columns are then those that it has.
        rows, columns: names of printed rows and columns to run; () takes all.
        output_dir: where records go; "" is ``runs/<name>-<profile>``, see `places.outputs`.
        statistic: "mean" or "median" over the seeds; "" is the table's own.
        overrides: hyperparameters and settings of single rows, see `recipes.overrides`. Several values are a grid.
        settings: other fields of `Recipe` for every run, such as ``model`` or ``epochs``.

    Raises: ValueError for a name, profile, row, column, setting, statistic or override that does not exist, with the
    nearest one; for a seed, row or column that is given twice; for a ``data`` folder without a folder for any column;
    if no cell is left to run.

    >>> plan = plan_table("c3a-3", overrides={"LLaMA2-7B LoRA r=32": {"alpha": [32, 64, 128]}}, hold_out=True)
    >>> [cell.label for cell in plan.searches[0].candidates]
    ['lora:alpha=32:dropout=0.05:r=32', 'lora:alpha=64:dropout=0.05:r=32', 'lora:alpha=128:dropout=0.05:r=32']
    """
    if name not in TABLES:
        raise ValueError(f"unknown table {name!r}; {nearest(name, TABLES)}")
    printed = TABLES[name]
    if "data_dir" in settings:
        raise ValueError("data_dir holds one task; for a table give data, a folder with a folder for each task")
    common = settings_of(profile, printed.kind, {**printed.protocol.settings(profile), **settings})
    if seeds is None:
        seeds = printed.protocol.seeds.value if profile == "paper" else 1
    seeds = seeds_of(seeds)
    names = list(dict.fromkeys(row.name for row in printed.rows))
    chosen_rows = _chosen("row", list(rows), names)
    tasks, chosen_columns, left_out = _tasks(printed, profile, data, list(columns))
    printed_model = profile == "paper" and "model" not in settings
    first = printed.rows[0].model
    left_out += [{"row": row, "column": "", "reason": reason} for row, reason in printed.left_out.items()]
    folder = str(Path(expanded(output_dir or default_folder(f"{name}-{profile}"))).resolve())
    methods = {name: {row.method for row in printed.rows if row.name == name} for name in names}
    check_overrides(overrides, methods)
    drafts = []
    for row in printed.rows:
        if not printed_model and row.model != first:
            left_out.append({"row": row.name, "column": "", "reason": f"{common['model']} replaces only {first}"})
            continue
        given = {**common, **_row_settings(row, profile, printed_model, common, settings)}
        given |= {"method": row.method, "output_dir": folder, "table": name, "row": row.name}
        of_row = [_completed(variant, row, common) for variant in variants(overrides, row.name)]
        for column, (task, data_dir, printed_columns) in tasks.items():
            if row.columns and not set(row.columns) & set(printed_columns):
                continue
            drafts.append((of_row, given | {"task": task, "data_dir": data_dir, "column": column}))
    cells, searches = planned(drafts, seeds)
    tried = {id(cell) for search in searches for cell in search.candidates}
    chosen = tuple(cell for cell in cells if cell.row in chosen_rows and cell.column in chosen_columns)
    chosen_ids = {id(cell) for cell in chosen}
    if not chosen:
        reasons = "; ".join(f"{entry['row'] or entry['column']}: {entry['reason']}" for entry in left_out)
        raise ValueError(f"nothing to run of {name}: {reasons or 'this row has no score in this column'}")
    return Plan(
        name=name,
        table=name,
        profile=profile,
        seeds=len(seeds),
        statistic=checked_statistic(statistic or printed.protocol.statistic.value),
        printed_model=printed_model and not any("model" in of_row for of_row in overrides.values()),
        cells=chosen,
        left_out=tuple(left_out),
        listed=tuple(cell for cell in cells if id(cell) not in tried),
        searches=tuple(search for search in searches if id(search.candidates[0]) in chosen_ids),
    )


def _chosen(what: str, names: list[str], known: list[str]) -> list[str]:
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}; {nearest(name, known)}")
    check_unrepeated(f"the list of {what}s", names)
    return names or known


def _tasks(printed: Table, profile: str, data: str | Path, names: list[str]) -> tuple[dict, list[str], list[dict]]:
    """Return the columns, those of them that are to be run, and those that are left out (with reasons).

    Each column has its task, its data folder, and the printed columns that it replaces.
    """
    columns, left_out = printed.columns, []
    if not data and profile != "paper":
        task = STAND_INS[printed.kind]
        if any(row.columns for row in printed.rows):  # such rows are for some columns only
            available: dict[str, tuple] = {f"{task} for {column}": (task, "", (column,)) for column in columns}
        else:
            available = {task: (task, "", tuple(columns))}
        return available, _chosen("column", names, list(available)), []
    chosen = _chosen("column", names, list(columns))
    if not data:
        return {column: (task, "", (column,)) for column, task in columns.items()}, chosen, []
    folders = {column: Path(expanded(data)) / task for column, task in columns.items()}
    available = {c: (columns[c], str(folder.resolve()), (c,)) for c, folder in folders.items() if folder.is_dir()}
    if not set(available) & set(chosen):
        raise ValueError(
            f"data folder {str(data)!r} has no folder for any column; expected one of: "
            f"{', '.join(columns[column] for column in chosen)}"
        )
    for column in columns:
        if column not in available:
            reason = f"the data folder has no {columns[column]}"
            left_out.append({"row": "", "column": column, "reason": reason})
    return available, chosen, left_out


def _row_settings(
    row: Row, profile: str, printed_model: bool, common: dict[str, Any], given: dict[str, Any]
) -> dict[str, Any]:
    """Return the settings that a row brings: model, hyperparameters and target modules."""
    hub, hidden = MODELS[row.model]
    settings: dict[str, Any] = {"hyperparameters": dict(row.options)}
    if profile == "paper" and row.targets and "target_modules" not in given:
        settings["target_modules"] = row.targets
    if printed_model:
        settings["model"] = hub
    elif row.blocks:
        hidden = _hidden_size(common["model"])
    if row.blocks:
        settings["hyperparameters"]["block_size"] = _block_size(hidden, row)
    return settings


def _completed(variant: Variant, row: Row, common: dict[str, Any]) -> Variant:
    """Return a variant of a row with what follows from its settings: the rows held out, and a model's block size."""
    settings, hyperparameters = dict(variant.settings), dict(variant.hyperparameters)
    if "hold_out" not in common:
        settings.setdefault("hold_out", settings.get("tested_epoch", common["tested_epoch"]) == "best")
    if row.blocks and isinstance(settings.get("model"), str) and "block_size" not in hyperparameters:
        hyperparameters["block_size"] = _block_size(_hidden_size(settings["model"]), row)
    return replace(variant, settings=settings, hyperparameters=hyperparameters)


def _block_size(hidden: int, row: Row) -> int:
    from ..ops.block_size import block_size_of  # loads torch, which `circpeft --help` must not

    return block_size_of(hidden, row.blocks)


def _hidden_size(model: str) -> int:
    from transformers import AutoConfig

    from ..models import hub_errors, readable, resolve

    with hub_errors(model), readable(model, "config"):
        return AutoConfig.from_pretrained(resolve(model)).hidden_size
