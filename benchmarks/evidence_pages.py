"""Tables and pictures of the training parts of benchmarks/evidence.py."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import evidence_claims as claims
import plotly.graph_objects as go
from evidence_stats import by_seed, difference_text, estimate, number_text, paired
from page_parts import device_text

from circpeft import plots

TASKS = claims.TASKS


def page_text(record: dict) -> str:
    """Return the table of a part's record, then the unit of its numbers and the source of the record."""
    rows = record["rows"]
    return "\n".join([*TABLES[record["part"]](rows), "", f"{NOTES[record['part']]} {source_text(record)}", ""])


def source_text(record: dict) -> str:
    """Return the numbers of runs and rows, the devices and the versions of a record."""
    rows = record["rows"]
    done = f"{len(rows)} runs" if len(rows) == record["planned"] else f"{len(rows)} of {record['planned']} runs so far"
    tests = dict.fromkeys((row["task"], row["split_rows"]["test"]) for row in rows)
    sizes = ", ".join(f"{count} ({TASKS[task]})" for task, count in tests)
    torch = ", ".join(sorted({entry["torch"] for entry in record["versions"]}))
    devices = " and ".join(device_text(device) for device in record["devices"])
    return f"{done}. Test rows: {sizes}. {devices}; torch {torch}."


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table.

    >>> table(["a", "b"], [["1", "2"]])
    ['| a | b |', '|---|---|', '| 1 | 2 |']
    """
    return [f"| {' | '.join(cells)} |" for cells in (heads,)] + [
        "|---" * len(heads) + "|",
        *(f"| {' | '.join(cells)} |" for cells in lines),
    ]


def score(rows: list[dict], **where: object) -> str:
    """Return mean and standard error of the test scores of a cell."""
    return number_text(estimate(by_seed(rows, **where).values()))


def block_size(rows: list[dict]) -> list[str]:
    """Return a table for each task: a line per block size, with each method's score, its change, and parameters."""
    lines = []
    for task in dict.fromkeys(row["task"] for row in rows):
        methods = list(dict.fromkeys(row["method"] for row in rows if row["task"] == task))
        heads = ["task", "b or p"]
        for method in methods:
            heads += [claims.NAMES[method], "change", "parameters"]
        changes = {m: claims.steps_of(rows, "block_size", task=task, method=m) for m in methods}
        body = []
        for size in claims.values_of(rows, "block_size", task=task):
            line = [TASKS[task], str(size)]
            for method in methods:
                where = {"task": task, "method": method, "block_size": size}
                change = difference_text(changes[method].get(size))
                line += [score(rows, **where), change, parameters(rows, **where)]
            body.append(line)
        lines += ([""] if lines else []) + table(heads, body)
    return lines


def parameters(rows: list[dict], **where: object) -> str:
    """Return the number of trainable parameters of a cell, without the head's; "" if it has not run."""
    counts = set(by_seed(rows, "trainable_parameters", **where).values())
    return " or ".join(f"{count:,}" for count in sorted(counts))


def num_factors(rows: list[dict]) -> list[str]:
    """Return a table with a line for each task and number of factors."""
    body = []
    for task, m in dict.fromkeys((row["task"], row["m"]) for row in rows):
        where = {"task": task, "m": m}
        body.append([TASKS[task], str(m), str(2 * m - 1), score(rows, **where), parameters(rows, **where)])
    return table(["task", "m", "factors", "test score", "parameters"], body)


def scarce_data(rows: list[dict]) -> list[str]:
    """Return a table with a line for each method and a column for each number of training rows."""
    sizes = claims.values_of(rows, "training_rows")
    methods = list(dict.fromkeys(row["method"] for row in rows))
    body = [[claims.NAMES[m], *(score(rows, method=m, training_rows=size) for size in sizes)] for m in methods]
    return table(["method", *(f"{size:,} rows" for size in sizes)], body)


