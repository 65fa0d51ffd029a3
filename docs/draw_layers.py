"""Draw the packages and what they import, docs/layers.svg, and write the table of packages in docs/architecture.md.

    .venv/bin/python docs/draw_layers.py

A line goes from a package to one that it imports. A line is left out if a path of other lines has the same ends, so
that an import within the drawn directions changes nothing.
"""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

from layers import BELOW, BESIDE, FILES, LAYERS, PACKAGE, imports, layer, part

PICTURE = Path(__file__).with_name("layers.svg")
PAGE = Path(__file__).with_name("architecture.md")
MARKED = re.compile(r"(<!-- packages -->\n)(.*?)(<!-- /packages -->)", re.DOTALL)

Graph = dict[str, set[str]]

WIDTH, ROW, BOX, MARGIN = 1000, 92, 36, 24
COLUMN = 90  # middle of the layers
LETTER = 8.4  # width of a letter of the monospaced font at 14 pixels
STYLE = """
  svg { background: #ffffff; }
  text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #1f2328; }
  text.note { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #59636e; }
  rect { stroke-width: 1.5; }
  .page { fill: #ffffff; }
  .layer { fill: #ddf4ff; stroke: #0969da; }
  .beside { fill: #f6f8fa; stroke: #818b98; }
  .below { fill: #fff8c5; stroke: #9a6700; }
  path { fill: none; stroke: #818b98; stroke-width: 1.3; }
  path.main { stroke: #0969da; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117; }
    text { fill: #f0f6fc; }
    text.note { fill: #9198a1; }
    .page { fill: #0d1117; }
    .layer { fill: #121d2f; stroke: #4493f8; }
    .beside { fill: #151b23; stroke: #656c76; }
    .below { fill: #272115; stroke: #d29922; }
    path { stroke: #656c76; }
    path.main { stroke: #4493f8; }
  }
"""


def packages() -> Graph:
    """Return what each package imports, without those that every package may import."""
    graph: Graph = {}
    for name in FILES:
        own = part(name)
        if own in ("", "__main__") or own in BELOW:
            continue
        others = {part(module) for module in imports(name)}
        graph.setdefault(own, set()).update(others - {own, ""} - BELOW)
    return graph


def reduced(graph: Graph) -> Graph:
    """Return the graph without the edges that a longer path has, too."""
    reach: Graph = {}
    for name in TopologicalSorter(graph).static_order():
        reach[name] = set().union(graph[name], *(reach[other] for other in graph[name]))
    return {
        name: {other for other in graph[name] if not any(other in reach[through] for through in graph[name])}
        for name in graph
    }


def levels(graph: Graph) -> dict[str, int]:
    """Return for each package the length of the longest path down from it."""
    level: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        level[name] = 1 + max((level[other] for other in graph[name]), default=-1)
    return level


