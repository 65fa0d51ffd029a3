"""The audit of the papers' figures as a table that fits a notebook, and with filters, for notebook 05."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..escaping import html_table, print_text
from ..suggest import nearest

COLUMNS = ("paper", "table", "row", "column", "printed", "stated", "computed", "verdict", "note")
SHOWN = 60  # rows of the filtered table
MENUS = ("paper", "table", "verdict")
# In percent. Texts wrap, so the table is as wide as its page and not as wide as its longest note.
WIDTHS = {"paper": 6, "table": 6, "row": 14, "column": 12, "printed": 8, "stated": 10, "computed": 10, "verdict": 12}
STYLES = [
    {"selector": "", "props": "width: 100%; table-layout: fixed"},
    {"selector": "td, th", "props": "white-space: normal; overflow-wrap: break-word; vertical-align: top"},
]


def _figure(value: Any) -> str:
    return "" if pd.isna(value) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def audit_table(rows: pd.DataFrame) -> Any:
    """Return rows of `papers.audit` as a styled table that is as wide as its page; long texts are wrapped.

    >>> row = dict.fromkeys(COLUMNS, "x") | {"stated": 1234.5, "computed": float("nan")}
    >>> "1,234" in audit_table(pd.DataFrame([row])).to_html()
    True
    """
    texts = [name for name in COLUMNS if name not in ("stated", "computed", "printed")]
    styled = html_table(rows[list(COLUMNS)]).hide().format({"stated": _figure, "computed": _figure})
    widths = [
        {"selector": f"th.col_heading.level0.col{i}", "props": f"width: {WIDTHS[name]}%"}
        for i, name in enumerate(COLUMNS)
        if name in WIDTHS
    ]
    return styled.set_properties(subset=texts, **{"text-align": "left"}).set_table_styles(STYLES + widths)


def filtered(audit: pd.DataFrame, text: str = "", **chosen: str) -> pd.DataFrame:
    """Return the rows with the chosen values of columns ("all": any) and the text in row, column, formula or note.

    >>> rows = pd.DataFrame({"paper": ["c3a", "cdvft"], "row": ["LoRA", "VeRA"]})
    >>> rows = rows.assign(column="", formula="", note="")
    >>> len(filtered(rows, paper="c3a")), len(filtered(rows, "ra", paper="all")), len(filtered(rows, "vera"))
    (1, 2, 1)
    """
    for name, value in chosen.items():
        if value != "all":
            audit = audit[audit[name] == value]
    words = audit[["row", "column", "formula", "note"]].agg(" ".join, axis=1).str.lower()
    return audit[words.str.contains(text.lower(), regex=False)]


def audit_explorer(audit: pd.DataFrame, **chosen: str) -> Any:
    """Return the audit with menus for paper, table and verdict and a search field, as an ipywidgets box.

    Args:
        chosen: the values that are selected at the start, such as ``paper="cdvft"``.

    Raises: ValueError for another menu, or a value that its menu does not have; the message names the nearest.
    """
    options = {name: ["all", *sorted(audit[name].unique())] for name in MENUS}
    for name, value in chosen.items():
        if name not in options:
            raise ValueError(f"no menu {name!r}; {nearest(name, MENUS)}")
        if value not in options[name]:
            raise ValueError(f"no {name} {value!r} in the audit; {nearest(value, options[name])}")
    import ipywidgets as widgets
    from IPython.display import display

    from .controls import Controls

    menus = {
        name: widgets.Dropdown(
            description=name,
            options=options[name],
            value=chosen.get(name, "all"),
            layout={"width": "230px"},
        )
        for name in MENUS
    }
    search = widgets.Text(description="contains", placeholder="a method, a model, or a word in the note")
    output = widgets.Output()

    def refresh(_=None) -> None:
        rows = filtered(audit, search.value, **{name: menu.value for name, menu in menus.items()})
        with output:
            output.clear_output(wait=True)
            display(audit_table(rows.head(SHOWN)))
            print_text(f"{len(rows)} rows" + (f"; the first {SHOWN} are shown" if len(rows) > SHOWN else ""))

    for control in (*menus.values(), search):
        control.observe(refresh, names="value")
    refresh()
    row = widgets.HBox(list(menus.values()), layout={"flex_flow": "row wrap"})
    box = Controls([row, search, output])
    box.controls, box.refresh = {**menus, "search": search}, refresh
    return box
