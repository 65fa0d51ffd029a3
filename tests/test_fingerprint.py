"""The fingerprint of the code: prose does not change it, and whatever can change a result does."""

import ast
import json
import time
from pathlib import Path

import pytest

import circpeft
from circpeft.fingerprint import NOT_TRAINING, PACKAGE, executed, fingerprint, serialised

SOURCE = '''"""A module."""
import warnings
from functools import cache


def shown(x):
    return x


@cache
def rate(step, warmup=4):
    """Return a rate."""
    if step < 0:
        raise ValueError(f"step must be at least 0, got {step}")  # a remark
    if step > 100:
        warnings.warn("a long warmup", stacklevel=2)
    return 0.5 * step / warmup


UNIT = "a long warmup"
'''
FILES = {
    "__init__.py": "",
    "training/__init__.py": "from .. import rates\n\n\ndef run():\n    from ..tasks import load\n",
    "rates.py": SOURCE,
    "shared.py": "ONE = 1\n",
    "tasks/__init__.py": "",
    "tasks/hidden.py": "from .. import shared\n",
    "plots/__init__.py": "from ..training import run\n",
    "report.py": "from . import plots, rates\n",
    "backends/__init__.py": "",
    "backends/fast.py": "TWO = 2\n",
    "costs.py": "THREE = 3\n",
}


@pytest.fixture
def package(tmp_path):
    """Return a function that writes a small package and returns its folder. Arguments replace files."""

    def write(**changed: str) -> Path:
        folder = tmp_path / "small"
        for name, text in {**FILES, **{f"{name}.py": text for name, text in changed.items()}}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return folder

    return write


def fingerprint_of(folder: Path) -> str:
    return fingerprint(folder, "small.training")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another text."""'),
        ('"""A module."""', ""),
        ('"""Return a rate."""', '"""Return the rate of a step."""\n    "more"'),
        ("# a remark", "# a comment"),
        ("\n\n\nUNIT", "\n\n\n\n\nUNIT"),
        ('f"step must be at least 0, got {step}"', 'f"got {step!r}; " "expected at least 0"'),
        ('f"step must be at least 0, got {step}"', '"bad step: " + str(step)'),
        ('warn("a long warmup"', 'warn("more than 100 steps"'),
        ("0.5 * step / warmup", "(0.5 * step) / warmup"),
        ('UNIT = "', 'UNIT = u"'),
    ],
)
def test_prose_and_formatting_leave_it_as_it_is(package, old, new):
    before = fingerprint_of(package())
    assert old in SOURCE
    assert fingerprint_of(package(rates=SOURCE.replace(old, new))) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.5", "0.25"),
        ("0.5 * step", "0.5 + step"),
        ("warmup=4", "warmup=8"),
        ("@cache\n", ""),
        ("step < 0", "step <= 0"),
        ("step < 0", "None"),
        ("ValueError", "TypeError"),
        ("stacklevel=2", "category=UserWarning"),
        ('UNIT = "a long warmup"', 'UNIT = "short"'),
        ("import warnings", "import warnings\nimport os"),
        ("    return x", "    return None"),
        ("    return x", "    pass"),
        ('raise ValueError(f"step must be at least 0, got {step}")', "raise ValueError(step)"),
        ('raise ValueError(f"step must be at least 0, got {step}")', 'return f"step must be at least 0, got {step}"'),
    ],
)
def test_what_can_change_a_result_changes_it(package, old, new):
    before = fingerprint_of(package())
    assert old in SOURCE
    assert fingerprint_of(package(rates=SOURCE.replace(old, new))) != before


def test_the_text_of_a_warning_for_the_caller_is_prose_too(package):
    old = 'warnings.warn("a long warmup", stacklevel=2)'
    assert old in SOURCE
    calls = ['warn_caller("a long warmup")', 'warn_caller("more than 100 steps")', 'warn_other("a long warmup")']
    first, second, other = (fingerprint_of(package(rates=SOURCE.replace(old, call))) for call in calls)
    assert first == second != other


def test_only_what_training_executes_is_in_it(package):
    folder = package()
    names = {"small", "small.training", "small.rates", "small.tasks", "small.tasks.hidden", "small.shared"}
    assert set(executed(folder, "small.training")) == names
    before = fingerprint_of(folder)
    for name in ("plots/__init__", "report", "backends/fast", "costs"):
        assert fingerprint_of(package(**{name: "changed = True\n"})) == before
    assert fingerprint_of(package(**{"tasks/hidden": "changed = True\n"})) != before
    assert fingerprint_of(package(shared="ONE = 2\n")) != before


def test_a_package_without_source_files_is_refused(package):
    folder = package()
    for path in folder.rglob("*.py"):
        path.rename(path.with_suffix(".pyc"))
    with pytest.raises(FileNotFoundError, match="no source code of small.training in .*small.*; install circpeft as"):
        fingerprint_of(folder)


def test_a_new_import_brings_its_module_in(package):
    inside = SOURCE.replace("    return x", "    from . import report\n    return x")
    assert {"small.report", "small.plots"} <= set(executed(package(rates=inside), "small.training"))
    before = fingerprint_of(package(rates=inside))
    assert fingerprint_of(package(rates=inside, report=FILES["report.py"] + "shown = 1\n")) != before


@pytest.mark.parametrize("text", ["small.backends.fast", "small.backends.fast:matmul", ".backends.fast", "small.costs"])
def test_a_string_that_names_a_module_brings_it_in_unless_it_only_counts_or_shows(package, text):
    found = executed(package(rates=f'{SOURCE}\nNAMED = "{text}"\n'), "small.training")
    assert ("small.backends.fast" in found) == ("backends" in text)
    assert "small.costs" not in found


def test_the_text_does_not_depend_on_the_version_of_python():
    """Absent and empty fields are left out; pieces of an f-string are joined."""
    tree = ast.parse('def f(a, *, b=None): return f"{a:>{b}} {{" "x" f"{b!r}"')
    written = serialised(tree)
    for field in ("type_params", "type_comment", "kind", "decorator_list", "ctx"):
        assert field not in written
    assert "Constant(value=str:' {x')" in written and "value=None" in written


def test_real_runs_load_no_module_that_is_not_in_it(run_python, tmp_path):
    code = """
