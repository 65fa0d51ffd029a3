"""What must hold for any input of a reader, as functions of that input; each returns what became of it.

The tests of this folder call them with generated inputs, and `coverage_guided.py` with those that reach new code.
"""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from circpeft import data_folders, recipes, results, run_files
from circpeft.tasks.scoring import answers, comparisons, formulas

from .bounds import within

SECONDS = 5  # of processor time
LONGEST_ERROR = 5_000  # characters, for an input of at most as many
RECORDS = (results.read, run_files.read_sweep, run_files.read_course, run_files.read_judged, run_files.read_progress)
OPTIONS = data_folders.TaskOptions(text_columns=("sentence",))


def sweep_file(path: Path, content: bytes) -> str:
    """A sweep file is a plan, whose runs have names, or one ValueError that names the file in one line."""
    path.write_bytes(content)
    try:
        with within(SECONDS):
            plan = recipes.plan_file(path, output_dir=path.parent / "out")
    except ValueError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return "refused"
    named = [describe(cell) for cell in islice(plan.cells, 10)]
    assert named, "a plan without runs"
    return "read"


def method_text(text: str) -> str:
    """A text of methods is a list of methods, each of which a recipe takes or refuses, or one ValueError."""
    try:
        with within(SECONDS):
            methods = recipes.parse_methods(text)
    except ValueError as error:
        assert "\n" not in str(error)
        return "refused"
    for name, hyperparameters in methods:
        try:
            recipe = recipes.Recipe("entailment", name, hyperparameters=hyperparameters)
        except ValueError:
            return "refused by the recipe"
        describe(recipe)
    return "read"


def describe(recipe: recipes.Recipe) -> str:
    """Return a run's name, or "" if its method has no rate: then the method is unknown."""
    assert recipe.label
    try:
        with within(SECONDS):
            return recipe.name
    except ValueError as error:
        assert "no learning_rate for method" in str(error)
        return ""


def scoring(reference: str, answer: str) -> str:
    """Every comparison of an answer with a reference has a result, and a reference is equal to itself."""
    with within(SECONDS):
        same = {
            "number": comparisons.same_number(reference, answer),
            "mathematics": comparisons.same_mathematics(reference, answer),
            "meaning": comparisons.same_meaning(reference, answer),
            "query": comparisons.same_query(reference, answer),
        }
    assert all(isinstance(value, bool) for value in same.values())
    with within(SECONDS):
        assert comparisons.same_meaning(reference, reference) and comparisons.same_query(reference, reference)
        assert not answers.has_number(reference) or comparisons.same_number(reference, reference)
        assert not formulas.has_formula(reference) or comparisons.same_mathematics(reference, reference)
    return "right" if any(same.values()) else "wrong"


def table(path: Path, content: bytes) -> str:
    """A table is rows that can be looked at, or one ValueError that names the file or its folder."""
    path.write_bytes(content)
    try:
        with within(SECONDS):
            rows = data_folders.read_folder(path.parent, OPTIONS)["train"]
    except ValueError as error:
        assert str(path.parent) in str(error) and len(str(error)) < LONGEST_ERROR
        return "refused"
    assert len(rows.to_list()) == len(rows) > 0
    return "read"


def record(path: Path, content: bytes) -> str:
    """A file of an output folder is a record, a sweep, a course run, scores or progress, or one ValueError for each."""
    path.write_bytes(content)
    refused = 0
    for read in RECORDS:
        try:
            with within(SECONDS):
                read(path)
        except ValueError as error:
            assert path.name in str(error) and "\n" not in str(error) and len(str(error)) < LONGEST_ERROR
            refused += 1
    return "refused" if refused == len(RECORDS) else "read"


def adapter_config(path: Path, content: bytes) -> str:
    """The config of an adapter is accepted, or refused by one ValueError that names the file."""
    from circpeft.hf_peft.config_file import check_config
    from circpeft.hf_peft.config_json import read_config

    return _accepted(path, content, lambda: check_config(path, read_config(path)))


def adapter_header(path: Path, content: bytes) -> str:
    """The header of an adapter file is read, or refused by one ValueError that names the file."""
    from circpeft.hf_peft.adapter_file import read_header

    return _accepted(path, content, lambda: read_header(str(path)))


def _accepted(path: Path, content: bytes, read: Callable[[], object]) -> str:
    path.write_bytes(content)
    try:
        with within(SECONDS):
            read()
    except ValueError as error:
        assert str(path) in str(error) and len(str(error)) < LONGEST_ERROR
        return "refused"
    return "read"
