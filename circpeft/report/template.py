"""HTML, style and script of the results page, all inline, so that the page opens from disk without a network."""

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: white; --quiet: #59636e; --rule: #d1d9e0; --shade: #f6f8fa;
  --hover: #e6ebf0; --bad: #a40e26; --good: #116329; --open: #7d4e00; --link: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --quiet: #9198a1; --rule: #3d444d;
  --shade: #161b22; --hover: #262c36; --bad: #ff7b72; --good: #56d364; --open: #e3b341; --link: #79b8ff; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 92rem; margin: 1.5rem auto; padding: 0 1.2rem;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.25rem; margin-top: 2.4rem; }
h3 { font-size: 1.05rem; margin-bottom: .3rem; } .quiet { color: var(--quiet); }
.wide { overflow-x: auto; max-height: 44rem; overflow-y: auto; border: 1px solid var(--rule); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--rule); vertical-align: top;
  white-space: nowrap; }
tbody tr:last-child td, tbody tr:last-child th { border-bottom: 0; }
tbody th { font-weight: 500; position: sticky; left: 0; background: var(--paper); }
thead th { cursor: pointer; position: sticky; top: 0; background: var(--shade); z-index: 1; user-select: none; }
thead th:hover { background: var(--hover); } th.up::after { content: " \\25B2"; } th.down::after { content: " \\25BC"; }
.n { text-align: right; font-variant-numeric: tabular-nums; } td.text { white-space: normal; min-width: 14rem; }
td .print { color: var(--quiet); display: block; } td .ours { font-weight: 600; } .minus { color: var(--bad); }
.plus { color: var(--good); } .failed { color: var(--bad); font-weight: 600; }
.pending, .unreadable { color: var(--open); }
pre { background: var(--shade); padding: .5rem; margin: .2rem 0; white-space: pre-wrap; font-size: .8rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(34rem, 100%), 1fr)); gap: .8rem; }
.figures img { border: 1px solid var(--rule); background: white; border-radius: 6px; width: 100%; height: auto;
  padding: .4rem; box-sizing: border-box; } details { margin: .7rem 0; } summary { cursor: pointer; }
#filter { font: inherit; padding: .35rem .6rem; width: 26rem; max-width: 100%; border: 1px solid var(--rule);
  border-radius: 6px; } nav a { margin-right: 1rem; } a { color: var(--link); }
