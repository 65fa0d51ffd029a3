"""Every library that the package imports is declared, or comes with a declared one."""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from importlib import metadata

from circpeft import places
from circpeft.cli.extras import DISTRIBUTIONS

# Libraries that a declared one requires, and that one.
BROUGHT = {
    "huggingface_hub": "transformers",
    "jupyter_core": "jupyterlab",
    "markupsafe": "jinja2",
    "packaging": "transformers",
    "psutil": "peft",
    "pydantic_core": "pydantic",
    "safetensors": "transformers",
    "sympy": "torch",
    "tokenizers": "transformers",
}
# torch brings Triton where it can use a GPU. Only modules of kernels import it.
ONLY_WITH_A_GPU = {"triton"}
# The programs that import the plug-ins in circpeft/hosts.
IN_A_HOST = {"axolotl", "swift"}


def name_of(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def imported() -> dict[str, set[str]]:
    """Return the modules of other projects that the package imports, each with the files that do."""
    found = defaultdict(set)
    for path in places.PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"circpeft"}:
                found[top].add(path.name)
    return found


def test_every_import_is_declared():
    project = tomllib.loads((places.clone() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)]
    declared = {name_of(line) for line in lines}
    modules = imported()
    missing = {m: files for m, files in modules.items() if name_of(DISTRIBUTIONS.get(m, m)) not in declared}
    assert missing.keys() - ONLY_WITH_A_GPU - IN_A_HOST == BROUGHT.keys(), missing
    for module, library in BROUGHT.items():
        assert library in declared
        assert name_of(module) in {name_of(line) for line in metadata.requires(library)}, module