def wrong_gradient(rows: list[dict]) -> list[str]:
    """Return a table with a line for each setting: both scores, and the price with its standard error."""
    body = []
    keys = ("task", "depth", "block_size", "factor")
    for values in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
        where = dict(zip(keys, values, strict=True))
        right, wrong = (by_seed(rows, **where, method=method) for method in claims.WRONG)
        found = [number_text(estimate(right.values())), number_text(estimate(wrong.values()))]
        rates = sorted({row["learning_rate"] for row in rows if all(row[k] == v for k, v in where.items())})
        rate = ", ".join(f"{rate:g}" for rate in rates)
        settings = [TASKS[where["task"]], str(where["depth"]), str(where["block_size"]), rate]
        body.append([*settings, *found, difference_text(paired(right, wrong))])
    return table(["task", "layers", "b", "rate", "right gradient", "PEFT's gradient", "difference"], body)


def curves(rows: list[dict], x: str, series: tuple[str, ...], **labels: str) -> go.Figure:
    """Draw mean test scores over the values of ``x``, a line for each combination of ``series``, with standard errors.

    Args:
        rows: rows of a record.
        x: name of the value on the horizontal axis.
        series: names of the values that make a line.
        labels: title and axis titles, as `plots.lines` takes them.
    """
    found = {}
    for key in dict.fromkeys(tuple(row[name] for name in series) for row in rows):
        where = dict(zip(series, key, strict=True))
        places = claims.values_of(rows, x, **where)
        means = [estimate(by_seed(rows, **where, **{x: place}).values()) for place in places]
        name = ", ".join(TASKS.get(part) or claims.NAMES.get(part) or str(part) for part in key)
        found[name] = (places, [value.mean for value in means], [value.error or 0.0 for value in means])
    drawn = plots.lines(found, y_title="test score", **labels)
    ticks = sorted({place for places, *_ in found.values() for place in places})
    close = {b for a, b in pairwise(ticks) if b < 1.2 * a}  # their labels would touch on a logarithmic axis
    drawn.update_xaxes(tickvals=ticks, ticktext=["" if tick in close else f"{tick:,}" for tick in ticks])
    return drawn


def price_bars(rows: list[dict]) -> go.Figure:
    """Draw the price of the wrong gradient in each setting, with its standard error."""
    heights, errors = {}, {}
    for task, depth, size, factor in dict.fromkeys((r["task"], r["depth"], r["block_size"], r["factor"]) for r in rows):
        value = estimate(claims.price(rows, task=task, depth=depth, block_size=size, factor=factor).values())
        if value:
            name = f"{depth} layer{'s' if depth > 1 else ''}, b = {size}" + (
                "" if factor == 1.0 else f", rate x {factor:g}"
            )
            heights.setdefault(TASKS[task], {})[name] = value.mean
            errors.setdefault(TASKS[task], {})[name] = value.error or 0.0
    title = "C3A: test score with the right input gradient, minus that with PEFT's"
    return plots.bars(heights, errors, title=title, y_title="difference of test scores")


def figure(record: dict) -> go.Figure:
    """Draw a part's record."""
    rows = record["rows"]
    if record["part"] == "wrong_gradient":
        return price_bars(rows)
    if record["part"] == "num_factors":
        return curves(rows, "m", ("task",), title="CDVFT: test score and number of factors 2m - 1", x_title="m")
    if record["part"] == "scarce_data":
        titles = {"title": "Digits: test score and training rows", "x_title": "training rows"}
        return curves(rows, "training_rows", ("method",), **titles, log_x=True)
    titles = {"title": "Test score and block size", "x_title": "block size b or p"}
    return curves(rows, "block_size", ("task", "method"), **titles, log_x=True)


TABLES = {
    "block_size": block_size,
    "num_factors": num_factors,
    "scarce_data": scarce_data,
    "wrong_gradient": wrong_gradient,
}
NOTES = {
    "block_size": "Mean test score of the epoch with the best validation score; in brackets, its standard error over "
    "the seeds. The change is the difference from the line above, seed by seed.",
    "num_factors": "CDVFT on the square layers only, because a single diagonal fits no others. Mean test score of the "
    "epoch with the best validation score; in brackets, its standard error over the seeds.",
    "scarce_data": "Digits, small-vit. Mean test score after the last epoch; in brackets, its standard error over the "
    "seeds. All seeds have the same training rows.",
    "wrong_gradient": "Layers: the adapted layers of the transformer, counted from the last; each has six linear "
    "layers. Mean test score; in brackets, the standard error over the seeds. The difference is taken seed by seed.",
}
