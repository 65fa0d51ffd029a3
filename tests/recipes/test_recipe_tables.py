"""The recipes of the printed tables: every row has one, with the printed number of parameters."""

import dataclasses
import re

import pytest
from transformers import AutoConfig

from circpeft import costs, recipes, tasks
from circpeft.papers import accounting, numbers, printed
from circpeft.recipes import TABLES, tables
from circpeft.recipes.protocol import C3A_TABLE_3_LORA

PRINTED = {name: (name.split("-")[0], name.split("-")[1]) for name in TABLES}


def cells_of(name: str) -> dict[tuple[str, str], str]:
    """Return the printed scores of a table, by row and column."""
    paper, number = PRINTED[name]
    cells = [cell for cell in printed.cells() if (cell.paper, cell.table) == (paper, number)]
    return {(c.row, c.column): c.printed for c in cells if c.column in TABLES[name].columns and c.printed != "-"}


def model_of(cell) -> str:
    return next(key for key, (hub, _) in tables.MODELS.items() if hub == cell.model)


@pytest.mark.parametrize("name", TABLES)
def test_every_printed_score_has_one_recipe(name):
    cells = [(cell.row, cell.column) for cell in recipes.table(name, seeds=1)]
    assert len(cells) == len(set(cells))
    left_out = set(TABLES[name].left_out)
    assert set(cells) == {key for key in cells_of(name) if key[0] not in left_out}
    assert left_out <= {row for row, _ in cells_of(name)}


@pytest.mark.parametrize("name", TABLES)
def test_tasks_models_and_names(name):
    for cell in recipes.table(name, seeds=1):
        assert tasks.get(cell.task).kind == TABLES[name].kind and cell.data_dir == ""
        assert cell.table == name and cell.row and cell.column
        assert cell.name == recipes.Recipe(**{f: getattr(cell, f) for f in recipes.Recipe.__dataclass_fields__}).name


def test_tables_protocols_plans_and_recipes_cannot_be_changed():
    """They are shared by everything that reads them."""
    plan = recipes.plan_table("c3a-3", rows=["LLaMA2-7B LoRA r=32"], overrides={"LLaMA2-7B LoRA r=32": {"r": [1, 2]}})
    table = TABLES["c3a-3"]
    values = [table, table.rows[0], table.protocol, table.protocol.epochs, plan, plan.cells[0], plan.searches[0]]
    for value in [*values, recipes.Recipe("entailment", "c3a")]:
        for field in dataclasses.fields(value):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(value, field.name, None)


def test_hidden_sizes_are_those_of_the_models():
    for key, (_, hidden) in tables.MODELS.items():
        kind, fields = costs.models.MODELS[key]
        assert AutoConfig.for_model(kind, **fields).hidden_size == hidden


@pytest.mark.parametrize("name", ["c3a-2", "c3a-3", "c3a-4", "cdvft-2", "cdvft-3"])
def test_the_recipes_have_the_printed_number_of_parameters(name):
    paper, number = PRINTED[name]
    compared = 0
    for cell in recipes.table(name, seeds=1):
        column = "# Trainable Parameters" if paper == "c3a" else "Param."
        column = f"GSM8K {column}" if cell.task == "gsm8k" and paper == "cdvft" else column
        column = f"MT-Bench {column}" if cell.task == "alpaca" else column
        [text] = [
            c.printed
            for c in printed.cells()
            if (c.paper, c.table, c.row, c.column) == (paper, number, cell.row, column)
        ]
        if text == "-" or cell.method == "full" and paper == "cdvft":
            continue
        # (IA)3 scales the input of feed-forward layers, which the cost model does not know: see the test below.
        if cell.method == "ia3":
            continue
        targets = list(cell.target_modules) if isinstance(cell.target_modules, tuple) else cell.target_modules
        no_targets = cell.method in ("full", "bitfit")
        counted = {name: value for name, value in cell.options.items() if name not in ("alpha", "dropout")}
        count = costs.model_parameters(
            model_of(cell), cell.method, None if no_targets else targets, counting="paper", **counted
        )
        assert abs(count - numbers.number(text)) <= numbers.half_unit(text) * 1.0001, (cell.row, cell.column)
        compared += 1
    assert compared >= 6


@pytest.mark.parametrize("size", ["base", "large"])
def test_the_layers_of_ia3_give_the_printed_count(size):
    cell = next(c for c in recipes.table("c3a-2") if c.row == f"{size} (IA)3")
    layers = costs.layers(f"roberta-{size}", cell.target_modules)
    [entry] = [accounting.entry("c3a", "2", cell.row, "# Trainable Parameters")]
    vectors = sum(layer.d_in if layer.d_in > layer.d_out else layer.d_out for layer in layers)
    assert vectors == entry.total(entry.reproduces, "parameters")


