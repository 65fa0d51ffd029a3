"""Every notebook in JupyterLab: run to its end, its interactive pieces used, and an exercise answered.

These take minutes, so only `make test-full` runs them. For one notebook:
python -m pytest -s -m full tests/browser -k 05
"""

import re

import nbformat
import pytest

from circpeft.course.exercise_sets import EXERCISES, QUESTIONS
from circpeft.course.parameters import declared
from circpeft.course.solutions_notebook import solution_cell
from circpeft.places import clone

from .jupyterlab import TIMEOUT_MS, errors, run_as, run_to_the_end, shown_cell, use_a_control

pytestmark = pytest.mark.full
NOTEBOOKS = sorted((clone() / "notebooks").glob("*.ipynb"))
LIMIT = 600  # seconds for a notebook in the smoke profile, which takes less than 40 on two idle cores
# Cells with controls: pieces, explorers, the chat and the dashboard.
PIECES = {"01": 3, "02": 3, "03": 1, "04": 1, "05": 2, "06": 1, "10": 1, "12": 1}
WIDGET = "application/vnd.jupyter.widget-view+json"
CONTROLS = "input[type=range], input[type=radio], .noUi-handle, select, textarea, .circpeft-piece button"
# Messages of JupyterLab itself, whatever the notebook.
OF_JUPYTERLAB: tuple[str, ...] = ()
WRONG = """from circpeft.course import exercises

wrong = exercises.find("{id}").twins[0].function


@exercise("{id}")
def answer(*arguments):
    return wrong(*arguments)"""


def for_tests(path, folder):
    """Copy a notebook, with the smoke profile and its outputs in a folder of the test."""
    notebook = nbformat.read(path, as_version=4)
    [cell] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    values = {"profile": "smoke", "output_dir": str(folder / "outputs"), "runs_dir": str(folder)}
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in values.items() if name in declared(path))
    nbformat.write(notebook, folder / path.name)


def attempts(source: str) -> list[tuple[str, str]]:
    """Return a wrong and a right answer to the exercise or question of a cell, each with the text that is printed."""
    if found := re.search(r'@exercise\("([\d.]+)"\)', source):
        item = EXERCISES[found[1]]
        wrong, right = WRONG.format(id=item.id), solution_cell(item)
        return [(wrong, f'"{item.twins[0].name}"'), (right, f"[OK] Exercise {item.id}")]
    if found := re.search(r'predict\("(\d\d\.q\d+)"', source):
        item = QUESTIONS[found[1]]
        pairs = ((next(iter(item.wrong)), "[NOT YET]"), (item.answer, "[OK]"))
        return [(f'predict("{item.id}", answer={value!r})', f"{mark} Question {item.id}") for value, mark in pairs]
    return []


@pytest.fixture
def faults(page):
    """Return the errors that the page reports, in its console or by itself."""
    found = []
    page.on("console", lambda message: message.type == "error" and found.append(message.text))
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_its_pieces_and_exercises_answer(path, lab, page, faults):
    folder, address = lab
    for_tests(path, folder)
    cells = run_to_the_end(page, address(path.name), LIMIT)
    used = 0
    for cell in cells:
        if not any(WIDGET in output["kinds"] for output in cell["outputs"]) or "run_all(" in cell["source"]:
            continue  # what trains shows a progress bar on a slow machine, which is not a control
        output = shown_cell(page, cell["id"]).locator(".jp-OutputArea").first
        output.locator(CONTROLS).first.wait_for(timeout=TIMEOUT_MS, state="attached")
        name = cell["source"].strip().splitlines()[-1]
        control = use_a_control(page, output)
        assert control, f"no control of {name!r} changes its picture"
        print(f"{path.stem}, {name}: {control[0]}, {control[1]:.0f} ms")
        used += 1
    assert used == PIECES.get(path.stem[:2], 0)
    cell, tried = next(((cell, found) for cell in cells if (found := attempts(cell["source"]))), (None, []))
    for code, text in tried:
        run_as(page, cell["id"], code)
        shown_cell(page, cell["id"]).locator(".jp-OutputArea-output", has_text=text).first.wait_for(timeout=TIMEOUT_MS)
    assert errors(page) == []
    assert page.get_by_text(re.compile("Error displaying widget|Failed to load model")).count() == 0
    assert [fault for fault in faults if not fault.startswith(OF_JUPYTERLAB)] == []
