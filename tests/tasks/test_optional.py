"""The optional column of a task's prompts is never lost silently."""

import pytest

from circpeft import tasks

ROWS = [{"instruction": f"Say {i}.", "input": f"in {i}", "output": f"{i}"} for i in range(4)]
BARE = [{name: text for name, text in row.items() if name != "input"} for row in ROWS]


@pytest.mark.parametrize("without", ["train", "validation", "test"])
def test_a_split_without_the_column_gets_an_empty_one(data_folder, without):
    parts = {"train": ROWS, "validation": ROWS, "test": ROWS} | {without: BARE}
    data, _ = tasks.load("alpaca", data_folder(**parts))
    for split, part in data.items():
        assert part["input"][:] == [None if split == without else row["input"] for row in ROWS]
    prompt = tasks.get("alpaca").prompt(data[without][1])
    assert prompt == "### Instruction:\nSay 1.\n\n### Response:\n"
    assert data["train"].features == data["test"].features


def test_no_split_has_the_column(data_folder):
    data, _ = tasks.load("alpaca", data_folder(train=BARE, validation=BARE, test=BARE))
    assert data["train"].to_list() == BARE


@pytest.mark.parametrize("name", ["Input", "input ", "INPUT"])
def test_a_misspelt_optional_column_is_refused(data_folder, name):
    rows = [{name if column == "input" else column: text for column, text in row.items()} for row in ROWS]
    with pytest.raises(ValueError, match=f"'input' is missing in split test of task 'alpaca'; rename '{name}': cap"):
        tasks.load("alpaca", data_folder(train=ROWS, validation=ROWS, test=rows))
