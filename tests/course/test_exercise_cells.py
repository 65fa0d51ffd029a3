"""Cells below an exercise call `right_answer`, not the learner's function, which may be wrong or not written yet."""

import ast
import re

import nbformat
import pytest

from circpeft.places import clone

NOTEBOOKS = sorted((clone() / "notebooks").glob("*.ipynb"))


def decorated(node):
    """Return the id of the exercise that a statement defines a function for, or None."""
    for call in getattr(node, "decorator_list", []):
        if isinstance(call, ast.Call) and getattr(call.func, "id", getattr(call.func, "attr", "")) == "exercise":
            return call.args[0].value
    return None


def uses(sources):
    """Return (id, name) for every use of a learner's function after its definition, in the order of the cells."""
    learners, found = {}, []
    for source in sources:
        for statement in ast.parse(re.sub(r"^[%!].*$", "", source, flags=re.MULTILINE)).body:
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                learners.pop(statement.name, None)
            names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
            found += [(learners[n.id], n.id) for n in names if isinstance(n.ctx, ast.Load) and n.id in learners]
            if decorated(statement):
                learners[statement.name] = decorated(statement)
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_below_an_exercise_use_right_answer(path):
    cells = nbformat.read(path, as_version=4).cells
    used = uses(cell.source for cell in cells if cell.cell_type == "code")
    assert used == [], f"use right_answer({used[0][0]!r}) instead of {used[0][1]}"


def test_uses_are_found_also_in_the_same_cell():
    cell = '@exercise("02.1")\ndef mine(x):\n    raise NotImplementedError\n\n\nprint(mine(3))'
    assert uses([cell, "y = [mine(k) for k in range(3)]"]) == [("02.1", "mine"), ("02.1", "mine")]
    assert uses([cell.replace("print(mine(3))", ""), "def mine(x):\n    return x", "mine(3)"]) == []
