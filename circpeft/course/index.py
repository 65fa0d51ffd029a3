"""The index page of a course run: notebooks, failures, results and environment in one HTML file without scripts."""

import base64
import json
import statistics
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from circpeft import escaping, results
from circpeft.files import write_atomically
from circpeft.run_files.json_files import FileError, printable

TEXT_COLUMNS = {"task": "Task", "name": "Method", "layers": "Adapted layers", "metric": "Metric"}
NUMBER_COLUMNS = {
    "score": "Validation",
    "test_score": "Test",
    "trainable_parameters": "Trainable parameters",
    "seconds": "Seconds",
    "peak_bytes": "Peak memory",
}

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: white; --quiet: #59636e; --rule: #d1d9e0; --shade: #f6f8fa;
  --bad: #a40e26; --good: #116329; --open: #7d4e00; --link: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --quiet: #9198a1; --rule: #3d444d;
  --shade: #161b22; --bad: #ff7b72; --good: #56d364; --open: #e3b341; --link: #79b8ff; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem; color: var(--ink);
  background: var(--paper); }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } .wide { overflow-x: auto; } a { color: var(--link); }
th, td { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
.ok { color: var(--good); } .failed { color: var(--bad); font-weight: 600; }
.pending, .running, .interrupted { color: var(--open); } .quiet { color: var(--quiet); }
pre { background: var(--shade); padding: .7rem; overflow-x: auto; }
img { max-width: 100%; background: white; border-radius: 6px; }
"""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">{{ policy }}
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>circpeft: course run, profile {{ run.profile }}</title>
<style>{{ style }}</style></head><body><main>
<h1>circpeft: course run</h1>
<p class="quiet">Profile <b>{{ run.profile }}</b>. Status: {{ run.status }}. Started {{ run.started | utc }}
{%- if run.finished %}, ended {{ run.finished | utc }}{% endif %}.
{%- for name, value in run.parameters.items() if name != "profile" %}
{%- if loop.first %} Parameters: {% else %}; {% endif %}{{ name }} = {{ value }}{% if loop.last %}.{% endif %}
{%- endfor %}</p>
<h2>Notebooks</h2>
<div class="wide"><table><thead>
<tr><th>Notebook</th><th>Status</th><th class="n">Seconds</th><th>File</th></tr></thead>
{%- for entry in run.notebooks %}
<tr><td>{% if entry.name in pages %}<a href="html/{{ entry.name | urlencode }}.html">{{ entry.name }}</a>
{%- else %}{{ entry.name }}{% endif %}</td>
<td class="{{ entry.status }}">{{ entry.status }}</td>
<td class="n">{{ "%.1f" | format(entry.seconds) if entry.seconds is defined else "" }}</td>
<td>{% if entry.name in pages %}<a href="{{ entry.name | urlencode }}.ipynb">executed notebook</a>{% endif %}</td></tr>
{%- endfor %}</table></div>
{% for entry in run.notebooks if entry.error %}
{%- if loop.first %}<h2>Failures</h2>{% endif %}
<p><b>{{ entry.name }}</b>
{%- if entry.error.cell %}, cell {{ entry.error.cell }}
{%- if entry.error.execution %} (In [{{ entry.error.execution }}]){% endif %}{% endif %}:
<span class="failed">{{ entry.error.ename }}: {{ entry.error.evalue }}</span></p>
{%- if entry.error.source %}<pre>{{ entry.error.source }}</pre>{% endif %}
{% endfor %}
{%- if rows %}<h2>Results</h2>
{%- if picture %}<p><img alt="Bar chart of the validation scores by task and method; the table below has the numbers"
src="data:image/png;base64,{{ picture }}"></p>{% endif %}
<div class="wide"><table><thead><tr>{% for name, title in columns.items() -%}
<th{% if name not in text_columns %} class="n"{% endif %}>{{ title }}</th>{% endfor %}</tr></thead>
{%- for row in rows %}
<tr>{% for name in columns %}<td{% if name not in text_columns %} class="n"{% endif %}>{{ row[name] }}</td>
{%- endfor %}</tr>
{%- endfor %}</table></div>
<p class="quiet">Scores are means over the seeds, with [lowest, highest]. The whiskers have the same ends.</p>
{%- endif %}
{% for problem in problems %}
{%- if loop.first %}<h2>Unusable files and fields in results/</h2>{% endif %}<p>{{ problem }}</p>{% endfor %}
<h2>Environment</h2>
{%- for environment in environments %}<p class="quiet">{{ environment }}</p>{% endfor %}
</main></body></html>
"""


def write(folder: Path, record: dict) -> Path:
    """Write `folder/index.html` from the record of a course run and those in `folder/results`, and return its path."""
    records, problems = read_results(folder / "results")
    rows = summarise(records)
    started = [entry for entry in record["notebooks"] if "versions" in entry]
    environments = [
        f"{entry['device']}; commit {entry['commit']}; {', '.join(map(' '.join, entry['versions'].items()))}"
        for entry in started
    ]
    jinja = escaping.page_environment()
    jinja.filters["utc"] = lambda text: f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M UTC}"
    page = jinja.from_string(PAGE)
    values = dict(
        run=record,
        policy=Markup(escaping.page_policy()),
        style=STYLE,
        rows=[_formatted(row) for row in rows],
        columns=TEXT_COLUMNS | {"seeds": "Seeds"} | NUMBER_COLUMNS,
        text_columns=TEXT_COLUMNS,
        problems=problems,
        picture=base64.b64encode(_picture(rows)).decode() if any(row["score"] for row in rows) else "",
        pages={path.stem for path in (folder / "html").glob("*.html")},
        environments=list(dict.fromkeys(environments)),
    )
    write_atomically(folder / "index.html", page.render(values))
    return folder / "index.html"


