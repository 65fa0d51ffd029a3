"""The pages of a run: each executed notebook as HTML, and one `index.html`. Neither asks the network for anything."""

import base64
import json
import re
import statistics
from html import escape
from pathlib import Path
from xml.etree import ElementTree

import nbformat
from jinja2 import Environment
from latex2mathml.converter import convert as to_mathml
from nbconvert import HTMLExporter
from nbconvert.filters import markdown_mistune

from circpeft.files import write_atomically

WORDS = {"task": "Task", "name": "Method", "layers": "Adapted layers", "metric": "Metric"}
MEASURED = {"score": "Validation", "test_score": "Test", "trainable_parameters": "Trainable parameters"}
MEASURED |= {"seconds": "Seconds", "peak_bytes": "Peak memory"}
REQUIRED = ("task", "method", "seed", "metric", "score")
# An HTML block is split here at what must stay as it is: tags, and code with its content.
VERBATIM = re.compile(r"(<(code|pre|script|style)\b.*?</\2>|<[^>]+>)", re.DOTALL | re.IGNORECASE)
FORMULA = re.compile(r"(?<![\\$])(\$\$?)(?!\s*\$)(.+?)(?<!\\)\1(?!\$)", re.DOTALL)
# What the converter does not know, in terms of what it does; what it draws an overline with.
NEAR = {"{aligned}": "{align*}", "{gathered}": "{matrix}"}
OVERLINE = "\u2015"
BOXES = re.compile(r"[HV]Box\(children=")  # what controls leave beside their view, for whoever has no widgets
NEAR |= {r"\operatorname*": r"\operatorname", r"\arg": r"\operatorname{arg}"}

NOTEBOOK = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}
<style>
math { font-size: 1.1em; } math[display=block] { margin: .6em 0; }
msub > :not(:first-child), msup > :not(:first-child), msubsup > :not(:first-child) { font-size: .72em; }
mtd[columnalign=right] { text-align: right; padding-right: 0; }
mtd[columnalign=left] { text-align: left; padding-left: 0; }
</style>
{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block data_latex -%}
<div class="jp-OutputArea-output">{{ output.data['text/latex'] | formulas }}</div>
{%- endblock -%}
"""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>circpeft: {{ run.profile }} run</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem; color: #1f2328; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } .wide { overflow-x: auto; } a { color: #0550ae; }
th, td { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid #d1d9e0; vertical-align: top; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
.ok { color: #116329; } .failed { color: #a40e26; font-weight: 600; } .pending, .interrupted { color: #7d4e00; }
pre { background: #f6f8fa; padding: .7rem; overflow-x: auto; } img { max-width: 100%; } .quiet { color: #59636e; }
</style></head><body><main>
<h1>circpeft: run of the course</h1>
<p class="quiet">Profile <b>{{ run.profile }}</b>, {{ run.status }}, started {{ run.started }}
{%- if run.finished %}, ended {{ run.finished }}{% endif %}.
{%- for name, value in run.parameters.items() if name != "profile" %} {{ name }} = {{ value }}.{% endfor %}</p>
<h2>Notebooks</h2>
<div class="wide"><table><thead>
<tr><th>Notebook</th><th>Status</th><th class="n">Seconds</th><th>Source</th></tr></thead>
{%- for entry in run.notebooks %}
<tr><td>{% if entry.name in pages %}<a href="html/{{ entry.name | urlencode }}.html">{{ entry.name }}</a>
{%- else %}{{ entry.name }}{% endif %}</td>
<td class="{{ entry.status }}">{{ entry.status }}</td>
<td class="n">{{ "%.1f" | format(entry.seconds) if entry.seconds is defined else "" }}</td>
<td>{% if entry.name in pages %}<a href="{{ entry.name | urlencode }}.ipynb">executed notebook</a>{% endif %}</td></tr>
{%- endfor %}</table></div>
{% for entry in run.notebooks if entry.error %}
{%- if loop.first %}<h2>What failed</h2>{% endif %}
<p><b>{{ entry.name }}</b>
{%- if entry.error.cell %}, cell {{ entry.error.cell }} (In [{{ entry.error.execution }}]){% endif %}:
<span class="failed">{{ entry.error.ename }}: {{ entry.error.evalue }}</span></p>
{%- if entry.error.source %}<pre>{{ entry.error.source }}</pre>{% endif %}
{% endfor %}
{%- if rows %}<h2>Results</h2>
{%- if picture %}<p><img alt="Scores by task and method" src="data:image/png;base64,{{ picture }}"></p>{% endif %}
<div class="wide"><table><thead><tr>{% for name, title in columns.items() -%}
<th{% if name not in words %} class="n"{% endif %}>{{ title }}</th>{% endfor %}</tr></thead>
{%- for row in rows %}
<tr>{% for name in columns %}<td{% if name not in words %} class="n"{% endif %}>{{ row[name] }}</td>{% endfor %}</tr>
{%- endfor %}</table></div>
<p class="quiet">Means over the seeds, with [lowest, highest]; a whisker is half of that range.</p>{% endif %}
{% for problem in problems %}
{%- if loop.first %}<h2>Records that could not be read</h2>{% endif %}<p>{{ problem }}</p>{% endfor %}
<h2>Where it ran</h2>
{%- for place in places %}<p class="quiet">{{ place }}</p>{% endfor %}
</main></body></html>
"""


