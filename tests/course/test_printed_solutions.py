"""The solutions that the notebooks print under their exercises, and the notebook of all solutions: each one passes."""

import ast
import re
import textwrap

import nbformat
import pytest

from circpeft.course.exercise_sets import EXERCISES
from circpeft.course.exercises import exercise, right_answer
from circpeft.course.solutions_notebook import solutions_notebook, write_solutions
from circpeft.places import clone

SOLUTION = re.compile(r"<summary>Solution</summary>\n(.*?)</details>", re.DOTALL)
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def exercise_of(node):
    """Return the id of the exercise that a function is decorated with, or None."""
    for call in getattr(node, "decorator_list", []):
        if isinstance(call, ast.Call) and getattr(call.func, "id", getattr(call.func, "attr", "")) == "exercise":
            return call.args[0].value
    return None


def printed():
    """Return the printed solutions by exercise: the learner's function with its body, and the notebook's imports."""
    found = {}
    for path in sorted((clone() / "notebooks").glob("*.ipynb")):
        bodies, imports = {}, []
        text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type != "code")
        for id, section in re.findall(r"^### Exercise (\d\d\.\d+)(.*?)(?=^### |\Z)", text, re.DOTALL | re.MULTILINE):
            codes = [code for part in SOLUTION.findall(section) for code in CODE.findall(part)]
            bodies[id] = "\n".join(codes)
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type != "code":
                continue
            for node in ast.parse(re.sub(r"^[%!].*$", "", cell.source, flags=re.MULTILINE)).body:
                imports += [node] if isinstance(node, ast.Import | ast.ImportFrom) else []
                if exercise_of(node) in bodies:
                    body = bodies[exercise_of(node)]
                    whole = body if body.startswith("def ") else f"def {node.name}({ast.unparse(node.args)}):\n"
                    whole += "" if body.startswith("def ") else textwrap.indent(body, "    ")
                    found[exercise_of(node)] = (node.name, whole, list(imports))
    return found


def used_imports(imports, code):
    """Return the imports of which the code uses a name: others would load what the solution does not need."""
    names = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    lines = []
    for node in imports:
        wanted = [alias for alias in node.names if (alias.asname or alias.name).split(".")[0] in names]
        if wanted:
            own = {"module": node.module, "level": node.level} if isinstance(node, ast.ImportFrom) else {}
            lines.append(ast.unparse(type(node)(names=wanted, **own)))
    return "\n".join(lines)


PRINTED = printed()


def test_every_exercise_has_a_printed_solution():
    assert PRINTED.keys() == EXERCISES.keys()


@pytest.mark.parametrize("id", PRINTED)
def test_a_printed_solution_passes(id, capsys):
    name, code, imports = PRINTED[id]
    namespace = {}
    exec(f"{used_imports(imports, code)}\n{code}", namespace)
    exercise(id)(namespace[name])
    assert capsys.readouterr().out.startswith("[OK]") and right_answer(id) is namespace[name]


def test_the_solutions_notebook_has_every_solution_and_each_passes(tmp_path, capsys):
    path = write_solutions(tmp_path / "new" / "solutions.ipynb")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook == solutions_notebook()
    namespace = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(cell.source, namespace)
    said = capsys.readouterr().out
    solved = [id for id, item in EXERCISES.items() if item.solution]
    assert said.count("[OK]") == len(solved) and "NOT YET" not in said
    headings = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert all(f"### Exercise {id}: {EXERCISES[id].title}" in headings for id in solved)
