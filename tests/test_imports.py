"""The direction of imports, read from the syntax trees; the length of files; and what `import circpeft` loads."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import circpeft

PACKAGE = Path(circpeft.__file__).parent
FILES = {
    ".".join(("circpeft", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# The layers, lowest first: each imports its own and those to its left.
LAYERS = ["ops", "adapters", "hf_peft", "methods", "training", "sweeps", "course", "cli"]
HELPS = {
    "resume": "training",
    "__main__": "cli",
    "benchmarking": "methods",
}  # modules that belong to a layer under a name of their own
# Below all of them: importable from everywhere, and importing nothing of the package.
BELOW = {"files", "fingerprint", "import_hooks", "suggest"}
# Beside the layers: these import ops and each other, nothing else, so that they work without a model.
BESIDE = {
    "costs",
    "papers",
    "profiling",
    "recipes",
    "report",
    "results",
    "data_folders",
    "tasks",
    "plots",
    "models",
    "memory",
    "mt_bench",
    "defaults",
}


def imports(name: str) -> set[str]:
    """Modules of circpeft that a module imports, at its top or inside a function."""
    path, found = FILES[name], set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            found |= {f"{base}.{a.name}" if f"{base}.{a.name}" in FILES else base for a in node.names}
    return {module for module in found if module.split(".")[0] == "circpeft"}


def part(module: str) -> str:
    """The layer, or the module beside the layers, that a dotted name belongs to; "" for the package itself."""
    top = (module.split(".") + [""])[1]
    return HELPS.get(top, top)


INNER = [name for name in FILES if name != "circpeft"]


def test_the_reader_of_imports_reads():
    assert "circpeft.ops.checks" in imports("circpeft.ops.product")
    assert {"circpeft.ops", "circpeft.ops.block_size"} <= imports("circpeft.adapters.c3a")
    assert {"circpeft.adapters", "circpeft.hf_peft", "circpeft.ops"} <= imports("circpeft")


@pytest.mark.parametrize("name", INNER)
def test_imports_go_down_only(name):
    own = part(name)
    assert own in {*LAYERS, *BESIDE, *BELOW}, f"circpeft.{own} has no place in the layers of this test yet"
    for imported in imports(name):
        other = part(imported)
        if own in BELOW:
            assert other == own, f"{name} imports {imported}"
        elif other in BELOW:
            continue
        elif own in BESIDE:
            assert other in BESIDE | {"ops"}, f"{name} imports {imported}"
        elif other in BESIDE:
            assert LAYERS.index(own) >= LAYERS.index("methods"), f"{name} imports {imported}"
        else:
            assert other in LAYERS[: LAYERS.index(own) + 1], f"{name} imports {imported}"


def test_no_cycle():
    order = list(TopologicalSorter({name: imports(name) - {name} for name in FILES}).static_order())
    assert set(order) >= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_files_are_short(name):
    assert len(FILES[name].read_text().splitlines()) <= 300


def test_operators_and_peft_configs_load_no_library_of_the_course(run_python):
    heavy = ["datasets", "plotly", "matplotlib", "sklearn", "pandas", "papermill", "IPython", "transformers.trainer"]
    use = "import sys, circpeft; circpeft.C3AConfig, circpeft.circulant"
    loaded = run_python(f"{use}; print([m for m in {heavy} if m in sys.modules])")
    assert loaded.strip() == "[]"


def test_every_public_name_is_there():
    assert set(circpeft.__all__) <= set(dir(circpeft))
    with pytest.raises(AttributeError, match="no attribute 'C3B'"):
        circpeft.C3B  # noqa: B018
