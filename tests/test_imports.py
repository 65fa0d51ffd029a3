"""The direction of imports, read from the syntax trees; the length of files; and what `import circpeft` loads."""

import importlib.util
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import circpeft

# The layers themselves, and the reader of imports, are in docs/layers.py, which the picture of the layers needs, too.
SPEC = importlib.util.spec_from_file_location("layers", Path(__file__).parents[1] / "docs" / "layers.py")
layers = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(layers)
BELOW, BESIDE, FILES, LAYERS, imports = layers.BELOW, layers.BESIDE, layers.FILES, layers.LAYERS, layers.imports

INNER = [name for name in FILES if name != "circpeft"]


def test_the_reader_of_imports_reads():
    assert "circpeft.ops.checks" in imports("circpeft.ops.product")
    assert {"circpeft.ops", "circpeft.ops.block_size"} <= imports("circpeft.adapters.c3a")
    assert {"circpeft.adapters", "circpeft.hf_peft", "circpeft.ops"} <= imports("circpeft")


@pytest.mark.parametrize("name", INNER)
def test_imports_go_down_only(name):
    own = layers.layer(name)
    assert own in {*LAYERS, *BESIDE, *BELOW}, f"circpeft.{own} has no place in docs/layers.py yet"
    for imported in imports(name):
        other = layers.layer(imported)
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
