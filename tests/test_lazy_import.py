"""`import circpeft` is light, and PEFT and torch still know this package's methods and operators, in any order."""

import pickle

import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import AutoModelForSequenceClassification

import circpeft
from tests.peft_versions import needs_adapter_methods

LIGHT = """
import sys, time
start = time.perf_counter()
import circpeft
light = time.perf_counter() - start
loaded = {"torch", "peft", "transformers", "numpy", "huggingface_hub"} & set(sys.modules)
assert not loaded, loaded
start = time.perf_counter()
import torch
assert "circpeft.ops" in sys.modules and "circpeft.hf_peft" not in sys.modules
import peft
heavy = time.perf_counter() - start
assert "circpeft.hf_peft" in sys.modules
assert light < heavy / 3, (light, heavy)
"""


def test_import_circpeft_loads_no_large_library_and_takes_under_a_third_of_their_time(run_python):
    run_python(LIGHT)


NAMES = """
import circpeft
config = circpeft.C3AConfig(target_modules=["0"])
from circpeft import *
assert C3AConfig is circpeft.C3AConfig and callable(block_circular_matmul)
from peft.utils import PeftType
assert {"CIRCONV", "CDVFT"} <= set(PeftType.__members__)
import circpeft.costs, importlib
assert circpeft.costs.parameters("c3a", 8, 8, block_size=8) == 8
assert importlib.reload(circpeft).C3AConfig is C3AConfig
"""


def test_circpeft_alone_gives_every_name(run_python):
    run_python(NAMES)


LISTED = """
import pydoc, sys
for extra in ("datasets", "pandas", "plotly", "sklearn", "papermill"):
    sys.modules[extra] = None
import circpeft
assert {*circpeft.__all__, "Result", "count_flops", "methods", "costs"} <= set(dir(circpeft))
assert "block_circular_matmul" in pydoc.render_doc(circpeft)
"""


def test_dir_lists_what_works_without_extras_so_that_help_works(run_python):
    run_python(LISTED)


def test_every_name_of_the_tables_can_be_used():
    for name in (*dir(circpeft), *circpeft._SUBMODULES_OF_EXTRAS, "run"):
        assert getattr(circpeft, name) is not None, name


@pytest.mark.parametrize(
    ("typed", "meant"), [("C3B", "C3A"), ("block_circulnat", "block_circulant"), ("recipe", "recipes")]
)
def test_an_unknown_name_comes_with_the_nearest(typed, meant):
    with pytest.raises(
        AttributeError, match=f"module 'circpeft' has no attribute '{typed}'; did you mean '{meant}'"
    ) as raised:
        getattr(circpeft, typed)
    assert "choices: C3A, " in str(raised.value)
    assert not hasattr(circpeft, "__wrapped__")


@pytest.fixture
def adapters(tiny, methods, tmp_path):
    """A folder with a base model, an adapter of each method for it, and the adapted models' logits."""
    tiny.bert().save_pretrained(tmp_path / "base")
    for method in methods:
        base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base").eval()
        model = get_peft_model(base, method(target_modules=["value"], task_type="SEQ_CLS"))
        model.save_pretrained(tmp_path / method.name)
        torch.save(tiny.logits(model), tmp_path / method.name / "logits.pt")
    return tmp_path


# Scripts are run once for both methods: a new process takes much longer than loading an adapter.
CHECK = """
import sys, torch
from pathlib import Path
base, *adapters = map(Path, sys.argv[1:])

@torch.no_grad()
def check(model, adapter):
    logits = model.eval()(torch.arange(12).view(2, 6)).logits
    torch.testing.assert_close(logits, torch.load(adapter / "logits.pt"))
"""
BY_PEFT = """
from transformers import AutoModelForSequenceClassification
from peft import PeftModel
for adapter in adapters:
    check(PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(base), adapter), adapter)
"""
STARTS = {
    "circpeft, a part of PEFT": f"import circpeft\nfrom peft.tuners import lora\n{CHECK}{BY_PEFT}",
    "circpeft, transformers": f"""
import circpeft
{CHECK}
from transformers import AutoModelForSequenceClassification
for adapter in adapters:
    check(AutoModelForSequenceClassification.from_pretrained(adapter), adapter)
    model = AutoModelForSequenceClassification.from_pretrained(base)
    model.load_adapter(str(adapter))
    check(model, adapter)
{BY_PEFT}""",
    "PEFT, circpeft": f"import peft, circpeft\n{CHECK}{BY_PEFT}",
}


