"""A fingerprint of the code that a training run executes. Prose does not change it.

The fingerprint is a hash of syntax trees, so comments and formatting are not in it. Three more things are left out
because they cannot change a result: docstrings, the text of a raised error, and the text of a warning. (Where the
package reads the text of an error that it has raised, it only chooses the words of the error that follows.)
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
START = "circpeft.training"
# These start runs, show results or count costs. A name in a string does not bring them in; an import would.
NOT_TRAINING = (
    "benchmarking",
    "cli",
    "costs",
    "course",
    "export",
    "fits",
    "hosts",
    "learning_rates",
    "mt_bench",
    "papers",
    "plots",
    "prediction",
    "rates",
    "report",
    "sweeps",
)
# Fields of syntax nodes that only say how the source was written.
SPELLING = {"ctx", "kind", "type_comment"}


def fingerprint(package: Path = PACKAGE, start: str = START) -> str:
    """Return a hash of the code that training executes: 12 hexadecimal digits, the same under each version of Python.

    Args:
        package: the folder of the package.
        start: name of the module from which imports are followed.

    Raises: FileNotFoundError if the source code is not there as files.

    >>> len(fingerprint())
    12
    """
    digest = hashlib.sha256()
    for name, code in sorted(executed(package, start).items()):
        digest.update(f"{name}\n{code}\n".encode())
    return digest.hexdigest()[:12]


def executed(package: Path = PACKAGE, start: str = START) -> dict[str, str]:
    """Return the modules that a run may execute, each with its code as `serialised` writes it.

    The walk follows every import of the package, also inside functions, and every module that a string names in full.
    A subpackage that is reached is taken whole: some of its modules are looked up by name while a run goes on.

    >>> modules = executed()
    >>> "circpeft.methods.lamda" in modules, "circpeft.plots" in modules
    (True, False)
    """
    files = _files(package)
    if start not in files:
        raise FileNotFoundError(
            f"there is no source code of {start} in {str(package)!r}, and a record needs a fingerprint of it; install "
            f"circpeft as ordinary files, not in a zip file or as compiled files only"
        )
    modules: dict[str, str] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in modules:
            modules[name], references = _read(ast.parse(files[name].read_bytes()))
            is_package = files[name].name == "__init__.py"
            reached = {*_around(name, files), *_referenced(references, name if is_package else name.rpartition(".")[0])}
            waiting += sorted(reached & files.keys())
    return modules


def serialised(tree: ast.AST) -> str:
    """Return a syntax tree as text, without prose: node types, and the fields that hold something.

    `ast.dump` writes empty fields in some versions of Python and not in others. This text is the same in all of them.

    >>> print(serialised(ast.parse("x = 1  # one")))
    Module(body=[Assign(targets=[Name(id=str:'x')]value=Constant(value=int:1))])
    """
    return _read(tree)[0]


def _read(tree: ast.AST) -> tuple[str, list[ast.AST]]:
    """Return a tree as text, and those of its nodes that may name a module: imports and strings."""
    parts: list[str] = []
    references: list[ast.AST] = []
    _write(tree, parts, references)
    return "".join(parts), references


def _write(value: object, parts: list[str], references: list[ast.AST]) -> None:
    if isinstance(value, ast.AST):
        kind: Any = type(value)
        if isinstance(value, (ast.Raise, ast.Call)):
            _strip_text(value)
        elif isinstance(value, (ast.Import, ast.ImportFrom)) or (
            isinstance(value, ast.Constant) and type(value.value) is str
        ):
            references.append(value)
        elif isinstance(value, ast.JoinedStr):
            value.values = _joined(value.values)
        parts.append(f"{kind.__name__}(")
        for field in _fields(kind):
            content = getattr(value, field, None)
            if content is None and kind is ast.Constant:
                parts.append("value=None")
            elif content is not None and content != []:
                parts.append(f"{field}=")
                _write(content, parts, references)
        parts.append(")")
    elif isinstance(value, list):
        parts.append("[")
        for item in value:
            if not _does_nothing(item):
                _write(item, parts, references)
        parts.append("]")
    else:
        parts.append(f"{type(value).__name__}:{value!a}")


@cache
def _fields(kind: Any) -> tuple[str, ...]:
    return tuple(field for field in kind._fields if field not in SPELLING)


def _does_nothing(item: object) -> bool:
    """Tell whether an item of a list is a statement without effect: ``pass``, or a bare literal such as a docstring."""
    return type(item) is ast.Pass or (type(item) is ast.Expr and type(item.value) is ast.Constant)


def _strip_text(node: ast.Raise | ast.Call) -> None:
    """Remove the text from an error that is raised, and from a call of ``warnings.warn`` or ``warn_caller``."""
    call = node.exc if isinstance(node, ast.Raise) else node
    if isinstance(call, ast.Call) and (_is_warn if call is node else _is_class)(call.func):
        call.args = [argument for argument in call.args if not _is_text(argument)]


def _is_warn(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id == "warn_caller"
    module = function.value if isinstance(function, ast.Attribute) and function.attr == "warn" else None
    return isinstance(module, ast.Name) and module.id == "warnings"


def _is_class(function: ast.expr) -> bool:
    """Tell whether a call is that of a class, by its capital: a function could do anything with a text."""
    name = getattr(function, "attr", getattr(function, "id", ""))
    return name.lstrip("_")[:1].isupper()


def _is_text(node: ast.expr) -> bool:
    """Tell whether an expression is certain to be a text: a literal, an f-string, or one of them with more added."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)):
        return _is_text(node.left) or (isinstance(node.op, ast.Add) and _is_text(node.right))
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _joined(pieces: list[ast.expr]) -> list[ast.expr]:
    """Return the pieces of an f-string with adjacent literals as one: versions of Python cut them differently."""
    joined: list[ast.expr] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if isinstance(piece, ast.Constant) and isinstance(last, ast.Constant):
            joined[-1] = ast.Constant(str(last.value) + str(piece.value))
        elif not isinstance(piece, ast.Constant) or piece.value:
            joined.append(piece)
    return joined


def _files(package: Path) -> dict[str, Path]:
    files = {}
    for path in package.rglob("*.py"):
        parts = (package.name, *path.relative_to(package).with_suffix("").parts)
        files[".".join(parts).removesuffix(".__init__")] = path
    return files


def _around(name: str, files: dict[str, Path]) -> Iterator[str]:
    """Yield the packages that a module is in, and all modules of its subpackage (not of the top package)."""
    parts = name.split(".")
    yield from (".".join(parts[:length]) for length in range(1, len(parts)))
    if len(parts) > 1:
        yield from (other for other in files if other.startswith(f"{parts[0]}.{parts[1]}."))


def _referenced(nodes: list[ast.AST], package: str) -> Iterator[str]:
    """Yield the names of modules, and of what is in them, that imports and strings in a module of ``package`` name."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _in_string(node.value, package)


def _in_string(text: str, package: str) -> Iterator[str]:
    """Yield the modules that a string such as "circpeft.ops.rfft", ".rfft" or "circpeft.ops.rfft:matmul" may name."""
    parts = (package + text if text.startswith(".") else text).replace(":", ".").split(".")
    if parts[0] == package.split(".")[0] and len(parts) > 1 and parts[1] not in NOT_TRAINING:
        yield from (".".join(parts[:length]) for length in range(2, len(parts) + 1))
