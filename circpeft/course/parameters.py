"""Notebooks and parameters that a user asks for, checked before any notebook runs."""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType

from circpeft.suggest import nearest

PROFILES = {
    "smoke": "a quick test on few rows",
    "cpu": "small models and embedded data",
    "paper": "the papers' models and data, on a GPU",
}
KINDS = {kind.__name__: kind for kind in (bool, int, float, str, list, tuple, dict)}
BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


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
    kinds: tuple[type, ...]
    default: object
    source: str


def repository() -> Path:
    """Return the folder that contains the package, `notebooks/` and `runs/`, whatever the working directory."""
    return Path(__file__).resolve().parents[2]


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
        directory: the folder of the course's notebooks.

    Raises: RequestError for a name without a notebook, two notebooks with the same name, or a folder without notebooks.
    """
    directory = repository() / "notebooks" if directory is None else Path(directory)
    course = {path.stem: path for path in sorted(directory.glob("[0-9][0-9]_*.ipynb"))}
    if not names:
        if not course:
            raise RequestError(
                f"{directory} has no notebook such as 00_start.ipynb; install circpeft from a clone of the repository "
                "(`make setup`)"
            )
        return list(course.values())
    chosen: dict[str, Path] = {}
    for name in map(str, names):
        path = _find(name, course)
        if path.stem in chosen:
            raise RequestError(f"notebook {path.stem!r} is given twice; name each notebook once")
        chosen[path.stem] = path
    return list(chosen.values())


def _find(name: str, course: Mapping[str, Path]) -> Path:
    path = Path(name)
    if path.suffix == ".ipynb" and path.is_file():
        return path.resolve()
    stem = path.name.removesuffix(".ipynb")
    if stem in course:
        return course[stem]
    numbered = [path for name, path in course.items() if stem.isdecimal() and int(name[:2]) == int(stem)]
    if len(numbered) == 1:
        return numbered[0]
    raise RequestError(f"unknown notebook {name!r}; {nearest(stem, course)}")


def declared(notebook: Path) -> dict[str, Parameter]:
    """Return the parameters that a notebook declares in its cell tagged `parameters`, by name.

    They are read from the syntax tree, because papermill's own inspection misses type hints such as `int | None` and
    defaults that span several lines.

    Raises: RequestError for a file that is not a notebook, and for a cell that is not valid Python.
    """
    import nbformat

    try:
        cells = nbformat.read(notebook, as_version=4).cells
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
            name, kinds = node.target.id, _kinds(node.annotation)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, kinds = node.targets[0].id, ()
        else:
            continue
        default = _literal(ast.unparse(node.value))
        if not kinds and default is not None and type(default) in KINDS.values():
            kinds = (type(default),)
        parameters[name] = Parameter(name, kinds, default, ast.unparse(node))
    return parameters


def declared_profile(notebook: Path) -> str:
    """Return the default of a notebook's parameter `profile`, or "default" if it has no such parameter."""
    parameter = declared(notebook).get("profile")
    return str(parameter.default) if parameter else "default"


def _kinds(hint: ast.expr) -> tuple[type, ...]:
    """Return the types in a hint: `int | None` gives (int, NoneType), `list[str]` gives (list,)."""
    match hint:
        case ast.Name(id=name) if name in KINDS:
            return (KINDS[name],)
        case ast.Constant(value=None):
            return (NoneType,)
        case ast.Subscript(value=base):
            return _kinds(base)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _kinds(left) + _kinds(right)
    return ()


def _literal(text: str) -> object:
    """Return the value of a text that is a Python literal, or else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def convert(parameter: Parameter, value: object) -> object:
    """Return a value, from the command line or from Python, as one of the parameter's types.

    Raises: RequestError if the value fits none of them.

    >>> convert(Parameter("rate", (float,), 0.1, "rate: float = 0.1"), "3e-2")
    0.03
    >>> convert(Parameter("seeds", (int,), 1, "seeds: int = 1"), "abc")
    Traceback (most recent call last):
    circpeft.course.parameters.RequestError: seeds='abc' has the wrong type: expected int, as in `seeds: int = 1`
    """
    candidates = [value]
    if isinstance(value, str) and parameter.kinds != (str,):
        literal = BOOLEANS.get(value.lower(), _literal(value)) if bool in parameter.kinds else _literal(value)
        candidates = [literal, value]
    for candidate in candidates:
        if not parameter.kinds or type(candidate) in parameter.kinds:
            return candidate
        if float in parameter.kinds and type(candidate) is int:
            return float(candidate)
    expected = " or ".join("None" if kind is NoneType else kind.__name__ for kind in parameter.kinds)
    raise RequestError(
        f"{parameter.name}={value!r} has the wrong type: expected {expected}, as in `{parameter.source}`"
    )


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