@needs_adapter_methods
@pytest.mark.parametrize("order", STARTS)
def test_an_adapter_loads_whatever_is_imported_first(adapters, methods, run_python, order):
    run_python(STARTS[order], adapters / "base", *(adapters / method.name for method in methods))


class Product(torch.nn.Module):
    """A module that calls one of this package's operators."""

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return circpeft.block_circular_matmul(x, w)


EXPORTED = """
import sys
import circpeft, torch
x, w, y = torch.load(sys.argv[2])
assert torch.equal(torch.export.load(sys.argv[1]).module()(x, w), y)
"""


def test_a_saved_program_finds_its_operators(tmp_path, run_python):
    x, w = torch.randn(3, 8), torch.randn(2, 2, 4)
    torch.export.save(torch.export.export(Product(), (x, w)), tmp_path / "product.pt2")
    torch.save((x, w, Product()(x, w)), tmp_path / "values.pt")
    run_python(EXPORTED, tmp_path / "product.pt2", tmp_path / "values.pt")


COMPILED = """
import torch, circpeft
product = torch.compile(lambda x, w: circpeft.block_circular_matmul(x, w), fullgraph=True, backend="eager")
assert product(torch.randn(3, 8), torch.randn(2, 2, 4)).shape == (3, 8)
"""


def test_a_name_may_be_used_for_the_first_time_inside_a_compiled_function(run_python):
    run_python(COMPILED)


def test_a_config_is_unpickled_in_a_fresh_process(methods, tmp_path, run_python):
    for method in methods:
        (tmp_path / method.name).write_bytes(pickle.dumps(method(target_modules=["value"], block_size=4)))
    script = """
import pickle, sys
from pathlib import Path
for path in sys.argv[1:]:
    config = pickle.loads(Path(path).read_bytes())
    again = pickle.loads(pickle.dumps(config))
    assert again == config and type(again) is type(config) and again.peft_type is config.peft_type
    print(config.peft_type.value, config.block_size)
"""
    lines = run_python(script, *(tmp_path / method.name for method in methods)).splitlines()
    assert lines == [f"{method.name} 4" for method in methods]


OLD_PEFT = """
import sys
from circpeft import import_hooks

import_follower = import_hooks.import_module
def with_an_old_version(follower):
    sys.modules["peft"].__version__ = "0.17.1"
    return import_follower(follower)

import_hooks.import_module = with_an_old_version
for _ in range(2):  # no later import of PEFT passes silently
    try:
        import peft
    except ImportError as error:
        print(error)
"""


def test_a_peft_that_is_too_old_is_named_when_it_is_imported_after_circpeft(run_python):
    lines = run_python(OLD_PEFT).splitlines()
    assert len(lines) == 2
    assert all("circpeft needs peft >= 0.18.0, found 0.17.1" in line and "pip install" in line for line in lines)


THREADS = """
import faulthandler, sys
from importlib import import_module
from threading import Barrier, Thread

faulthandler.dump_traceback_later(300, exit=True)
imports = {
    "circpeft": "C3AConfig", "circpeft.hf_peft": "inject", "peft": "PeftModel", "torch": "Tensor",
    "circpeft.ops": "circulant", "circpeft.methods": "apply",
}
barrier, found = Barrier(len(imports)), {}

def use(module, name):
    barrier.wait()
    found[module] = getattr(import_module(module), name)

threads = [Thread(target=use, args=item) for item in imports.items()]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert found.keys() == imports.keys(), imports.keys() - found.keys()
import circpeft
from peft.utils import PeftType
assert found["circpeft"] is circpeft.C3AConfig and "CIRCONV" in PeftType.__members__
"""