import json, sys
from circpeft import recipes, training
runs = ("entailment", "c3a", "minilm"), ("digits", "lamda", "small-vit"), ("word_problems", "cdvft", "small-llama")
options = {"max_train": 8, "max_eval": 4, "epochs": 1, "batch_size": 4, "max_length": 512, "max_new_tokens": 2}
options |= {"target_modules": "all-linear", "output_dir": sys.argv[1]}
for task, method, model in runs:
    training.run(recipes.Recipe(task, method, model=model, **options))
print(json.dumps(["loaded"] + [name for name in sys.modules if name.split(".")[0] == "circpeft"]))
"""
    [line] = [line for line in run_python(code, tmp_path).splitlines() if line.startswith('["loaded"')]
    loaded = set(json.loads(line)[1:])
    assert {"circpeft.training", "circpeft.adapters.c3a", "circpeft.methods.lamda", "circpeft.ops"} <= loaded
    assert loaded <= set(executed())


def test_every_subpackage_is_training_or_listed_as_something_else():
    folder = Path(circpeft.__file__).parent
    parts = {path.relative_to(folder).with_suffix("").parts[0] for path in folder.rglob("*.py")}
    inside = {name.split(".")[1] for name in executed() if "." in name}
    assert inside.isdisjoint(NOT_TRAINING)
    assert parts - inside == {*NOT_TRAINING, "__init__", "__main__", "fingerprint"} - inside


def test_it_costs_little_more_than_parsing():
    # A comparison within one process: seconds would measure the machine.
    def least_seconds(function):
        seconds = []
        for _ in range(4):
            started = time.process_time()
            function()
            seconds.append(time.process_time() - started)
        return min(seconds)

    files = [path.read_bytes() for path in PACKAGE.rglob("*.py")]
    assert least_seconds(fingerprint) < 3 * least_seconds(lambda: [ast.parse(file) for file in files])