def rows(graph: Graph) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Return the packages level by level, and the pieces of the lines.

    A level starts with its layer; the others are ordered so that few lines cross. A line that passes a level has a
    point there, named "upper>lower@level".
    """
    level = levels(graph)
    lines: list[list[str]] = [[] for _ in range(max(level.values()) + 1)]
    for name in sorted(level):
        lines[level[name]].append(name)
    pieces = []
    for name in sorted(graph):
        for other in sorted(graph[name]):
            between = [f"{name}>{other}@{i}" for i in range(level[name] - 1, level[other], -1)]
            for i, point in zip(range(level[name] - 1, level[other], -1), between, strict=True):
                lines[i].append(point)
            chain = [name, *between, other]
            pieces += zip(chain, chain[1:], strict=False)
    neighbours: dict[str, list[str]] = {}
    for upper, lower in pieces:
        neighbours.setdefault(upper, []).append(lower)
        neighbours.setdefault(lower, []).append(upper)
    for sweep in range(24):
        for i in range(len(lines)) if sweep % 2 else reversed(range(len(lines))):
            at = {name: (k + 0.5) / len(line) for line in lines for k, name in enumerate(line)}
            mean = {n: sum(at[o] for o in neighbours.get(n, [n])) / len(neighbours.get(n, [n])) for n in lines[i]}
            lines[i].sort(key=lambda name: (name not in LAYERS, round(mean[name], 6), name))
    return lines, pieces


def places(levels: list[list[str]]) -> dict[str, tuple[float, float]]:
    """Return the middle of every box and of every point of a line, in pixels; the layers are in one column."""
    at = {}
    for i, line in enumerate(list(level) for level in reversed(levels)):
        y = MARGIN + 40 + i * ROW + BOX / 2
        first = MARGIN
        if line[0] in LAYERS:
            at[line.pop(0)] = (COLUMN, y)
            first = 2 * COLUMN - MARGIN
        sizes = [width(name) for name in line]
        gap = (WIDTH - MARGIN - first - sum(sizes)) / max(1, len(line))
        x = first + gap / 2
        for name, size in zip(line, sizes, strict=True):
            at[name] = (x + size / 2, y)
            x += size + gap
    return at


def width(name: str) -> float:
    """Return the width of a box, or of a point of a line."""
    return 12 if ">" in name else LETTER * len(name) + 24


def box(name: str, x: float, y: float, kind: str) -> str:
    """Return a box with its name, around its middle."""
    size = width(name)
    return (
        f'<rect class="{kind}" x="{x - size / 2:.1f}" y="{y - BOX / 2:.1f}" width="{size:.1f}" height="{BOX}" rx="6"/>'
        f'<text x="{x:.1f}" y="{y + 5:.1f}" text-anchor="middle">{name}</text>'
    )


def svg() -> str:
    """Return the picture."""
    lines, pieces = rows(reduced(packages()))
    at = places(lines)
    height = MARGIN * 2 + 40 + len(lines) * ROW + BOX
    drawn = []
    for upper, lower in pieces:
        (x1, y1), (x2, y2) = at[upper], at[lower]
        y1, y2 = y1 + (0 if ">" in upper else BOX / 2), y2 - (0 if ">" in lower else BOX / 2)
        bend = (y2 - y1) / 2
        both = {name for point in (upper, lower) for name in point.partition("@")[0].split(">")}
        kind = "main" if both <= set(LAYERS) else "line"
        curve = f"M{x1:.1f} {y1:.1f}C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2:.1f}"
        drawn.append(f'<path class="{kind}" d="{curve}"/>')
    for line in lines:
        names = [name for name in line if ">" not in name]
        drawn += [box(name, *at[name], "layer" if layer(f"circpeft.{name}") in LAYERS else "beside") for name in names]
    y, x = height - MARGIN - BOX / 2, MARGIN + 330
    drawn.append(f'<text class="note" x="{MARGIN}" y="{y + 5:.1f}">Every package may import these modules:</text>')
    for name in sorted(BELOW):
        drawn.append(box(name, x + width(name) / 2, y, "below"))
        x += width(name) + 16
    note = "A package imports those that its lines lead down to. Blue: the layers. Grey: the parts beside them."
    drawn.append(f'<text class="note" x="{MARGIN}" y="{MARGIN + 12}">{note}</text>')
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="The packages of circpeft and what they import">'
    )
    page = f'<rect class="page" width="{WIDTH}" height="{height:.0f}"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", page, *drawn, "</svg>", ""])


def summary(name: str) -> str:
    """Return the first sentence of a package's docstring."""
    path = PACKAGE / name / "__init__.py" if (PACKAGE / name).is_dir() else PACKAGE / f"{name}.py"
    text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z])", text)[0]


def table() -> str:
    """Return a table of the packages, highest level first, each with the first sentence of its docstring."""
    level = levels(packages())
    kinds = {**dict.fromkeys(BESIDE, "beside"), **dict.fromkeys(LAYERS, "layer"), **dict.fromkeys(BELOW, "below")}
    names = sorted(level, key=lambda name: (-level[name], name)) + sorted(BELOW)
    lines = ["| package | kind | what is in it |", "|---|---|---|"]
    for name in names:
        kind = kinds.get(name, f"part of `{layer(f'circpeft.{name}')}`")
        lines.append(f"| `{name}` | {kind} | {summary(name).replace('|', chr(92) + '|')} |")
    return "\n".join([*lines, ""])


def page(text: str) -> str:
    """Return the text of the page with the table in its place."""
    return MARKED.sub(lambda match: match[1] + table() + match[3], text)


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
