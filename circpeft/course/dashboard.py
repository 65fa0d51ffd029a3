"""The dashboard of notebook 12: a figure and a table of runs, with widgets that choose what they show."""

from __future__ import annotations

from dataclasses import replace

import plotly.graph_objects as go

from .. import escaping, report
from ..report import Found
from ..report.formatting import compact
from ..report.records import PRINTED
from ..run_files.json_files import printable
from . import repository_runs

RUNS = "all runs"
MOST_PROBLEMS = 10  # unusable files that are listed
MOST_ROWS = 1000  # runs that are listed one by one; more would make a browser slow
COLUMNS = ["task", "label", "model", "profile", "seed", "test_score", "trainable_parameters", "seconds"]
SOURCED = ["source", *COLUMNS]
FORMATS = {"test_score": "{:.3f}", "trainable_parameters": "{:,}", "seconds": "{:.0f}"}
STYLE = [
    {"selector": "td, th", "props": "padding: .2rem .5rem; text-align: left; vertical-align: top"},
    {"selector": "td", "props": "white-space: nowrap"},
]
WRAPPED = "white-space: normal; overflow-wrap: anywhere; min-width: 9rem"  # labels, so that the other columns fit
# The table takes the width of its page, however narrow, and scrolls within it; the keyboard can scroll it, too.
FRAME = (
    '<div role="region" aria-label="table" tabindex="0" '
    'style="overflow: auto; max-height: 30rem; width: 0; min-width: 100%; line-height: 1.4">{}</div>'
)