def write(folder: Path, record: dict) -> Path:
    """Write `folder/index.html` from the record of a run and the JSON files in `folder/results`; returns its path."""
    records, problems = read_results(folder / "results")
    rows = summarise(records)
    started = [entry for entry in record["notebooks"] if "versions" in entry]
    places = [f"{e['device']}; commit {e['commit']}; {' '.join(map(' '.join, e['versions'].items()))}" for e in started]
    page = Environment(autoescape=True).from_string(PAGE)
    values = dict(
        run=record,
        rows=[_printed(row) for row in rows],
        columns=WORDS | {"seeds": "Seeds"} | MEASURED,
        words=WORDS,
        problems=problems,
        picture=base64.b64encode(_picture(rows)).decode() if rows else "",
        pages={path.stem for path in (folder / "html").glob("*.html")},
        places=list(dict.fromkeys(places)),
    )
    write_atomically(folder / "index.html", page.render(values))
    return folder / "index.html"


def read_results(folder: Path) -> tuple[list[dict], list[str]]:
    """The result records in a folder, by file name, and a line on each file that is none."""
    results, problems = [], []
    for path in sorted(folder.rglob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            problems.append(f"{path.name}: {error}")
            continue
        lacking = [name for name in REQUIRED if not isinstance(record, dict) or name not in record]
        if lacking:
            problems.append(f"{path.name}: has no {', '.join(lacking)}")
        else:
            results.append(record)
    return results, problems


def summarise(records: list[dict]) -> list[dict]:
    """One row for each task, method and setting but the seed; numbers become lists over the seeds.

    A row's `name` is the method's label, with a number where several settings of it were run.
    """
    groups: dict[str, list[dict]] = {}
    for record in records:
        settings = {name: value for name, value in record.get("settings", {}).items() if name != "seed"}
        key = [record["task"], record["metric"], record["method"], record.get("label"), settings]
        groups.setdefault(json.dumps(key, sort_keys=True), []).append(record)
    rows = []
    for group in groups.values():
        row = {name: group[0][name] for name in ("task", "metric", "method")} | {"seeds": len(group)}
        row |= {name: [record[name] for record in group if record.get(name) is not None] for name in MEASURED}
        layers = group[0].get("settings", {}).get("target_modules") or ()
        row["layers"] = layers if isinstance(layers, str) else ", ".join(layers)
        row["base"] = group[0].get("label") or group[0]["method"]
        same = sum((row["task"], row["base"]) == (other["task"], other["base"]) for other in rows)
        row["name"] = row["base"] + (f" #{same + 1}" if same else "")
        rows.append(row)
    return sorted(rows, key=lambda row: (row["task"], -statistics.fmean(row["score"])))


def _printed(row: dict) -> dict:
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
    """Mean scores by task and method, with half the range over the seeds as whisker, as PNG."""
    from circpeft import plots  # draws with plotly and matplotlib: loaded where there is something to draw

    means, spread = {}, {}
    for row in rows:
        means.setdefault(row["name"], {})[row["task"]] = statistics.fmean(row["score"])
        spread.setdefault(row["name"], {})[row["task"]] = (max(row["score"]) - min(row["score"])) / 2
    metrics = ", ".join(dict.fromkeys(row["metric"] for row in rows))
    return plots.static(plots.bars(means, spread, title="Validation", y_title=metrics))


def formula(latex: str, block: bool = False) -> str:
    """LaTeX as MathML, which a browser shows without a script; LaTeX that cannot be converted stays readable as it is.

    >>> formula("x^2")
    '<math display="inline"><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>'
    """
    known = latex = latex.strip()
    for unknown, near in NEAR.items():
        known = known.replace(unknown, near)
    try:
        mathml = to_mathml(known, display="block" if block else "inline")
    except Exception:  # the converter raises many kinds of errors; the reader then sees the source
        mathml = ""
    if not mathml or "\\" in mathml or "<mi>&</mi>" in mathml:  # the last two: a command, an environment not converted
        return f"<code>{escape(latex)}</code>"
    # HTML needs no namespace, and Jupyter's handling of headings trips over it.
    tree = ElementTree.fromstring(mathml.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', ""))
    for over in tree.iter("mover"):
        if over[1].text == OVERLINE:  # a dash that browsers do not stretch over what it stands for
            over[0].set("style", "border-top: .06em solid; padding-top: .1em")
            over[1].tag, over[1].text = "mspace", None
    return ElementTree.tostring(tree, encoding="unicode")


def formulas(html: str) -> str:
    """HTML with the `$...$` and `$$...$$` of its text as MathML; code and tags stay as they are."""
    pieces = VERBATIM.split(html)  # text, verbatim, its tag name, text, ...
    pieces[::3] = [FORMULA.sub(lambda m: formula(m[2], m[1] == "$$"), text) for text in pieces[::3]]
    return "".join(piece for i, piece in enumerate(pieces) if i % 3 != 2)


class MathRenderer(markdown_mistune.IPythonRenderer):
    """Markdown to HTML as Jupyter does it, with MathML where Jupyter leaves LaTeX to a script."""

    def block_math(self, body: str) -> str:
        return formula(body, block=True)

    def inline_math(self, body: str) -> str:
        return formula(body)

    def latex_environment(self, name: str, body: str) -> str:
        return formula(f"\\begin{{{name}}}{body}\\end{{{name}}}", block=True)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        page = re.sub(r"^([^/:#]+)\.ipynb(?=#|$)", r"\1.html", url)  # the pages lie side by side, as the notebooks do
        return super().link(text, page, title)

    def block_html(self, html: str) -> str:
        return formulas(super().block_html(html))


def render(notebook: Path, target: Path) -> Path:
    """Write an executed notebook as one HTML file, without scripts: static forms stand for interactive ones."""
    nb = nbformat.read(notebook, as_version=4)
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            data.pop("application/javascript", None)
            if data.pop("application/vnd.jupyter.widget-view+json", None) and BOXES.match(data.get("text/plain", "")):
                data["text/plain"] = "Controls: they need JupyterLab (make lab)."
    exporter = HTMLExporter(raw_template=NOTEBOOK)
    exporter.register_filter("formulas", formulas)
    to_html = markdown_mistune.MarkdownWithMath(renderer=MathRenderer(escape=False)).render
    exporter.register_filter("markdown2html", to_html)
    write_atomically(target, exporter.from_notebook_node(nb, {"metadata": {"name": notebook.stem}})[0])
    return target
