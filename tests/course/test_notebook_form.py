"""The form of the notebooks: short cells, numbered formulas, names that exist, solutions, examples and questions."""

import ast
import importlib.util
import inspect
import pkgutil
import re
import textwrap
from types import SimpleNamespace

import nbformat
import pytest

from circpeft.course.exercise_sets import EXERCISES, QUESTIONS
from circpeft.places import clone

FOLDER = clone() / "notebooks"
NAMES = [path.stem for path in sorted(FOLDER.glob("*.ipynb"))]
DERIVING = ["00_start", "01_circulant_matrices", "02_c3a"]
SOLUTION = re.compile(r"<details><summary>Solution</summary>.*?```python\n(.*?)\n```", re.DOTALL)


def cells(name, kind):
    return [
        cell.source for cell in nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells if cell.cell_type == kind
    ]


def test_every_notebook_checks_in_the_same_words_that_its_kernel_has_the_packages(monkeypatch):
    checks = set()
    for path in FOLDER.glob("*.ipynb"):
        code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert "parameters" in code[0].metadata.tags and code[1].id == "installed", path.name
        assert code[2].source.startswith(("import ", "from ")), path.name
        checks.add(code[1].source)
    (check,) = checks
    exec(check, {})  # here they are installed
    found = {name: importlib.util.find_spec(name) for name in ("circpeft", "torch", "peft", "plotly")}
    monkeypatch.setattr(importlib.util, "find_spec", found.get)
    for absent in (None, SimpleNamespace(origin=None)):  # the second is a folder named circpeft, such as a clone
        found["circpeft"] = absent
        with pytest.raises(ModuleNotFoundError, match=r"^This kernel lacks circpeft\..*%pip install -e") as caught:
            exec(check, {})
        assert caught.value._render_traceback_() == [str(caught.value)]  # what IPython shows


@pytest.mark.parametrize("name", NAMES)
def test_code_cells_are_short(name):
    assert [source for source in cells(name, "code") if len(source.splitlines()) > 25] == []


def _bound(cell: ast.AST) -> set[str]:
    """Return the names that a cell binds, without those of functions' and comprehensions' own."""
    names: set[str] = set()
    for node in ast.iter_child_nodes(cell):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name):
            names |= {node.id} if isinstance(node.ctx, ast.Store) else set()
        elif not isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            names |= _bound(node)
    return names


@pytest.mark.parametrize("name", NAMES)
def test_no_cell_gives_an_imported_name_another_meaning(name):
    """Otherwise an earlier cell fails when it is run again."""
    imported, bound = set(), set()
    for tree in map(ast.parse, cells(name, "code")):
        statements = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        imported |= {(a.asname or a.name).partition(".")[0] for node in statements for a in node.names}
        bound |= _bound(tree)
    assert imported & bound == set()


@pytest.mark.parametrize("name", NAMES)
def test_no_cell_puts_tags_into_a_figure(name):
    """`plots` shows texts as they are written, tags too: W₀, not W<sub>0</sub>."""
    assert [source for source in cells(name, "code") if re.search(r"</?(sub|sup|b|i)>", source)] == []


TEXTS = ("title", "x_title", "y_title")  # the parameters of plots.lines and plots.scatter after the data


@pytest.mark.parametrize("name", NAMES)
def test_every_chart_names_its_axes(name):
    """The first argument of a chart is its data; the next ones are its texts."""
    for call in (node for source in cells(name, "code") for node in ast.walk(ast.parse(source))):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("plots.lines", "plots.scatter"):
            given = {*TEXTS[: len(call.args) - 1], *(keyword.arg for keyword in call.keywords)}
            unpacked = any(isinstance(argument, ast.Starred) for argument in call.args)
            assert unpacked or given >= set(TEXTS), ast.unparse(call)[:80]


@pytest.mark.parametrize("name", DERIVING[1:])
def test_formulas_are_numbered_in_order_and_listed(name):
    text = "\n".join(cells(name, "markdown"))
    numbers = [int(number) for number in re.findall(rf"\\tag{{{int(name[:2])}\.(\d+)}}", text)]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 12
    table = text.split("## Formulas")[1].split("\n## ")[0]
    listed = set()
    for row in table.splitlines()[4:]:
        found = [int(number) for number in re.findall(rf"\({int(name[:2])}\.(\d+)\)", row.split("|")[1])] if row else []
        listed |= set(range(found[0], found[-1] + 1)) if " to " in row[:20] else set(found)
    assert listed == set(numbers)


@pytest.mark.parametrize("name", NAMES)
def test_links_and_the_names_in_the_table_of_formulas_exist(name):
    """Code is named, not linked: a link to its file leads nowhere on the site and in an executed page."""
    text = "\n".join(cells(name, "markdown"))
    for link in re.findall(r"\]\((\.\./[^)#]+)", text):
        assert (FOLDER / link).exists() and not link.endswith(".py"), link
    table = text.partition("\n## Formulas")[2].partition("\n## ")[0]
    named = re.findall(r"`(circpeft(?:\.\w+)+)`", table)
    assert named or "| formula |" not in text or name.startswith("06")  # there, the code is in the notebook itself
    for dotted in named:
        assert pkgutil.resolve_name(dotted), dotted


def test_every_printed_solution_is_the_one_that_is_tested():
    printed = {}
    for name in DERIVING:
        for source in cells(name, "markdown"):
            heading = re.match(r"### Exercise (\d\d\.\d+):", source)
            if heading:
                printed[heading[1]] = SOLUTION.search(source)[1]
    assert len(printed) >= 7 + 11
    for id, code in printed.items():
        source = inspect.getsource(EXERCISES[id].solution)
        first = ast.parse(textwrap.dedent(source)).body[0].body[0].lineno
        assert code == textwrap.dedent("\n".join(source.splitlines()[first - 1 :])), id


@pytest.mark.parametrize("name", NAMES)
def test_an_exercise_is_followed_by_its_examples_and_its_cell(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells
    found = set()
    for i, cell in enumerate(notebook):
        heading = re.match(r"### Exercise (\d\d\.\d+):", cell.source)
        if heading and heading[1] in EXERCISES:
            found.add(heading[1])
            assert re.match(rf'examples\(\s*"{heading[1]}"', notebook[i + 1].source), heading[1]
            assert notebook[i + 2].source.startswith(f'@exercise("{heading[1]}")'), heading[1]
    assert found == {id for id in EXERCISES if id[:2] == name[:2]}


@pytest.mark.parametrize("name", NAMES)
def test_every_question_of_a_notebook_is_asked_once_and_in_order(name):
    asked = [re.findall(r'^predict\("(\S+)", answer=None\)', source, re.MULTILINE) for source in cells(name, "code")]
    assert sum(asked, []) == [id for id in QUESTIONS if id[:2] == name[:2]]


@pytest.mark.parametrize("name", [name for name in NAMES if name >= "07"])
def test_an_example_by_hand_comes_before_an_exercise(name):
    """Before the exercise under a heading of its own, or, if it has no cell to check, in the exercise itself."""
    sections = re.split(r"^(?=###? )", "\n".join(cells(name, "markdown")), flags=re.MULTILINE)
    exercises = [i for i, section in enumerate(sections) if section.startswith("### Exercise ")]
    assert exercises
    for i in exercises:
        in_it = "**By hand: " in sections[i]
        assert in_it or sections[i - 1].startswith("### By hand: "), sections[i].splitlines()[0]
