"""Sweep files: what a valid one describes, and the error for an invalid one."""

import pytest

from circpeft import recipes, results

GOOD = 'profile = "smoke"\ntasks = ["entailment", "cola"]\nmethods = ["c3a:block_size=64", "lora"]\nseeds = 2\n'


def test_rows_are_methods_and_columns_are_tasks(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD + 'data = "sets"\nstatistic = "median"\n[settings]\nepochs = 4\nmax_train = 10\n')
    plan = recipes.plan_file(path, output_dir=tmp_path / "out")
    assert (plan.name, plan.table, plan.profile, plan.seeds, plan.statistic) == ("mine", "", "smoke", 2, "median")
    assert [(c.row, c.column, c.seed) for c in plan.cells[:3]] == [
        ("c3a:block_size=64", "entailment", 0),
        ("c3a:block_size=64", "cola", 0),
        ("lora", "entailment", 0),
    ]
    assert len(plan.cells) == 8 and {(c.epochs, c.max_train) for c in plan.cells} == {(4, 10)}
    assert {c.data_dir for c in plan.cells} == {str(tmp_path / "sets" / task) for task in ("entailment", "cola")}
    assert {c.output_dir for c in plan.cells} == {str(tmp_path / "out")} and not plan.printed_columns


def test_what_a_file_leaves_out(tmp_path):
    """One seed, the profile cpu and a folder of its own; for a printed table the paper's seeds in its profile."""
    path = tmp_path / "mine.toml"
    path.write_text('tasks = ["entailment"]\nmethods = ["c3a"]\n')
    plan = recipes.plan_file(path)
    assert (plan.profile, plan.seeds, plan.statistic) == ("cpu", 1, "mean")
    assert plan.cells[0].output_dir == str(results.default_folder("mine-cpu").resolve())
    path.write_text('table = "cdvft-1"\nprofile = "paper"\n')
    plan = recipes.plan_file(path)
    assert (plan.seeds, plan.statistic) == (5, "median")


def test_the_data_of_a_printed_table_is_beside_the_file_or_where_the_argument_says(tmp_path):
    for task in ("sets/rte", "other/mrpc"):
        (tmp_path / task).mkdir(parents=True)
    path = tmp_path / "mine.toml"
    path.write_text('table = "cdvft-1"\ndata = "sets"\n')
    for given, task in (({}, "sets/rte"), ({"data": tmp_path / "other"}, "other/mrpc")):
        plan = recipes.plan_file(path, **given)
        assert {(c.task, c.data_dir) for c in plan.cells} == {(task.partition("/")[2], str(tmp_path / task))}
    path.write_text('table = "cdvft-1"\n')
    assert {(c.task, c.data_dir) for c in recipes.plan_file(path).cells} == {("entailment", "")}


def test_arguments_replace_values_of_the_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD + "[settings]\nepochs = 4\n")
    plan = recipes.plan_file(path, "cpu", 1, epochs=9)
    assert (plan.profile, plan.seeds, len(plan.cells)) == ("cpu", 1, 4) and {c.epochs for c in plan.cells} == {9}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks = [", "is not TOML"),
        (GOOD + "seed = 3\n", "unknown key 'seed'; did you mean 'seeds'?"),
        (GOOD.replace("seeds = 2", 'seeds = "2"'), "seeds must be of type int, got '2'"),
        ('tasks = ["rte"]\n', "methods must be a list of names"),
        ('tasks = []\nmethods = ["c3a"]\n', "tasks must be a list of names"),
        (
            GOOD.replace('"lora"', '"lora", "lora"'),
            "methods has 'lora' twice; for more runs of it raise seeds",
        ),
        (GOOD + "[settings]\nepoch = 3\n", "unknown setting 'epoch'; did you mean 'epochs'?"),
        (GOOD + "[settings]\nepochs = 0\n", "epochs must be an integer of at least 1, got 0"),
        (GOOD + 'statistic = "mode"\n', "unknown statistic 'mode'; "),
        (GOOD.replace('"lora"', '"lra:r=4"'), "mine.toml: unknown method 'lra'; did you mean 'lora'?"),
        (GOOD.replace('"cola"', '"col"'), "unknown task 'col'; did you mean 'cola'?"),
        (GOOD.replace("smoke", "smoky"), "unknown profile 'smoky'; did you mean 'smoke'?"),
        (GOOD.replace("seeds = 2", "seeds = -1"), "seeds must be an integer of at least 1, got -1"),
    ],
)
def test_the_error_for_an_invalid_file_names_it_and_the_value(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        recipes.plan_file(path)


def test_a_file_must_not_have_the_name_of_a_table(tmp_path):
    path = tmp_path / "cdvft-1.toml"
    path.write_text(GOOD)
    with pytest.raises(ValueError, match="has the name of a printed table"):
        recipes.plan_file(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no recipe file"):
        recipes.plan_file(tmp_path / "none.toml")
