"""The protocol of each table is that of the sentence beside it, and the recipes follow it."""

import re

import pytest

from circpeft import recipes, results
from circpeft.recipes import PROFILES, PROTOCOLS, TABLES
from circpeft.recipes.protocol import C3A_TABLE_3_LORA

WORDS = {"single": 1}  # numbers that are printed as words
# What a sentence has to contain for each value that is taken from it.
EVIDENCE = {
    ("tested_epoch", "best"): "best-performing model",
    ("tested_epoch", "last"): r"after \d+ epochs|single pass",
    ("statistic", "median"): "median",
    ("statistic", "mean"): "mean",
}
PRINTED = [(t, name, c) for t, p in PROTOCOLS.items() for name, c in p.choices().items() if c.is_printed]


def test_every_table_has_a_protocol():
    assert set(PROTOCOLS) == set(TABLES) and all(TABLES[name].protocol is PROTOCOLS[name] for name in TABLES)


@pytest.mark.parametrize(("table", "name", "choice"), PRINTED, ids=lambda part: part if isinstance(part, str) else "")
def test_a_printed_choice_is_in_its_sentence(table, name, choice):
    assert choice.place and not choice.note
    if name in ("epochs", "seeds"):
        unit = {"epochs": "epoch", "seeds": "runs"}[name]
        [(text, word)] = re.findall(rf"(\d+) {unit}|({'|'.join(WORDS)}) pass \({unit}\)", choice.sentence)
        assert choice.value == (int(text) if text else WORDS[word])
    else:
        assert re.search(EVIDENCE[name, choice.value], choice.sentence)


@pytest.mark.parametrize("table", PROTOCOLS)
def test_a_choice_of_ours_says_that_nothing_is_printed(table):
    for choice in PROTOCOLS[table].choices().values():
        assert choice.is_printed or (choice.note.startswith("not printed: ") and not choice.place)


def test_what_the_papers_print():
    """Only CDVFT Table 1 prints medians and a number of runs; two tables choose on validation, two test the last."""
    printed = {(table, name) for table, name, _ in PRINTED}
    assert {table for table, name in printed if name in ("statistic", "seeds")} == {"cdvft-1"}
    assert {t for t, n in printed if n == "tested_epoch"} == {"cdvft-2", "c3a-2", "c3a-3", "c3a-4"}
    values = {table: (p.tested_epoch.value, p.statistic.value, p.seeds.value) for table, p in PROTOCOLS.items()}
    assert values == {
        "cdvft-1": ("best", "median", 5),
        "cdvft-2": ("last", "mean", 1),
        "cdvft-3": ("last", "mean", 1),
        "c3a-2": ("best", "mean", 1),
        "c3a-3": ("last", "mean", 1),
        "c3a-4": ("best", "mean", 1),
    }
    epochs = {table: p.epochs.value for table, p in PROTOCOLS.items() if p.epochs.is_printed}
    assert epochs == {"cdvft-2": 10, "c3a-3": 1, "c3a-4": 10}


@pytest.mark.parametrize("table", TABLES)
def test_the_recipes_follow_the_protocol(table):
    protocol, plan = PROTOCOLS[table], recipes.plan_table(table)
    cells = plan.cells
    assert {cell.tested_epoch for cell in cells} == {protocol.tested_epoch.value}
    assert {cell.hold_out for cell in cells} == {protocol.tested_epoch.value == "best"}
    assert (plan.statistic, plan.seeds) == (protocol.statistic.value, protocol.seeds.value)
    assert {cell.seed for cell in cells} == set(range(protocol.seeds.value))
    if protocol.epochs.is_printed:
        assert {cell.epochs for cell in cells} == {protocol.epochs.value}


def test_arguments_replace_the_protocol():
    plan = recipes.plan_table("cdvft-2", seeds=2, epochs=3, tested_epoch="best")
    assert {(c.epochs, c.tested_epoch, c.hold_out, c.seed) for c in plan.cells} == {
        (3, "best", True, 0),
        (3, "best", True, 1),
    }
    assert recipes.plan_table("cdvft-1", "smoke").seeds == 1
    with pytest.raises(ValueError, match="unknown tested_epoch 'first'; choices: best, last"):
        recipes.plan_table("cdvft-2", tested_epoch="first")


PAGE = (results.ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
SHOWN = {"best": "the best on validation", "last": "the last", "mean": "the mean", "median": "the median"}


@pytest.mark.parametrize("table", TABLES)
def test_the_page_has_the_protocol_and_its_sentences(table):
    own_epochs = PROFILES[TABLES[table].kind]["paper"]["epochs"]
    cells = [f"`{table}`"]
    for choice in PROTOCOLS[table].choices().values():
        text = SHOWN.get(choice.value, str(choice.value or own_epochs))
        cells.append(text if choice.is_printed else f"not printed; ours: {text}")
        if choice.is_printed:
            assert f'- `{table}`, {choice.place}: "{choice.sentence}"' in PAGE.replace("\n  ", " ")
    assert f"| {' | '.join(cells)} |" in PAGE


def test_notebook_12_says_which_table_has_medians():
    medians = [table for table, protocol in PROTOCOLS.items() if protocol.statistic.value == "median"]
    notebook = (results.ROOT / "notebooks" / "12_results.ipynb").read_text(encoding="utf-8")
    assert medians == ["cdvft-1"] and "**median** over the seeds in CDVFT Table 1, whose caption says so" in notebook


def test_the_page_has_the_sentence_about_lora():
    text = PAGE.replace("\n", " ")
    assert f'"{C3A_TABLE_3_LORA.sentence}"' in text and f"`alpha={C3A_TABLE_3_LORA.value['alpha']}`" in text
