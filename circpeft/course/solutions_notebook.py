"""Write one notebook with the solutions of all exercises, made from the exercise sets. `make solutions` calls it."""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import torch

from circpeft import files

from .exercise_sets import EXERCISES
from .exercise_type import Exercise

TITLE = "# Solutions\n\nEvery exercise of the course with an answer that passes. Try each one yourself first."


def solutions_notebook() -> nbformat.NotebookNode:
    """Return the notebook: for each exercise its heading, and its solution as a cell that checks itself."""
    solved = [item for item in EXERCISES.values() if item.solution]
    cells = [nbformat.v4.new_markdown_cell(TITLE, id="title")]
    cells.append(nbformat.v4.new_code_cell("from circpeft.course import exercise", id="imports"))
    for item in sorted(solved, key=lambda item: [int(number) for number in item.id.split(".")]):
        name = item.id.replace(".", "-")
        cells.append(nbformat.v4.new_markdown_cell(heading(item), id=f"heading-{name}"))
        cells.append(nbformat.v4.new_code_cell(solution_cell(item), id=f"solution-{name}"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def write_solutions(path: str | Path) -> Path:
    """Write the notebook of all solutions, and return its path. Folders that are missing are created."""
    return files.write_atomically(path, nbformat.writes(solutions_notebook()) + "\n")


def heading(item: Exercise) -> str:
    """Return the heading of an exercise as Markdown.

    >>> print(heading(EXERCISES["08.1"]))
    ### Exercise 08.1: Counting C3A's trainable parameters
    <BLANKLINE>
    Difficulty ★☆☆, importance ●●○, about 5 minutes.
    """
    stars = "★" * item.difficulty + "☆" * (3 - item.difficulty)
    dots = "●" * item.importance + "○" * (3 - item.importance)
    allowed = f" Allowed: {item.allowed}" if item.allowed else ""
    effort = f"Difficulty {stars}, importance {dots}, about {item.minutes} minutes."
    return f"### Exercise {item.id}: {item.title}\n\n{effort}{allowed}"


def solution_cell(item: Exercise) -> str:
    """Return the code of a solution under its decorator, after the imports that it needs."""
    solution: Any = item.solution
    source = inspect.getsource(solution).strip()
    lines = [f'@exercise("{item.id}")\n{source}']
    imports = sorted(_import(name, value, solution) for name, value in _globals_used(solution, source))
    return "\n\n\n".join(["\n".join(imports), *lines]) if imports else lines[0]


def _globals_used(function: Callable, source: str) -> list[tuple[str, Any]]:
    """Return the names in the source that the module of the function defines or imports."""
    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    return [(name, function.__globals__[name]) for name in names if name in function.__globals__]


def _import(name: str, value: Any, function: Callable) -> str:
    """Return the line that imports a name: a module, a function of torch.fft, or a name of the solution's module."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__}" if value.__name__ == name else f"import {value.__name__} as {name}"
    module = "torch.fft" if getattr(torch.fft, name, None) is value else function.__module__
    return f"from {module} import {name}"
