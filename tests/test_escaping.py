"""Every way out escapes what data may hold; and no module or notebook has a way out of its own."""

import ast
import json
import re
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest
from markupsafe import Markup

import circpeft
from circpeft import escaping, places, plots
from circpeft.plots.plain_figure import text as static_text
from tests import planted

PACKAGE = Path(circpeft.__file__).parent
# Modules that print what has to stay as it is.
RAW = {"escaping.py": "prints what it has escaped", "cli/completion.py": "prints a script for a shell"}


def test_terminal_html_and_json():
    planted.check_terminal(escaping.terminal(planted.TEXT))
    planted.check_html(f"<p title='{escaping.html(planted.TEXT)}'>{escaping.html(planted.TEXT)}</p>")
    text = escaping.json_text({planted.TEXT: [planted.TEXT]})
    planted.check_terminal(text)
    assert json.loads(text) == {planted.TEXT: [planted.TEXT]}


def test_ordinary_text_stays_as_it_is():
    text = "Größe 1.5 – c3a:b=768, word_problems (x|y) ±0.2 עברית\n\tsecond line"
    assert escaping.terminal(text) == text and escaping.csv_cell(text) == text
    assert escaping.markdown("cdvft:block_size=768 95.1±0.2 (-0.6) -") == "cdvft:block_size=768 95.1±0.2 (-0.6) -"
    assert escaping.html("a 'b'\n") == "a &#x27;b&#x27;\n"


def test_a_file_name_that_is_not_text_can_be_printed(capsys):
    escaping.print_text(b"a\xff".decode(errors="surrogateescape"))
    assert capsys.readouterr().out == "a\\udcff\n"


@pytest.mark.parametrize("text", ["-0.5", "+1", "1e-3", "-"])
def test_csv_numbers(text):
    assert escaping.csv_cell(text) == (f"'{text}" if text == "-" else text)


@pytest.mark.parametrize(
    "start", ["=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "  =1", "＝1", "+inf", "-1_0", "\n=1"]
)
def test_csv_formulas(start):
    assert escaping.csv_cell(start).startswith("'")
    planted.check_csv(escaping.csv_cell(start).replace("\n", " ") + "\n")


@pytest.mark.parametrize("start", ["# a", "- a", "+ a", "1. a", "1) a", "> a", "---", "===", "[a]: b", "~~~", "\\|"])
def test_markdown_at_the_start_of_a_line(start):
    from markdown_it import MarkdownIt

    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(f"before\n\n{escaping.markdown(start)}\n")
    assert re.fullmatch(r"<p>before</p>\n<p>(.*)</p>\n", page), page
    planted.check_markdown(f"| a | b |\n| --- | --- |\n| planted {escaping.markdown(start)} | x |\n")


def test_markdown_and_latex_of_the_planted_text():
    planted.check_markdown(escaping.markdown(planted.TEXT) + "\n")
    latex = escaping.latex(planted.TEXT)
    planted.check_terminal(latex)
    assert "\\href" not in latex and "\n" not in latex and not re.search(r"(?<!\\)[&%#_$](?!\\pm|\\mid)(?<!\$)", latex)


def test_a_table_stays_escaped_with_any_format():
    frame = pd.DataFrame(
        {planted.TEXT: [planted.TEXT, (planted.TEXT,)], "number": [1.5, -2.0]},
        index=pd.Index([planted.TEXT, "b"], name=planted.TEXT),
    )
    frame.columns.name = planted.TEXT
    for table in (frame, frame.set_index("number", append=True)):
        styled = escaping.html_table(table)
        assert "1.5" in styled.to_html()
        for each in (styled, styled.format("{}"), styled.format(precision=2).hide(axis="index")):
            planted.check_html(each.to_html())
            assert "mathjax_ignore" in each.to_html()


def test_every_text_of_a_figure():
    values = ([1.0, 2.0], [1.0, 2.0])
    text = planted.TEXT
    figures = [
        plots.lines({text: values, "b": (["a", text], [1, 2])}, text, text, text),
        plots.bars({text: {text: 1.0}}, {text: {text: 0.1}}, text, text, text),
        plots.scatter({text: values}, text, text, text, text={text: [text, text]}),
        plots.spectrum({text: [1.0, 0.5]}, text, text),
        plots.matrices([(text, [[1.0]])], text),
        plots.roofline(1.0, {text: 2.0}, {text: (1.0, 1.0)}, text),
    ]
    for figure in figures:
        planted.check_figure(figure)
        assert "<script>planted()</script>" in escaping.plain(figure.layout.title.text)
        assert plots.static(figure, scale=0.5)[1:4] == b"PNG"


def test_a_figure_in_a_notebook_and_in_a_file(tmp_path):
    figure = plots.lines({planted.TEXT: ([1, 2], [1, 2])}, planted.TEXT)
    page = plots.save(figure, tmp_path / "figure.html").read_text(encoding="utf-8")
    assert "<script>planted" not in page and "</script></style>" not in page.replace("\\u003c", "")
    bundle = plots.output._Bundle(plots.animation([figure, figure], title=planted.TEXT), True, False)
    planted.check_html(bundle.data["text/html"], shown=False)


def test_markup_of_the_course_stays_and_the_static_form_shows_the_same_characters():
    assert plots.lines({"a": ([1], [1])}, Markup("W<sub>0</sub>")).layout.title.text == "W<sub>0</sub>"
    assert static_text(escaping.plotly("<b> $1 & x")) == r"<b> \$1 & x"
    assert escaping.plain(escaping.plotly("a < b $")) == "a < b $"
    assert isinstance(go.Figure(layout={"title": {"text": escaping.plotly(None)}}).layout.title.text, str | None)


def _constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant)


def test_what_is_printed_is_escaped():
    """`print` and tqdm's `write` print only constants; texts go through `print_text` or `terminal`."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if name not in RAW else ():
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in ("print", "tqdm.write", "sys.stdout.write", "sys.stderr.write"):
                escaped = [isinstance(a, ast.Call) and ast.unparse(a.func).endswith("terminal") for a in node.args]
                if not all(map(_constant, node.args)) and not all(escaped):
                    found.append(f"{name}:{node.lineno}")
    assert found == []


@pytest.mark.parametrize("module", [".style", "HTML(", "Environment("])
def test_html_is_made_by_the_functions_that_escape(module):
    """Tables, HTML outputs and templates of the package go through `escaping`, or hold only what the course wrote."""
    allowed = {
        ".style": {"escaping.py", "plots"},  # tables, from escaped cells; styles of figures
        "HTML(": {"course/evidence.py", "course/chat.py", "course/dashboard.py"},  # escaped there by `html`
        "Environment(": {"escaping.py"},
    }[module]
    found = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        calls = (
            n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Attribute | ast.Call)
        )
        for node in calls:
            text = ast.unparse(node.func) + "(" if isinstance(node, ast.Call) else f".{node.attr}"
            if text.split(".")[-1] == module.lstrip(".") and (module != ".style" or isinstance(node, ast.Attribute)):
                found.add(name)
    assert {n for n in found if n not in allowed and not n.startswith("plots/")} <= {"course/pieces/base.py"}


@pytest.mark.parametrize("name", ["08_language_understanding", "09_images", "10_instructions", "12_results"])
def test_notebooks_show_data_by_html_table(name):
    notebook = json.loads((places.clone() / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert not re.search(r"\.style\b|\bHTML\(|\bMarkdown\(", code)