class Dashboard:
    """Widgets that filter the runs in a folder, and below them the chosen figure and table.

    A table shows the printed numbers beside ours. "all runs" lists the runs one by one, at most the first 1,000. The
    figures are those of `report.scatter`, for one task and model at a time. "read again" reads the folder again, for
    sweeps that are still running. Your own runs are stars, beside the repository's, and their figures come first.

    Args:
        found: the records, from `report.scan`.
        table: the table to show first, or "" for all runs.
        repository: the repository's runs, from `repository_runs.read`; None shows only those of ``found``.

    Raises: ValueError for a table that is neither printed nor among the sweeps, with the nearest one.
    """

    def __init__(self, found: Found, table: str = "", repository: Found | None = None) -> None:
        import ipywidgets as widgets

        from .controls import Controls
        from .live_figure import LiveFigure

        if table:
            found.sweeps_of(table)
        self.repository, self._updating = repository, False
        self.found = self._beside_repository(found)
        dropdown = widgets.Dropdown

        def multiple(name: str):
            tooltip = "Ctrl or Shift selects several; no selection means all"
            return widgets.SelectMultiple(description=name, options=[], rows=7, tooltip=tooltip)

        self.controls = {
            "table": dropdown(description="table", options=[RUNS, *([table] if table else [])], value=table or RUNS),
            "x": dropdown(description="x axis", options=list(report.AXES), value="parameters"),
            "panel": dropdown(description="figure", options=[]),
            "reload": widgets.Button(description="read again", icon="refresh", tooltip="read the folder again"),
            "task": multiple("task"),
            "method": multiple("method"),
        }
        self.figure, self.rows, self.counts = LiveFigure(), widgets.HTML(), widgets.HTML()
        left = widgets.VBox([self.controls[name] for name in ("table", "x", "panel", "reload")])
        left.layout.min_width = "320px"  # narrower, the right ends of the dropdowns are cut off
        top = widgets.HBox([left, self.controls["task"], self.controls["method"]])
        self.box = Controls([top, self.counts, self.figure, self.rows])
        for name in ("table", "task", "method", "x", "panel"):
            self.controls[name].observe(self._changed, names="value")
        self.controls["reload"].on_click(lambda _: self.reload())
        self._update_options()
        self.redraw()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.box)

    def _beside_repository(self, found: Found) -> Found:
        return found if self.repository is None else repository_runs.beside(found, self.repository)

    def _changed(self, change: dict) -> None:
        if not self._updating:
            self.redraw()

    def _set_options(self, name: str, options: list) -> None:
        """Give a control new options; its value becomes the first of them if it is not an option any more."""
        control, self._updating = self.controls[name], True
        previous = control.value
        control.options = options
        if isinstance(previous, tuple):
            control.value = [value for value in previous if value in options]
        else:
            control.value = previous if previous in options else next(iter(options), None)
        self._updating = False

    def _update_options(self) -> None:
        known = report.choices(self.found)
        self._set_options("task", known["task"])
        self._set_options("method", known["method"])
        chosen = self.controls["table"].value
        kept = [chosen] if chosen in PRINTED else []  # a printed table needs no sweep; your own may be gone
        self._set_options("table", list(dict.fromkeys([RUNS, *known["table"], *kept])))

    def reload(self) -> None:
        """Read the folder again and redraw. A folder that does not exist (yet) has no runs."""
        folder = self.found.folder
        self.found = self._beside_repository(report.scan(folder) if folder.is_dir() else report.empty(folder))
        self._update_options()
        self.redraw()

    def chosen(self) -> Found:
        """Return the records that the controls select."""
        selected = report.filtered(
            self.found, **{name: self.controls[name].value or None for name in ("task", "method")}
        )
        name = self.controls["table"].value
        return selected if name == RUNS else report.filtered(selected, table=name)

    def redraw(self) -> None:
        """Draw the figure and the table for the current values of the controls."""
        selected, name = self.chosen(), self.controls["table"].value
        drawings = report.drawings(selected, self.controls["x"].value)
        figures = {escaping.one_line(title).strip(): draw for title, draw in drawings}
        yours = {_panel(run) for run in selected.runs if run.mark}
        self._set_options("panel", sorted(figures, key=lambda title: title.partition(":")[0] not in yours))
        new = figures.get(self.controls["panel"].value, go.Figure)()
        # What the reader zoomed in another figure does not count.
        new.layout.uirevision = escaping.plotly(self.controls["panel"].value)
        self.figure.draw(new, _described(new))
        self.rows.value = FRAME.format(self._table(selected, name))
        counts = f"{len(selected.runs)} of {len(self.found.runs)} runs"
        if self.repository is not None:
            counts += f" ({sum(bool(run.mark) for run in selected.runs)} yours, the others from the repository)"
        if name == RUNS and len(selected.runs) > MOST_ROWS:
            counts += f", of which the first {MOST_ROWS} are listed"
        problems = report.problems_table(self.found)
        lines = [escaping.html(f"{row.file}: {row.reason}; {row.remedy}") for row in problems.itertuples()]
        listed = "".join(f"<li>{line}</li>" for line in lines[:MOST_PROBLEMS])
        if len(lines) > MOST_PROBLEMS:
            listed += f"<li>and {len(lines) - MOST_PROBLEMS} more: circpeft report lists them</li>"
        self.counts.value = (
            f"{counts}, {len(selected.failures)} failed, "
            f"{len(self.found.problems)} unusable files in {escaping.html(printable(self.found.folder))}"
            + (f"<ul>{listed}</ul>" if listed else "")
        )

    def _table(self, found: Found, name: str) -> str:
        style = STYLE
        if name == RUNS:
            only_found, found = self.repository is None, replace(found, runs=found.runs[:MOST_ROWS])
            runs = report.runs_table(found)[COLUMNS] if only_found else repository_runs.runs_table(found)[SOURCED]
            styled = escaping.html_table(runs).hide(axis="index").format(FORMATS)
            styled.format_index(lambda column: column.replace("_", " "), axis="columns")  # headings that wrap
            style = [*STYLE, {"selector": f"td.col{list(runs.columns).index('label')}", "props": WRAPPED}]
        else:
            styled = escaping.html_table(report.wide(report.compared(found, name)))
        return styled.set_table_styles(style).to_html()


def _described(figure: go.Figure) -> str:
    """Return the alternative text of a figure of `report.scatter`: its axes, and the place of each point."""
    text, layout = escaping.plain, figure.layout
    if not figure.data:
        return "Figure without runs"
    points = [
        f"{text(trace.name)}: {trace.y[0]:.3f}" + (f" at {compact(trace.x[0])}" if trace.mode == "markers" else "")
        for trace in figure.data
    ]
    axes = f"{text(layout.yaxis.title.text)} against {text(layout.xaxis.title.text)}"
    return f"{text(layout.title.text)}, {axes}. {'; '.join(points)}."


def _panel(run: report.Run) -> str:
    """Return the title of the figure that shows a run."""
    return f"{run.result.task}, {run.result.settings['model']}"
