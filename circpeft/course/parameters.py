"""What a run is asked to do: which notebooks, with which parameters. Everything is checked before anything runs."""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType

from circpeft.suggest import nearest

PROFILES = ("smoke", "cpu", "paper")
KINDS = {kind.__name__: kind for kind in (bool, int, float, str, list, tuple, dict)}
BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class RequestError(ValueError):
    """A notebook, a parameter or a value that cannot be used; raised before any notebook runs."""


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's cell tagged `parameters`: its name, the types it may have, and its default.

    `kinds` is empty where neither the type hint nor the default tells the type: any value is then accepted.
    """

    name: str
    kinds: tuple[type, ...]
    default: object
    source: str


def repository() -> Path:
    """The folder that holds the package, `notebooks/` and `runs/`: never the working directory."""
    return Path(__file__).resolve().parents[2]


def check_profile(profile: object) -> str:
    """The profile, if it is one of `smoke`, `cpu`, `paper`; RequestError otherwise."""
    if profile not in PROFILES:
        raise RequestError(f"profile {profile!r} is unknown; {nearest(profile, PROFILES)}")
    return profile


def select(names: Iterable[str | Path] | None = None, directory: Path | None = None) -> list[Path]:
    """The notebooks that `names` stand for, in the order given; without names the whole course in order.

    A name is a number ("08" or "8"), a file name without its ending ("08_language_understanding") or a path.
    Raises RequestError for a name that fits no notebook, and for two notebooks of one name.
    """
    directory = repository() / "notebooks" if directory is None else Path(directory)
    course = {path.stem: path for path in sorted(directory.glob("[0-9][0-9]_*.ipynb"))}
    if not names:
        if not course:
            raise RequestError(
                f"{directory} holds no notebook like 00_start.ipynb: install from a clone (`make setup`)"
            )
        return list(course.values())
    chosen: dict[str, Path] = {}
    for name in map(str, names):
        path = _find(name, course)
        if path.stem in chosen:
            raise RequestError(f"notebook {path.stem!r} is asked for twice; each runs once, under its own name")
        chosen[path.stem] = path
    return list(chosen.values())


def _find(name: str, course: Mapping[str, Path]) -> Path:
    path = Path(name)
    if path.suffix == ".ipynb" and path.is_file():
        return path.resolve()
    stem = path.name.removesuffix(".ipynb")
    if stem in course:
        return course[stem]
    numbered = [found for key, found in course.items() if stem.isdecimal() and int(key[:2]) == int(stem)]
    if len(numbered) == 1:
        return numbered[0]
    raise RequestError(f"notebook {name!r} is not in the course; {nearest(stem, course)}")


def declared(notebook: Path) -> dict[str, Parameter]:
    """The parameters that a notebook declares in its cell tagged `parameters`, by name.

    Read from the syntax tree, because papermill's own inspection overlooks hints such as `int | None`
    and defaults of several lines.
    """
    import nbformat

    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except (OSError, ValueError) as error:
        raise RequestError(f"{notebook} cannot be read as a notebook: {error}") from error
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    try:
        lines = ast.parse(tagged[0].source).body if tagged else []
    except SyntaxError as error:
        raise RequestError(f"{notebook}: the cell tagged `parameters` is not plain Python: {error}") from error
    found = {}
    for node in lines:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            name, kinds = node.target.id, _kinds(node.annotation)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, kinds = node.targets[0].id, ()
        else:
            continue
        default = _literal(ast.unparse(node.value))
        if not kinds and default is not None and type(default) in KINDS.values():
            kinds = (type(default),)
        found[name] = Parameter(name, kinds, default, ast.unparse(node))
    return found


def declared_profile(notebook: Path) -> str:
    """The default of a notebook's own `profile`, or "default" where it has none."""
    parameter = declared(notebook).get("profile")
    return str(parameter.default) if parameter else "default"


def _kinds(hint: ast.expr) -> tuple[type, ...]:
    """The types in a hint: `int | None` is (int, NoneType), `list[str]` is (list,)."""
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
    """The Python literal that `text` spells, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def convert(parameter: Parameter, value: object) -> object:
    """`value`, from the command line or from Python, as one of the parameter's types; RequestError if it is none.

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
    """The values that each notebook gets: `given` cut down to the parameters it has, each of the declared type.

    Raises RequestError for a name that none of the notebooks has (naming the nearest), for a value of another type,
    for an unknown profile, and for `output_dir`, which the runner sets.
    """
    if "output_dir" in given:
        raise RequestError("parameter 'output_dir' is set by the runner: use --output-dir to say where its folder goes")
    parameters = {notebook: declared(notebook) for notebook in notebooks}
    known = {name for declarations in parameters.values() for name in declarations} - {"output_dir"}
    for name in given:
        if name not in known:
            where = ", ".join(notebook.stem for notebook in parameters)
            raise RequestError(f"parameter {name!r} is in no notebook of {where}; {nearest(name, sorted(known))}")
    if "profile" in given:
        check_profile(given["profile"])
    return {
        notebook: {name: convert(found[name], value) for name, value in given.items() if name in found}
        for notebook, found in parameters.items()
    }
