"""The layers of the package, and its imports as the syntax trees have them.

tests/test_imports.py checks the layers, and docs/draw_layers.py draws them.
"""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "circpeft"
FILES = {
    ".".join(("circpeft", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# The layers, lowest first. Each may import itself and those before it.
LAYERS = [
    "ops",
    "adapters",
    "hf_peft",
    "hosts",
    "methods",
    "training",
    "export",
    "prediction",
    "rates",
    "sweeps",
    "course",
    "cli",
]
# Single modules that belong to a layer.
LAYER_OF = {
    "resume": "training",
    "__main__": "cli",
    "benchmarking": "methods",
    "learning_rates": "methods",
}
# Every part of the package may import these; they import nothing of it.
BELOW = {
    "computation",
    "escaping",
    "files",
    "fingerprint",
    "fused_experts",
    "import_hooks",
    "limits",
    "places",
    "suggest",
}
# These import only ops and each other, so that they work without a model. Layers from `methods` on may import them.
BESIDE = {
    "fits",
    "costs",
    "papers",
    "profiling",
    "recipes",
    "report",
    "results",
    "run_files",
    "data_folders",
    "tasks",
    "plots",
    "models",
    "gguf_models",
    "memory",
    "mt_bench",
    "defaults",
    "method_specs",
}


def imports(name: str) -> set[str]:
    """Return the modules of circpeft that a module imports, at its top or inside a function."""
    path, modules = FILES[name], set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            modules |= {f"{base}.{a.name}" if f"{base}.{a.name}" in FILES else base for a in node.names}
    return {module for module in modules if module.split(".")[0] == "circpeft"}


def part(module: str) -> str:
    """Return the first name after ``circpeft.`` of a dotted name; "" for the package itself."""
    return (module.split(".") + [""])[1]


def layer(module: str) -> str:
    """Return the layer, or the part beside the layers, that a dotted name belongs to; "" for the package itself."""
    return LAYER_OF.get(part(module), part(module))
