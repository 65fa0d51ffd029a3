"""From a printed table, or a file of one's own, to the recipes of its cells under a profile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..results import default_folder
from ..suggest import nearest
from .parsing import profile as profile_settings
from .parsing import targets as parsed_targets
from .recipe import CellRecipe, Recipe
from .tables import MODELS, STAND_INS, TABLES, Row, Table

# Fields of a recipe that a plan sets by itself.
OWN = {"task", "method", "hyperparameters", "seed", "output_dir"}
SETTINGS = sorted(f.name for f in fields(Recipe) if f.name not in OWN)


@dataclass(frozen=True)
class Plan:
    """The runs of a sweep.

    Args:
        name: of the sweep: the table's name, or that of one's own file.
        table: the printed table that it stands for, or "".
        profile: where the settings come from.
        seeds: how many.
        statistic: how the seeds of a cell are summed up: "mean" or "median".
        printed_model: whether the models are the paper's.
        cells: the recipes, seed by seed. Two cells may be the same run, and it then runs once.
        left_out: row, column and reason of the cells that nobody can run so.
        listed: all cells of the table under these settings, also those that are not to be run now.
    """

    name: str
    table: str
    profile: str
    seeds: int
    statistic: str
    printed_model: bool
    cells: tuple[CellRecipe, ...]
    left_out: tuple[dict[str, str], ...] = field(default=())
    listed: tuple[CellRecipe, ...] = field(default=())

    @property
    def printed_columns(self) -> set[str]:
        """The columns that the paper prints; a stand-in's is none of them."""
        return set(TABLES[self.table].columns) if self.table else set()


def table(name: str, profile: str = "paper", seeds: int = 1, **options: Any) -> list[CellRecipe]:
    """The recipes of one printed table, each with its ``row`` and ``column``.

    Args: see `plan_table`.

    Raises: whatever `plan_table` raises.

    >>> cells = table("cdvft-1")
    >>> len(cells), cells[-1].label, cells[-1].model
    (30, 'cdvft:block_size=768', 'FacebookAI/roberta-base')
    >>> [(cell.row, cell.column, cell.label) for cell in table("cdvft-1", "cpu")][-1]
    ('CDVFT p=768', 'entailment', 'cdvft:block_size=384')
    """
    return list(plan_table(name, profile, seeds, **options).cells)


def plan_table(
    name: str,
    profile: str = "paper",
    seeds: int | Sequence[int] = 1,
    *,
    data: str | Path = "",
    rows: Iterable[str] = (),
    columns: Iterable[str] = (),
    output_dir: str | Path = "",
    **settings: Any,
) -> Plan:
    """The plan of one printed table under a profile.

    In the profile ``paper`` the tasks and models are the paper's own. In the others a small model stands for the
    table's first one (rows of its larger models are left out), its block sizes keep the number of blocks, and an
    embedded task stands for all columns.

    Args:
        name: "c3a-2" to "c3a-4" or "cdvft-1" to "cdvft-3".
        profile: "smoke", "cpu" or "paper".
        seeds: runs a cell, with seeds 0, 1, ...; or the seeds themselves.
        data: a folder with a folder of data for each task (``data/rte``, ...): the columns are then those that it has.
        rows, columns: some of the printed ones; () takes all.
        output_dir: where records go; "" is ``runs/<name>-<profile>`` beside the package.
        settings: other fields of `Recipe` for every run, such as ``model`` or ``epochs``.

    Raises: ValueError for a name, profile, row, column or setting that does not exist, with the nearest one, or a
    folder without data of any column.
    """
    if name not in TABLES:
        raise ValueError(f"unknown table {name!r}; {nearest(name, TABLES)}")
    printed = TABLES[name]
    if "data_dir" in settings:
        raise ValueError("data_dir is that of one task; of a table give data, a folder with a folder for each task")
    common = settings_of(profile, printed.kind, settings)
    seeds = seeds_of(seeds)
    chosen = _chosen("row", list(rows), list(dict.fromkeys(row.name for row in printed.rows)))
    tasks, asked, left_out = _tasks(printed, profile, data, list(columns))
    own_model = profile == "paper" and "model" not in settings
    first = printed.rows[0].model
    left_out += [{"row": row, "column": "", "reason": reason} for row, reason in printed.left_out.items()]
    folder = str(Path(output_dir or default_folder(f"{name}-{profile}")).resolve())
    cells = []
    for seed in seeds:
        for row in printed.rows:
            if not own_model and row.model != first:
                reason = f"{common['model']} stands for {first} alone"
                left_out += [{"row": row.name, "column": "", "reason": reason}] if seed == seeds[0] else []
                continue
            for column, (task, data_dir, stands_for) in tasks.items():
                if row.columns and not set(row.columns) & set(stands_for):
                    continue
                cells.append(
                    CellRecipe(
                        task,
                        row.method,
                        **{**common, **_of_row(row, profile, own_model, common, settings), "data_dir": data_dir},
                        seed=seed,
                        output_dir=folder,
                        table=name,
                        row=row.name,
                        column=column,
                    )
                )
    wanted = tuple(cell for cell in cells if cell.row in chosen and cell.column in asked)
    if not wanted:
        why = "; ".join(f"{e['row'] or e['column']}: {e['reason']}" for e in left_out)
        raise ValueError(
            f"nothing to run of {name}" + (f": {why}" if why else ": this row has no score in this column")
        )
    about = (name, name, profile, len(seeds), printed.statistic, own_model)
    return Plan(*about, wanted, tuple(left_out), tuple(cells))