@pytest.mark.parametrize(
    "first",
    [
        pytest.param("import circpeft", id="after circpeft", marks=pytest.mark.full),
        pytest.param("", id="with circpeft"),
    ],
)
def test_threads_may_import_at_once(run_python, first):
    run_python(f"{first}\n{THREADS}")


def test_other_tools_see_ordinary_modules(run_python):
    script = """
import importlib.util
import circpeft
spec = importlib.util.find_spec("peft")
import peft
from importlib.machinery import SourceFileLoader
for found in (spec, peft.__spec__):
    assert type(found.loader) is SourceFileLoader and found.origin == peft.__file__
assert "PeftModel" in spec.loader.get_source("peft")
"""
    run_python(script)


OTHER_LOADER = """
import sys
from importlib.machinery import PathFinder
import circpeft

class Unchangeable:
    __slots__ = ("inner",)
    def __init__(self, inner):
        self.inner = inner
    def create_module(self, spec):
        return self.inner.create_module(spec)
    def exec_module(self, module):
        self.inner.exec_module(module)

class OfTheOldKind:
    def __init__(self, inner):
        self.inner = inner
    def load_module(self, name):
        return self.inner.load_module(name)

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = PathFinder.find_spec(name, path) if name == "peft" else None
        if spec is not None:
            spec.loader = LOADER(spec.loader)
        return spec

sys.meta_path.insert(1, Finder)
import peft
assert peft.PeftModel and ("circpeft.hf_peft" in sys.modules) == (LOADER is Unchangeable)
assert circpeft.C3AConfig and peft.PeftType.CDVFT
"""


@pytest.mark.parametrize("loader", ["Unchangeable", pytest.param("OfTheOldKind", marks=pytest.mark.full)])
def test_a_loader_that_cannot_be_changed_still_loads_peft(run_python, loader):
    run_python(OTHER_LOADER.replace("LOADER", loader))


@pytest.mark.full
def test_a_loader_that_loads_many_modules_is_changed_once(run_python):
    script = """
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec
import circpeft

class Shared:
    loaders = {}
    def find_spec(self, name, path=None, target=None):
        spec = PathFinder.find_spec(name, path) if name in ("torch", "peft") else None
        if spec is not None:
            self.loaders[name], spec.loader = spec.loader, self
        return spec
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        self.loaders[module.__name__].exec_module(module)

sys.meta_path.insert(1, Shared())
for _ in range(2 * sys.getrecursionlimit()):
    find_spec("torch")
import torch
assert "circpeft.ops" in sys.modules and "circpeft.hf_peft" not in sys.modules
import peft
assert "circpeft.hf_peft" in sys.modules
"""
    run_python(script)


@pytest.mark.full
def test_a_second_import_of_the_package_adds_no_second_finder(run_python):
    script = """
import sys
import circpeft
before = len(sys.meta_path)
for name in [name for name in sys.modules if name.startswith("circpeft")]:
    del sys.modules[name]
import circpeft
assert len(sys.meta_path) == before
import peft
assert sys.modules["circpeft.hf_peft"].C3AConfig is circpeft.C3AConfig
"""
    run_python(script)


def test_peft_is_imported_as_usual_where_the_list_of_finders_was_exchanged(run_python):
    script = """
import sys
from importlib.metadata import MetadataPathFinder
import circpeft

class Guard:
    def __init__(self, finders):
        self.finders = finders
    def find_spec(self, name, path=None, target=None):
        return next((spec for finder in self.finders if (spec := finder.find_spec(name, path, target))), None)
    def find_distributions(self, *arguments):
        return MetadataPathFinder.find_distributions(*arguments)

sys.meta_path[:] = [Guard(list(sys.meta_path))]
import peft
assert peft.PeftModel and circpeft.C3AConfig
"""
    run_python(script)


def test_loading_goes_through_the_class_that_peft_knows(adapters, method):
    base = AutoModelForSequenceClassification.from_pretrained(adapters / "base")
    assert isinstance(PeftModel.from_pretrained(base, adapters / method.name).peft_config["default"], method.config)
