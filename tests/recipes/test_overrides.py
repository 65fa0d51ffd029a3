"""Overrides of single rows, and grids: in Python and in files; and the errors for those that no run could have."""

import pytest

from circpeft import recipes

LORA, C3A = "LLaMA2-7B LoRA r=32", "LLaMA2-7B C3A b=4096/32"


def test_an_override_changes_one_row():
    given = {LORA: {"alpha": 128, "epochs": 2, "target_modules": "q_proj, k_proj"}, "all": {"learning_rate": 1e-4}}
    plain, changed = (recipes.table("c3a-3", columns=["MATH"], overrides=o) for o in ({}, given))
    assert len(changed) == len(plain) == 6
    for before, after in zip(plain, changed, strict=True):
        assert after.rates[0] == 1e-4 and (after.row == LORA) == (after.epochs == 2)
        if after.row == LORA:
            assert after.options == {"r": 32, "alpha": 128, "dropout": 0.05}
            assert after.target_modules == ("q_proj", "k_proj")
        else:
            assert after.options == before.options and after.target_modules == before.target_modules


def test_what_a_row_has_goes_before_all():
    cells = recipes.table("c3a-3", columns=["MATH"], overrides={LORA: {"epochs": 2}, "all": {"epochs": 3}})
    assert {(cell.row == LORA, cell.epochs) for cell in cells} == {(True, 2), (False, 3)}


def test_an_override_of_the_tested_epoch_holds_rows_out_for_it():
    [cell] = recipes.table("c3a-3", rows=[LORA], columns=["MATH"], overrides={LORA: {"tested_epoch": "best"}})
    assert (cell.tested_epoch, cell.hold_out) == ("best", True)


def test_held_out_rows_that_are_asked_for_stay_whatever_epoch_is_tested():
    given = {"columns": ["RTE"], "rows": ["base BitFit"], "overrides": {"all": {"tested_epoch": "last"}}}
    [asked], [usual] = (recipes.table("c3a-2", **given, **more) for more in ({"hold_out": True}, {}))
    assert (asked.tested_epoch, asked.hold_out, usual.hold_out) == ("last", True, False)


def test_another_model_of_a_row_has_its_block_size_and_is_not_that_of_the_paper():
    def plan(**override) -> recipes.Plan:
        given = {"rows": ["CDVFT p=768"], "columns": ["RTE"], "seeds": 1}
        return recipes.plan_table("cdvft-1", **given, overrides={"CDVFT p=768": override})

    assert plan(epochs=1).printed_model and plan(epochs=1).cells[0].options == {"block_size": 768}
    assert not plan(model="minilm").printed_model and plan(model="minilm").cells[0].options == {"block_size": 384}
    assert plan(model="minilm", block_size=128).cells[0].options == {"block_size": 128}


def test_a_list_of_layers_is_one_value_and_not_a_grid():
    lists = {"target_modules": ["q_proj", "k_proj"], "target_parameters": ["experts.down_proj"]}
    plan = recipes.plan_table("c3a-3", rows=[LORA], columns=["MATH"], overrides={LORA: lists})
    assert not plan.searches and plan.cells[0].target_modules == ("q_proj", "k_proj")
    assert plan.cells[0].target_parameters == ("experts.down_proj",)


def test_a_grid_is_tried_with_the_first_seed_and_the_choice_has_all():
    grid = {LORA: {"alpha": [32, 64], "learning_rate": [1e-4, 3e-4]}}
    plan = recipes.plan_table("c3a-3", seeds=3, columns=["MATH", "SQL"], rows=[LORA, C3A], overrides=grid)
    assert [(s.row, s.column, s.seeds) for s in plan.searches] == [(LORA, "MATH", (0, 1, 2)), (LORA, "SQL", (0, 1, 2))]
    [first, _] = plan.searches
    combinations = [(32, 1e-4), (32, 3e-4), (64, 1e-4), (64, 3e-4)]
    assert [(c.options["alpha"], c.rates[0]) for c in first.candidates] == combinations
    assert [tuple(values.values()) for values in first.values] == combinations
    assert {c.seed for c in first.candidates} == {0} and len(plan.cells) == 2 * 4 + 2 * 3
    assert not any((c.row, c.column) == (LORA, "MATH") for c in plan.listed)
    chosen = plan.with_choices({0: 2})
    of_row = [cell for cell in chosen.cells if cell.row == LORA]
    assert [(c.column, c.options["alpha"], c.rates[0], c.seed) for c in of_row] == [
        ("MATH", 64, 1e-4, seed) for seed in range(3)
    ]
    assert of_row[0] is not first.candidates[2] and of_row[0].name == first.candidates[2].name
    assert not chosen.searches
    assert sum(cell.row == LORA for cell in chosen.listed) == 3 and len(chosen.cells) == 3 + 2 * 3