def settings_of(profile: str, kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    """A profile's settings with those given in their place.

    Raises: ValueError for a setting that no recipe has, with the nearest.
    """
    for setting in settings:
        if setting not in SETTINGS:
            raise ValueError(f"unknown setting {setting!r}; {nearest(setting, SETTINGS)}")
    made = {**profile_settings(profile, kind), **settings}
    if isinstance(made.get("target_modules"), str):
        made["target_modules"] = parsed_targets(made["target_modules"])
    return made


def seeds_of(seeds: Any) -> list[int]:
    """The seeds: so many from 0 on, or those that are named.

    Raises: ValueError for none, or something else.
    """
    if isinstance(seeds, Sequence) and not isinstance(seeds, str) and seeds:
        return list(seeds)
    if type(seeds) is not int or seeds < 1:
        raise ValueError(f"seeds must be an integer of at least 1, got {seeds!r}")
    return list(range(seeds))


def _chosen(what: str, asked: list[str], known: list[str]) -> list[str]:
    for name in asked:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}; {nearest(name, known)}")
    return asked or known


def _tasks(printed: Table, profile: str, data: str | Path, asked: list[str]) -> tuple[dict, list[str], list[dict]]:
    """Column -> (task, data folder, printed columns that it stands for); the columns that are asked for; those that
    are left out."""
    columns, left_out = printed.columns, []
    if not data and profile != "paper":
        task = STAND_INS[printed.kind]
        if any(row.columns for row in printed.rows):  # the rows differ from column to column
            found = {f"{task} for {column}": (task, "", (column,)) for column in columns}
        else:
            found = {task: (task, "", tuple(columns))}
        return found, _chosen("column", asked, list(found)), []
    chosen = _chosen("column", asked, list(columns))
    if not data:
        return {column: (task, "", (column,)) for column, task in columns.items()}, chosen, []
    folders = {column: Path(data) / task for column, task in columns.items()}
    found = {c: (columns[c], str(folder.resolve()), (c,)) for c, folder in folders.items() if folder.is_dir()}
    if not set(found) & set(chosen):
        raise ValueError(
            f"data folder {str(data)!r} has no folder for any column; expected one of: "
            f"{', '.join(columns[column] for column in chosen)}"
        )
    for column in columns:
        if column not in found:
            reason = f"the data folder has no {columns[column]}"
            left_out.append({"row": "", "column": column, "reason": reason})
    return found, chosen, left_out


def _of_row(row: Row, profile: str, own_model: bool, common: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What a row says of its own: model, hyperparameters, layers."""
    hub, hidden = MODELS[row.model]
    made: dict[str, Any] = {"hyperparameters": dict(row.options)}
    if profile == "paper" and row.targets and "target_modules" not in given:
        made["target_modules"] = row.targets
    if own_model:
        made["model"] = hub
    else:
        hidden = _hidden_size(common["model"])
    if row.blocks:
        from ..ops.block_size import block_size_of  # loads torch, which `circpeft --help` must not

        made["hyperparameters"]["block_size"] = block_size_of(hidden, row.blocks)
    return made


def _hidden_size(model: str) -> int:
    from transformers import AutoConfig

    from ..models import hub_errors, resolve

    with hub_errors(model):
        return AutoConfig.from_pretrained(resolve(model)).hidden_size
