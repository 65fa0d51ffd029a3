"""The dashboard of notebook 12: choose a table, tasks, methods and an axis; the figure and the table follow."""

from __future__ import annotations

from html import escape
from pathlib import Path

import plotly.graph_objects as go

from .. import report
from ..report import Found

RUNS = "all runs"
BRIEF = ["task", "label", "model", "profile", "seed", "test_score", "trainable_parameters", "seconds"]
FORMATS = {"test_score": "{:.3f}", "trainable_parameters": "{:,}", "seconds": "{:.0f}"}
STYLE = [
    {"selector": "td, th", "props": "padding: .2rem .6rem; text-align: left; white-space: nowrap; vertical-align: top"}
]


def tiny_runs(folder: str | Path) -> None:
    """A small real sweep of the profile smoke into a folder, for a reader who has no runs yet."""
    from .. import recipes, sweeps

    few = {"max_train": 16, "max_eval": 16}
    plan = recipes.plan_table("cdvft-1", "smoke", 2, rows=["LoRA", "CDVFT p=768"], output_dir=folder, **few)
    sweeps.run_sweep(plan)


class Dashboard:
    """Controls over what was found, and below them the figure and the table that they choose.

    A table is shown with its print beside ours; "all runs" lists them one by one. Figures are those of
    `report.scatter`, one task and model at a time. "read again" looks into the folder anew, for sweeps that still run.

    Args: ``found``: from `report.scan`; ``table``: shown first, "" for all runs.

    Raises: ValueError for a table that is neither printed nor found, with the nearest.
    """

    def __init__(self, found: Found, table: str = "") -> None:
        import ipywidgets as widgets

        if table:
            found.sweeps_of(table)
        self.found, self._quiet = found, False
        dropdown, several = widgets.Dropdown, widgets.SelectMultiple
        self.controls = {
            "table": dropdown(description="table", options=[RUNS, *([table] if table else [])], value=table or RUNS),
            "x": dropdown(description="x axis", options=list(report.AXES), value="parameters"),
            "panel": dropdown(description="figure", options=[]),
            "again": widgets.Button(description="read again", icon="refresh"),
            "task": several(description="task", options=[], rows=7),
            "method": several(description="method", options=[], rows=7),
        }
        self.figure, self.rows, self.told = go.FigureWidget(), widgets.HTML(), widgets.HTML()
        left = widgets.VBox([self.controls[name] for name in ("table", "x", "panel", "again")])
        left.layout.min_width = "320px"  # or the dropdowns lose their right ends
        head = widgets.HBox([left, self.controls["task"], self.controls["method"]])
        self.box = widgets.VBox([head, self.told, self.figure, self.rows])
        for name in ("table", "task", "method", "x", "panel"):
            self.controls[name].observe(self._changed, names="value")
        self.controls["again"].on_click(lambda _: self.read_again())
        self._offer()
        self.redraw()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.box)

    def _changed(self, change: dict) -> None:
        if not self._quiet:
            self.redraw()

    def _set(self, name: str, options: list) -> None:
        """New options of a control, its value kept where it is still one of them, else the first."""
        control, self._quiet = self.controls[name], True
        kept = control.value
        control.options = options
        if isinstance(kept, tuple):
            control.value = [value for value in kept if value in options]
        else:
            control.value = kept if kept in options else next(iter(options), None)
        self._quiet = False

    def _offer(self) -> None:
        known = report.choices(self.found)
        self._set("task", known["task"])
        self._set("method", known["method"])
        self._set("table", list(dict.fromkeys([RUNS, *known["table"], self.controls["table"].value])))

    def read_again(self) -> None:
        """Look into the folder anew."""
        self.found = report.scan(self.found.folder)
        self._offer()
        self.redraw()

    def chosen(self) -> Found:
        """What the controls leave of what was found."""
        part = report.filtered(self.found, **{name: self.controls[name].value or None for name in ("task", "method")})
        name = self.controls["table"].value
        return part if name == RUNS else report.filtered(part, table=name)

    def redraw(self) -> None:
        """Show what the controls choose."""
        part, name = self.chosen(), self.controls["table"].value
        figures = {figure.layout.title.text: figure for figure in report.scatter(part, self.controls["x"].value)}
        self._set("panel", list(figures))
        new = figures.get(self.controls["panel"].value, go.Figure())
        with self.figure.batch_update():
            self.figure.data = ()
            self.figure.add_traces(new.data)
            self.figure.layout = new.layout
        self.rows.value = f"<div style='overflow: auto; max-height: 30rem'>{_table(part, name)}</div>"
        self.told.value = (
            f"{len(part.runs)} of {len(self.found.runs)} runs, {len(part.failures)} failed, "
            f"{len(self.found.problems)} unusable files under {escape(str(self.found.folder))}"
        )


def _table(found: Found, name: str) -> str:
    if name == RUNS:
        styled = report.runs_table(found)[BRIEF].style.hide(axis="index").format(FORMATS, escape="html")
    else:
        styled = report.wide(report.compared(found, name)).style.format(escape="html").format_index(escape="html")
    return styled.set_table_styles(STYLE).to_html()