def test_one_value_in_a_list_is_no_search():
    plan = recipes.plan_table("c3a-3", columns=["MATH"], overrides={LORA: {"alpha": [32]}})
    assert not plan.searches and {c.options["alpha"] for c in plan.cells if c.row == LORA} == {32}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"LoRA": {"alpha": 8}},
            "an override is for the unknown row 'LoRA'; did you mean 'LLaMA2-7B LoRA r=32'?|choices",
        ),
        (
            {LORA: {"aplha": 8}},
            "row '.*LoRA.*': 'aplha' is neither a hyperparameter of 'lora' nor a setting; .*'alpha'",
        ),
        ({"all": {"alpha": 8, "r": 8}}, "row 'all': 'r' is neither a hyperparameter of 'c3a' nor a setting"),
        ({LORA: {"alpha": []}}, "row '.*': alpha has an empty list of values; give one or more"),
        ({LORA: {"alpha": [8, 16, 8]}}, "row '.*': alpha has 8 twice; give each value once"),
        ({LORA: 8}, "the override of row '.*' must be names with their values, got 8"),
        ({LORA: {"seed": 8}}, "'seed' is neither a hyperparameter of 'lora' nor a setting"),
        ({LORA: {"epochs": 0}}, "epochs must be an integer of at least 1, got 0"),
        ({LORA: {"learning_rate": "fast"}}, "learning_rate of method 'lora' must be a positive number, got 'fast'"),
    ],
)
def test_an_override_that_no_run_could_have(overrides, message):
    with pytest.raises(ValueError, match=message):
        recipes.plan_table("c3a-3", overrides=overrides)


def test_an_unknown_statistic_is_named_with_the_choices():
    with pytest.raises(ValueError, match="unknown statistic 'mode'; .*mean, median"):
        recipes.plan_table("c3a-3", statistic="mode")
    assert recipes.plan_table("c3a-3", statistic="median").statistic == "median"


OWN = 'profile = "smoke"\ntasks = ["entailment"]\nmethods = ["lora:r=4", "c3a"]\nseeds = 2\n'
PRINTED = 'table = "c3a-4"\nprofile = "smoke"\nrows = ["base LoRA r=16", "base Head"]\n'


def test_a_file_has_overrides(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(OWN + '[overrides."lora:r=4"]\nlearning_rate = [1e-3, 1e-2]\n[overrides.c3a]\nepochs = 3\n')
    plan = recipes.plan_file(path)
    [search] = plan.searches
    assert [c.rates[0] for c in search.candidates] == [1e-3, 1e-2] and search.row == "lora:r=4"
    assert {c.epochs for c in plan.cells if c.row == "c3a"} == {3}
    replaced = recipes.plan_file(path, overrides={"lora:r=4": {"learning_rate": 0.5}, "all": {"epochs": 2}})
    assert not replaced.searches and {(c.row, c.epochs) for c in replaced.cells} == {("lora:r=4", 2), ("c3a", 3)}


def test_a_file_may_be_a_printed_table(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(PRINTED + '[overrides."base LoRA r=16"]\nalpha = 32\n[settings]\nepochs = 2\n')
    plan = recipes.plan_file(path, output_dir=tmp_path)
    assert (plan.name, plan.table, plan.profile, plan.seeds) == ("mine", "c3a-4", "smoke", 1)
    assert {cell.label for cell in plan.cells} == {"lora:alpha=32:r=16", "head"}
    assert {(cell.epochs, cell.output_dir) for cell in plan.cells} == {(2, str(tmp_path))}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OWN + '[overrides."lora:r=8"]\nalpha = 3\n', "mine.toml: an override is for the unknown row 'lora:r=8'"),
        (
            OWN + "[overrides]\nlora = 3\n",
            "mine.toml: the override of row 'lora' must be names with their values, got 3",
        ),
        (OWN + 'rows = ["lora"]\n', "leave out rows: only tables have it"),
        (PRINTED + 'tasks = ["rte"]\n', "leave out tasks: a printed table has its own tasks and methods"),
        (PRINTED.replace("c3a-4", "c3a-9"), "mine.toml: unknown table 'c3a-9'"),
    ],
)
def test_the_error_of_a_file_names_it(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        recipes.plan_file(path)