"""

SCRIPT = """
const sortKey = cell => cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v);
const empty = value => value === "" || Number.isNaN(value);
function compare(a, b) {
  if (empty(a) || empty(b)) return empty(a) - empty(b);
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}
document.querySelectorAll("thead th").forEach(head => head.addEventListener("click", () => {
  const at = head.cellIndex, body = head.closest("table").tBodies[0], down = head.classList.contains("up");
  head.parentNode.querySelectorAll("th").forEach(other => other.classList.remove("up", "down"));
  head.classList.add(down ? "down" : "up");
  const rows = [...body.rows].map(row => [sortKey(row.cells[at]), row]);
  rows.sort(([a], [b]) => empty(a) || empty(b) ? compare(a, b) : (down ? -1 : 1) * compare(a, b));
  body.append(...rows.map(([, row]) => row));
}));
const box = document.getElementById("filter");
const rows = [...document.querySelectorAll("tbody tr")].map(row => [row.textContent.toLowerCase(), row]);
box.addEventListener("input", () => {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let left = 0;
  for (const [text, row] of rows) {
    row.hidden = !words.every(word => text.includes(word));
    left += !row.hidden;
  }
  document.getElementById("left").textContent = words.length ? `${left} of ${rows.length} rows` : "";
});
"""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">{{ policy }}
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>circpeft: results</title><style>{{ style }}</style></head><body><main>
<h1>circpeft: results</h1>
<p class="quiet">Folder {{ folder }}. Finished runs: {{ found.runs | length }}, failed runs:
{{ found.failures | length }}, sweeps: {{ found.sweeps | length }}, unusable files: {{ found.problems | length }}.
Page written {{ written }}.</p>
<nav>{% for table in tables %}<a href="#{{ table.anchor }}">{{ table.title }}</a>{% endfor %}
{%- if panels %}<a href="#figures">figures</a>{% endif %}<a href="#runs">runs</a>
{%- if failures %}<a href="#failures">failures</a>{% endif %}
{%- if problems %}<a href="#problems">unusable files and fields</a>{% endif %}</nav>
<p><input id="filter" type="search" placeholder="filter rows by these words" aria-label="filter rows of all tables">
<span id="left" class="quiet"></span></p>
<p class="quiet">Click on a column head to sort by that column.</p>
{% macro long(columns, rows) -%}
<div class="wide"><table><thead><tr>
{%- for name, kind in columns.items() %}<th{% if kind == "n" %} class="n"{% endif %}>{{ name }}</th>{% endfor -%}
</tr></thead><tbody>
{%- for row in rows %}<tr>{% for name, kind in columns.items() -%}
{%- if kind == "n" %}<td class="n" data-v="{{ row[name][0] }}">{{ row[name][1] }}</td>
{%- elif kind == "pre" %}<td class="text"><pre>{{ row[name] }}</pre></td>
{%- else %}<td{% if kind %} class="{{ kind }}"{% endif %}>{{ row[name] }}</td>{% endif %}
{%- endfor %}</tr>{% endfor %}</tbody></table></div>
{%- endmacro %}
{% for table in tables %}
<h2 id="{{ table.anchor }}">{{ table.title }}</h2>
<p class="quiet">{{ table.description }}</p>
<div class="wide"><table><thead><tr><th>row</th>{% for name in table.columns %}<th>{{ name }}</th>{% endfor %}</tr>
</thead><tbody>{% for name, cells in table.rows %}<tr><th>{{ name }}</th>
{%- for cell in cells %}<td{% if cell.value is not none %} data-v="{{ cell.value }}"{% endif %}
{%- if cell.reason %} title="{{ cell.reason }}"{% endif %}>
{%- if cell.beside_print %}<span class="print">{{ cell.printed or "-" }}</span>{% endif -%}
<span class="{{ cell.style }}">{{ cell.ours }}</span>
{%- if cell.difference %} <span class="{{ cell.sign }}">{{ cell.difference }}</span>{% endif -%}
{% if cell.more %} <span class="quiet">{{ cell.more }}</span>{% endif %}</td>
{%- endfor %}</tr>{% endfor %}</tbody></table></div>
<details><summary>numbers, seeds and states of every cell</summary>{{ long(table.long, table.lines) }}</details>
{% if table.left_out %}<details><summary>{{ table.left_out | length }} left out</summary><ul>
{%- for left in table.left_out %}<li>{{ left.row or "all rows" }}, {{ left.column or "all columns" }}:
{{ left.reason }}</li>{% endfor %}</ul></details>{% endif %}
{% endfor %}
{% if panels %}<h2 id="figures">Figures</h2>
<p class="quiet">Points are means over the seeds; error bars are standard deviations. Memory is the peak of allocated
device memory on a GPU, and of the whole process on a CPU.</p>
{% for title, pictures in panels.items() %}<h3>{{ title }}</h3><div class="figures">
{%- for picture in pictures %}<img alt="{{ picture.alt }}" width="{{ picture.width }}" loading="lazy"
src="data:image/png;base64,{{ picture.code }}">{% endfor %}</div>{% endfor %}{% endif %}
<h2 id="runs">Runs</h2>{{ long(run_columns, runs) }}
{% if failures %}<h2 id="failures">Failed runs</h2>{{ long(failure_columns, failures) }}{% endif %}
{% if problems %}<h2 id="problems">Unusable files and fields</h2>{{ long(problem_columns, problems) }}{% endif %}
</main><script>{{ script }}</script></body></html>
"""