@pytest.mark.parametrize("name", TABLES)
def test_lora_has_the_printed_alpha_and_dropout_and_elsewhere_alpha_r(name):
    """C3A section 4.3 prints them for its Table 3, nothing else does."""
    sentence = C3A_TABLE_3_LORA.sentence
    r, dropout, lowest, highest = re.search(
        r"r=(\d+) and a dropout rate of ([\d.]+), .* α values ranging from (\d+) to (\d+)", sentence
    ).groups()
    rows = {row.name: row.options for row in TABLES[name].rows if row.method == "lora"}
    assert rows
    for row, options in rows.items():
        if name == "c3a-3":
            assert (options["r"], options["dropout"]) == (int(r), float(dropout)), row
            assert options["alpha"] ** 2 == int(lowest) * int(highest)  # the geometric mean, as docs/sweeps.md says
        else:
            assert set(options) == {"r"}, row  # alpha = r is the method's default


def test_small_profiles_replace_models_and_tasks_and_say_so():
    plan = recipes.plan_table("c3a-4", "cpu", seeds=2)
    assert {cell.task for cell in plan.cells} == {"digits"} and {cell.model for cell in plan.cells} == {"small-vit"}
    assert [cell.label for cell in plan.cells[:4]] == ["head", "full", "lora:r=16", "c3a:block_size=8"]
    assert {entry["row"] for entry in plan.left_out} == {
        row.name for row in TABLES["c3a-4"].rows if "large" in row.name
    }
    assert not plan.printed_model and not plan.printed_columns & {cell.column for cell in plan.cells}
    assert recipes.plan_table("c3a-4").printed_model


def test_rows_for_some_columns_keep_their_columns():
    labels = {(c.row, c.column): c.label for c in recipes.table("cdvft-3", "smoke")}
    assert labels["LoRA", "word_problems for MT-Bench Score"] == "lora:r=64"
    assert labels["LoRA", "word_problems for GSM8K Acc."] == "lora:r=16"
    assert ("VeRA", "word_problems for GSM8K Acc.") not in labels and len(labels) == 9


def test_a_local_copy_of_the_papers_model_adapts_the_layers_of_each_row():
    """With the paper's profile. If the user names layers, they hold for every row."""
    local = {"model": "minilm", "columns": ["RTE"]}
    own = {cell.row: cell.target_modules for cell in recipes.table("c3a-2", **local)}
    hub = {cell.row: cell.target_modules for cell in recipes.table("c3a-2", columns=["RTE"])}
    assert own == {row: hub[row] for row in own} and own["base (IA)3"] != own["base LoRA r=8"]
    given = recipes.table("c3a-2", **local, target_modules="query")
    assert {cell.target_modules for cell in given} == {("query",)}


def test_a_list_names_the_seeds():
    assert {cell.seed for cell in recipes.table("cdvft-1", "smoke", [20240101])} == {20240101}


def test_a_data_folder_gives_the_printed_columns(tmp_path):
    (tmp_path / "rte").mkdir()
    plan = recipes.plan_table("cdvft-1", "cpu", data=tmp_path, epochs=7)
    assert {(c.column, c.task, c.data_dir) for c in plan.cells} == {("RTE", "rte", str(tmp_path / "rte"))}
    assert {c.epochs for c in plan.cells} == {7} and plan.printed_columns >= {"RTE"}
    assert {entry["column"] for entry in plan.left_out} == {"SST-2", "MRPC", "CoLA", "QNLI", "STS-B"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cdvft-4", {}, "unknown table 'cdvft-4'; did you mean 'cdvft-"),
        ("cdvft-1", {"profile": "smok"}, "unknown profile 'smok'; did you mean 'smoke'?"),
        ("cdvft-1", {"rows": ["CDVFT"]}, "unknown row 'CDVFT'; "),
        ("cdvft-1", {"columns": ["SST2"]}, "unknown column 'SST2'; did you mean 'SST-2'?"),
        ("cdvft-1", {"profile": "cpu", "columns": ["SST-2"]}, "unknown column 'SST-2'; .*choices: entailment"),
        ("cdvft-1", {"epoch": 3}, "unknown setting 'epoch'; did you mean 'epochs'?"),
        ("cdvft-1", {"seeds": 0}, "seeds must be an integer of at least 1, got 0"),
        ("cdvft-1", {"data": "nowhere"}, "data folder 'nowhere' has no folder for any column; expected one of: sst2"),
        ("c3a-2", {"profile": "cpu", "rows": ["large BitFit"]}, "nothing to run of c3a-2: large BitFit: minilm"),
    ],
)
def test_the_error_for_an_unknown_name_has_the_nearest_one(name, options, message):
    with pytest.raises(ValueError, match=message):
        recipes.table(name, **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeds": [0, 0, 1]}, "seeds has 0 twice; give each value once"),
        ({"rows": ["LoRA", "LoRA"]}, "the list of rows has 'LoRA' twice"),
        ({"columns": ["entailment", "entailment"]}, "the list of columns has 'entailment' twice"),
    ],
)
def test_a_seed_row_or_column_that_is_given_twice_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        recipes.plan_table("cdvft-1", "cpu", **given)
