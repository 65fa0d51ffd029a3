"""One ES module per piece, joined from the small modules in the folder js."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("js")
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=async |function |const |class )", re.MULTILINE)


@cache
def code(name: str) -> str:
    """Return the script of a piece and of everything that it imports, without `import` and `export`.

    A page loads it as one module, so it needs no server. A name may be declared in one of the joined files only; an
    import may not rename.

    Raises: FileNotFoundError if the folder js has no such script; ValueError for an import of another form.

    >>> code("numbers").startswith("/** Numbers"), "export " in code("kernel_lab")
    (True, False)
    """
    order: list[str] = []
    _visit(name, order)
    parts = []
    for each in order:
        text = _EXPORT.sub("", _IMPORT.sub("", _read(each)))
        other = re.search(r"^(import|export)\b.*", text, re.MULTILINE)
        if other:
            raise ValueError(
                f'{each}.js has {other[0]!r}; expected import {{ name }} from "./file.js" or export function'
            )
        parts.append(text)
    return "\n".join(parts)


def module(name: str) -> str:
    """Return the script of a piece as the ES module that anywidget loads: its default export has ``render``."""
    return code(name) + "\nexport default { render };\n"


@cache
def style() -> str:
    """Return the style sheet of all pieces."""
    return (FOLDER / "pieces.css").read_text(encoding="utf-8")


def _read(name: str) -> str:
    path = FOLDER / f"{name}.js"
    if not path.is_file():
        raise FileNotFoundError(
            f"no script {path.name} in {FOLDER}; found {sorted(p.stem for p in FOLDER.glob('*.js'))}"
        )
    return path.read_text(encoding="utf-8")


def _visit(name: str, order: list[str]) -> None:
    for other in _IMPORT.findall(_read(name)):
        if other not in order:
            _visit(other, order)
    if name not in order:
        order.append(name)