def read_results(folder: Path) -> tuple[list[dict], list[str]]:
    """Return the records in a folder, in order of file name, and a line for each file that is not a record.

    A file with fields of a newer version is read, and its line names them.
    """
    found, problems = [], []
    for path in sorted(folder.rglob("*.json")):
        if path.name.startswith("."):  # a file that is being written
            continue
        try:
            record, unknown = results.read_with_unknown(path)
        except (OSError, ValueError) as error:
            reason = error.reason if isinstance(error, FileError) else str(error)
            problems.append(f"{printable(path.name)}: {reason}")
            continue
        found.append(vars(record))
        if unknown:
            fields = ", ".join(unknown)
            problems.append(f"{printable(path.name)}: has fields that this version does not know: {fields}")
    return found, problems


def summarise(records: list[dict]) -> list[dict]:
    """Return one row for each task, method and group of settings; numbers become lists over the seeds.

    A row's `name` is the method's label, followed by a number if the method ran with several settings.
    """
    groups: dict[str, list[dict]] = {}
    for record in records:
        settings = {name: value for name, value in record.get("settings", {}).items() if name != "seed"}
        key = [record["task"], record["metric"], record["method"], record.get("label"), settings]
        groups.setdefault(json.dumps(key, sort_keys=True), []).append(record)
    rows: list[dict] = []
    for group in groups.values():
        row = {name: group[0][name] for name in ("task", "metric", "method")} | {"seeds": len(group)}
        row |= {name: [record[name] for record in group if record.get(name) is not None] for name in NUMBER_COLUMNS}
        layers = group[0].get("settings", {}).get("target_modules") or ()
        row["layers"] = layers if isinstance(layers, str) else ", ".join(layers)
        row["base"] = group[0].get("label") or group[0]["method"]
        same = sum((row["task"], row["base"]) == (other["task"], other["base"]) for other in rows)
        row["name"] = row["base"] + (f" #{same + 1}" if same else "")
        rows.append(row)
    return sorted(rows, key=lambda row: (row["task"], -statistics.fmean(row["score"] or row["test_score"])))


def _formatted(row: dict) -> dict:
    """Return a row with its numbers as texts."""

    def mean(values, unit=1.0, form="{:,.0f}"):
        return form.format(statistics.fmean(values) / unit) if values else "not recorded"

    def spread(values):
        return mean(values, form="{:.3f}") + (f" [{min(values):.3f},\xa0{max(values):.3f}]" if len(values) > 1 else "")

    return row | {
        "score": spread(row["score"]),
        "test_score": spread(row["test_score"]),
        "trainable_parameters": mean(row["trainable_parameters"]),
        "seconds": mean(row["seconds"]),
        "peak_bytes": mean([n for n in row["peak_bytes"] if n], 2**20, "{:,.0f}\xa0MiB"),
    }


def _picture(rows: list[dict]) -> bytes:
    """Return a PNG of the mean scores by task and method; whiskers reach from the lowest to the highest seed."""
    from circpeft import plots  # slow to import (plotly and matplotlib), and needed only if there are results

    means: dict[str, dict[str, float]] = {}
    spread: dict[str, dict[str, tuple[float, float]]] = {}
    for row in (row for row in rows if row["score"]):  # a run may train on all rows
        mean = statistics.fmean(row["score"])
        means.setdefault(row["name"], {})[row["task"]] = mean
        spread.setdefault(row["name"], {})[row["task"]] = (mean - min(row["score"]), max(row["score"]) - mean)
    metrics = ", ".join(dict.fromkeys(row["metric"] for row in rows if row["score"]))
    return plots.static(plots.bars(means, spread, title="Validation score by task and method", y_title=metrics))
