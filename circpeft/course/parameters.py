"""Notebooks and parameters that a user asks for, checked before any notebook runs."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from circpeft import places
from circpeft.course import type_hints
from circpeft.course.type_hints import Kind, kinds_of
from circpeft.files import expanded, read_text
from circpeft.suggest import nearest

if TYPE_CHECKING:
    from nbformat import NotebookNode

PROFILES = {
    "smoke": "a quick test on few rows",
    "cpu": "small models and embedded data",
    "paper": "the papers' models and data, on a GPU",
}


class RequestError(ValueError):
    """An error in what the user asked for: an unknown notebook, a wrong value, a missing folder. Nothing has run."""


@dataclass(frozen=True)
class Parameter:
    """A parameter that a notebook declares in its cell tagged `parameters`.

    Args:
        name: its name.
        kinds: the types that a value may have; empty if neither the type hint nor the default tells, and then any value
            is accepted.
        default: its default value.
        source: its line of the cell.
    """

    name: str
    kinds: tuple[Kind, ...]
    default: object
    source: str


def check_profile(profile: object) -> str:
    """Return the profile if it is a key of `PROFILES`.

    Raises: RequestError for any other, with the nearest one.
    """
    if profile not in PROFILES:
        raise RequestError(f"unknown profile {profile!r}; {nearest(profile, PROFILES)}")
    return profile


def select(names: Iterable[str | Path] | None = None, directory: Path | None = None) -> list[Path]:
    """Return the paths of the named notebooks, in the given order.

    Args:
        names: numbers ("08" or "8"), file names without suffix ("08_language_understanding") or paths; None or an empty
            list selects the whole course in order.
        directory: the folder of the course's notebooks; by default that of `places.course_folder`, or else the
            notebooks that the package ships.

    Raises: RequestError for a name without a notebook, two notebooks with the same name, or a folder without notebooks.
    """
    root = places.course_folder() or places.shipped()
    directory = root / "notebooks" if directory is None else Path(directory)
    course = {path.stem: path for path in sorted(directory.glob("[0-9][0-9]_*.ipynb"))}
    if not names:
        if not course:
            raise RequestError(f"{directory} has no notebook such as 00_start.ipynb; install circpeft again")
        return list(course.values())
    chosen: dict[str, Path] = {}
    for name in map(str, names):
        path = _find(name, course)
        if path.stem in chosen:
            raise RequestError(f"notebook {path.stem!r} is given twice; name each notebook once")
        chosen[path.stem] = path
    return list(chosen.values())


def _find(name: str, course: Mapping[str, Path]) -> Path:
    path = Path(expanded(name))
    if path.suffix == ".ipynb" and path.is_file():
        return path.resolve()
    stem = path.name.removesuffix(".ipynb")
    if stem in course:
        return course[stem]
    numbered = [path for name, path in course.items() if stem.isdecimal() and int(name[:2]) == int(stem)]
    if len(numbered) == 1:
        return numbered[0]
    raise RequestError(f"unknown notebook {name!r}; {nearest(stem, course)}")


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook, in the encoding that its byte-order mark names, or else in UTF-8.

    Raises: ValueError for a file that is not a notebook; OSError for one that cannot be read.
    """
    import nbformat

    return nbformat.reads(read_text(path), as_version=4)


def declared(notebook: Path) -> dict[str, Parameter]:
    """Return the parameters that a notebook declares in its cell tagged `parameters`, by name.

    They are read from the syntax tree, because papermill's own inspection misses type hints such as `int | None` and
    defaults that span several lines.

    Raises: RequestError for a file that is not a notebook, and for a cell that is not valid Python.
    """
    try:
        cells = read_notebook(notebook).cells
    except (OSError, ValueError) as error:
        raise RequestError(f"cannot read {notebook} as a notebook: {error}") from error
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    try:
        statements = ast.parse(tagged[0].source).body if tagged else []
    except SyntaxError as error:
        raise RequestError(f"{notebook}: the cell tagged `parameters` is not valid Python: {error}") from error
    parameters = {}
    for node in statements:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            name, kinds = node.target.id, kinds_of(node.annotation)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, kinds = node.targets[0].id, ()
        else:
            continue
        default = type_hints.literal(ast.unparse(node.value))
        if not kinds and type(default) in type_hints.TYPES.values():
            kinds = (Kind(type(default)),)
        parameters[name] = Parameter(name, kinds, default, ast.unparse(node))
    return parameters


def declared_profile(notebook: Path) -> str:
    """Return the default of a notebook's parameter `profile`, or "default" if it has no such parameter."""
    parameter = declared(notebook).get("profile")
    return str(parameter.default) if parameter else "default"


def convert(parameter: Parameter, value: object) -> object:
    """Return a value, from the command line or from Python, as one of the parameter's types.

    Raises: RequestError for a value of another type.

    >>> convert(Parameter("rate", kinds_of("float"), 0.1, "rate: float = 0.1"), "3e-2")
    0.03
    >>> convert(Parameter("seeds", kinds_of("int"), 1, "seeds: int = 1"), "abc")
    Traceback (most recent call last):
    circpeft.course.parameters.RequestError: seeds='abc' does not fit: expected int, as in `seeds: int = 1`
    """
    try:
        return type_hints.convert(value, parameter.kinds)
    except ValueError as error:
        raise RequestError(f"{parameter.name}={value!r} does not fit: {error}, as in `{parameter.source}`") from error


def check(notebooks: Iterable[Path], given: Mapping[str, object]) -> dict[Path, dict[str, object]]:
    """Return the values for each notebook: those of its own parameters, converted to their declared types.

    Args:
        notebooks: paths of the notebooks.
        given: values by parameter; each goes to the notebooks that declare the parameter.

    Raises: RequestError for a name that no notebook declares (with the nearest one), a value of the wrong type, an
    unknown profile, and `output_dir`, which the runner sets.
    """
    if "output_dir" in given:
        raise RequestError("parameter 'output_dir' is set by the runner; use --output-dir to choose the folder")
    parameters = {notebook: declared(notebook) for notebook in notebooks}
    known = {name for declarations in parameters.values() for name in declarations} - {"output_dir"}
    for name in given:
        if name not in known:
            stems = ", ".join(notebook.stem for notebook in parameters)
            raise RequestError(f"unknown parameter {name!r} of {stems}; {nearest(name, sorted(known))}")
    if "profile" in given:
        check_profile(given["profile"])
    return {
        notebook: {name: convert(declarations[name], value) for name, value in given.items() if name in declarations}
        for notebook, declarations in parameters.items()
    }
