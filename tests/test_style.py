"""Rules of writing that a script can check: how docstrings begin, and which names modules take from each other."""

import ast
import re
from pathlib import Path

import pytest

import circpeft

PACKAGE = Path(circpeft.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# Words that begin a description ("The rows of ...", "Whether ...") where a function's docstring tells what to do.
NO_VERB = re.compile(r"(What|Whether|Where|Which|How|The|An?|All|Every|Each|Its|That|Those|These|This|In|As|From|By)\b")
EXPLAINED = {"property", "cached_property"}  # these have a value and are described by a noun


def functions(path: Path) -> list[ast.FunctionDef]:
    """Return the functions and methods of a file that are not properties."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            decorators = {getattr(d, "id", getattr(d, "attr", "")) for d in node.decorator_list}
            if not decorators & EXPLAINED:
                found.append(node)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_of_functions_begin_with_a_verb(path):
    described = {node.name: ast.get_docstring(node) or "" for node in functions(path)}
    assert {name: text.splitlines()[0] for name, text in described.items() if NO_VERB.match(text)} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_takes_a_private_name_from_another(path):
    """An underscore keeps a name inside its module. (torch has no public name for what `ops.operator` needs.)"""
    taken = [
        alias.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("circpeft"))
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert taken == []


def test_the_rules_find_what_they_look_for(tmp_path):
    path = tmp_path / "sample.py"
    path.write_text('def f():\n    """Whether it is."""\n\n\n@property\ndef g(self):\n    """The value."""\n')
    assert [node.name for node in functions(path)] == ["f"] and NO_VERB.match("Whether it is.")
    assert not NO_VERB.match("Allow it.") and not NO_VERB.match("Insert it.")
