"""Instruction tasks: prompts, invalid data, and how missing splits are made."""

import pytest
from datasets import Dataset, DatasetDict

from circpeft import tasks
from circpeft.tasks import embedded, instruction_sets, splits

ROWS = {  # a row of each task in its published schema, and what a model is asked
    "word_problems": (
        {"question": "Anna has 3 plums.", "answer": "#### 3", "kind": "more"},
        "Anna has 3 plums.",
    ),
    "gsm8k": ({"question": "1 + 1?", "answer": "#### 2"}, "1 + 1?"),
    "math": ({"problem": "Solve $x=1$.", "solution": r"\boxed{1}"}, "Solve $x=1$."),
    "viggo": (
        {"target": "Worms is from 1995.", "meaning_representation": "inform(name[Worms])"},
        "Write the meaning representation of this sentence.\n\nWorms is from 1995.",
    ),
    "sql": (
        {"context": "CREATE TABLE t (a INT)", "question": "How many?", "answer": "SELECT COUNT(*) FROM t"},
        "CREATE TABLE t (a INT)\n\nWrite an SQL query that answers: How many?",
    ),
    "alpaca": ({"instruction": "Name a {colour}.", "input": "", "output": "Red."}, "Name a {colour}."),
}


def numbered(count: int, start: int = 0) -> list[dict]:
    return [{"question": f"question {i}", "answer": f"#### {i}"} for i in range(start, start + count)]


def numbers(rows: Dataset) -> list[int]:
    return [int(text.split()[-1]) for text in rows["question"]]


def data(**parts: list[dict]) -> DatasetDict:
    return DatasetDict({split: Dataset.from_list(rows) for split, rows in parts.items()})


def test_every_task_has_its_case_here():
    assert set(ROWS) == set(instruction_sets.TASKS)


@pytest.mark.parametrize("name", ROWS)
def test_prompts(name):
    row, asked = ROWS[name]
    assert tasks.get(name).prompt(row) == f"### Instruction:\n{asked}\n\n### Response:\n"


@pytest.mark.parametrize("name", ROWS)
def test_the_answer_is_the_last_column_and_not_in_the_prompt(name):
    task, (row, _) = tasks.get(name), ROWS[name]
    assert task.answer_column in row
    assert task.prompt(row) == task.prompt(row | {task.answer_column: "something else"})
    assert task.prompt(row) != task.prompt(row | dict.fromkeys(task.columns[:-1], "something else"))


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"input": "red, 5"}, "Is it a colour?\n\nred, 5"),
        ({"input": ""}, "Is it a colour?"),
        ({"input": " \n"}, "Is it a colour?"),
        ({"input": None}, "Is it a colour?"),
        ({}, "Is it a colour?"),
    ],
    ids=["input", "empty", "blank", "None", "no such column"],
)
def test_alpaca_with_and_without_an_input(given, asked):
    prompt = tasks.get("alpaca").prompt({"instruction": "Is it a colour?", "output": "Yes.", **given})
    assert prompt == f"### Instruction:\n{asked}\n\n### Response:\n"


@pytest.mark.parametrize("name", ROWS)
def test_a_right_answer_scores_one_and_a_wrong_one_zero(name):
    task, (row, _) = tasks.get(name), ROWS[name]
    right = row[task.answer_column]
    if task.same is None:
        assert task.metric == "negative_loss"
        with pytest.raises(ValueError, match="'alpaca' does not compare answers"):
            task.score([right], [right])
    else:
        assert task.metric == "exact_match"
        assert task.score([right] * 4, [right, right, "something else", right]) == 0.75


def test_the_numbers_of_answers_and_references_must_agree():
    with pytest.raises(ValueError):
        tasks.get("gsm8k").score(["#### 1", "#### 2"], ["#### 1"])


@pytest.mark.parametrize("name", ROWS)
def test_prepared_data_keeps_what_the_task_uses(name):
    row, _ = ROWS[name]
    ready = tasks.get(name).prepare(data(train=[row | {"idx": 1}], challenge=[row]))
    assert list(ready) == ["train"]
    assert ready["train"].to_list() == [row]


@pytest.mark.parametrize("name", ROWS)
def test_a_missing_column_names_the_nearest(data_folder, name):
    task, (row, _) = tasks.get(name), ROWS[name]
    for column in task.columns:
        wrong = {key + "s" if key == column else key: text for key, text in row.items()}
        with pytest.raises(
            ValueError, match=f"column '{column}' is missing in split test.*; rename '{column}s' to '{column}'"
        ):
            tasks.load(name, data_folder(train=[row], test=[wrong]))


@pytest.mark.parametrize(
    ("text", "shown"), [(None, "None"), (1.5, r"1\.5"), (["a"], r"\['a'\]"), ({"a": 1}, r"\{'a': 1\}")]
)
@pytest.mark.parametrize("column", ["question", "answer"])
def test_a_value_that_is_not_a_text(column, text, shown):
    rows = [numbered(1)[0] | {column: text}]
    with pytest.raises(ValueError, match=f"row 0 of split train of task 'gsm8k' has {shown} in column '{column}'"):
        tasks.get("gsm8k").prepare(data(train=rows))


def test_the_row_of_a_missing_text_is_named():
    rows = [*numbered(2), {"question": None, "answer": "#### 1"}]
    with pytest.raises(ValueError, match="row 2 of split test of task 'gsm8k' has None in column 'question'"):
        tasks.get("gsm8k").prepare(data(train=numbered(2), test=rows))


@pytest.mark.parametrize("blank", ["", " \n"])
def test_an_empty_answer_is_refused_where_answers_are_compared(blank):
    with pytest.raises(ValueError, match="row 1 of split train of task 'gsm8k' has an empty 'answer'"):
        tasks.get("gsm8k").prepare(data(train=[*numbered(1), {"question": "a", "answer": blank}]))
    row = {"instruction": "Say nothing.", "output": blank}
    assert tasks.get("alpaca").prepare(data(train=[row]))["train"].to_list() == [row]


def test_an_empty_or_a_missing_split():
    rows = Dataset.from_list(numbered(2))
    with pytest.raises(ValueError, match="empty split: test of task 'gsm8k' has no rows"):
        tasks.get("gsm8k").prepare(DatasetDict(train=rows, test=rows.select([])))
    with pytest.raises(ValueError, match="'gsm8k' needs a train split; the data has: test, validation"):
        tasks.get("gsm8k").prepare(DatasetDict(test=rows, validation=rows))


def test_all_splits_are_used_as_they_are(data_folder):
    parts = {"train": numbered(9), "validation": numbered(3, 20), "test": numbered(4, 40)}
    found, how = tasks.load("gsm8k", data_folder(**parts))
    assert how == "test: as published"
    assert {split: rows.to_list() for split, rows in found.items()} == parts


def test_validation_is_held_out_of_train_as_for_gsm8k(data_folder):
    folder = data_folder(train=numbered(50), test=numbered(7, 100))
    found, how = tasks.load("gsm8k", folder)
    assert how == "test: as published; validation: 5 rows held out of train"
    assert numbers(found["test"]) == list(range(100, 107))
    train, validation = numbers(found["train"]), numbers(found["validation"])
    assert len(train) == 45 and sorted(train + validation) == list(range(50))
    assert validation != list(range(5)) and validation != list(range(45, 50))  # drawn, not cut off
    again, _ = tasks.load("gsm8k", folder)
    assert {split: numbers(rows) for split, rows in again.items()} == {s: numbers(rows) for s, rows in found.items()}


def test_without_other_splits_a_fifth_of_train_becomes_test(data_folder):
    folder = data_folder(train=numbered(50))
    found, how = tasks.load("gsm8k", folder)
    assert how == "test: a fifth of the rows; validation: 4 rows held out of train"
    parts = {split: numbers(rows) for split, rows in found.items()}
    assert {split: len(part) for split, part in parts.items()} == {"train": 36, "validation": 4, "test": 10}
    assert sorted(sum(parts.values(), [])) == list(range(50))
    again, _ = tasks.load("gsm8k", folder)
    assert {split: numbers(rows) for split, rows in again.items()} == parts


def test_no_more_than_a_thousand_rows_are_held_out():
    made, _ = splits.three_splits(data(train=numbered(10_500), test=numbered(3)))
    assert {split: len(rows) for split, rows in made.items()} == {"train": 9_500, "validation": 1_000, "test": 3}


@pytest.mark.parametrize("parts", [{"train": 9, "test": 3}, {"train": 4}, {"train": 11}], ids=str)
def test_too_few_rows_for_held_out_splits(data_folder, parts):
    with pytest.raises(ValueError, match=r"\d rows of train are too few to hold some out for validation and test"):
        tasks.load("gsm8k", data_folder(**{split: numbered(count) for split, count in parts.items()}))


def queries(count: int) -> list[dict]:
    return [ROWS["sql"][0] | {"question": f"question {i}"} for i in range(count)]


def test_an_eighth_of_published_sql_is_used(monkeypatch):
    asked, published = [], data(train=queries(800))
    monkeypatch.setattr(tasks.hub, "load_dataset", lambda *name: asked.append(name) or published)
    found, how = tasks.load("sql")
    said = "test: a fifth of the rows; validation: 8 rows held out of train"
    assert how == f"{said}; 12.5% of the published rows are used, drawn at random"
    assert asked == [("b-mc2/sql-create-context", None)]
    assert {split: len(part) for split, part in found.items()} == {"train": 72, "validation": 8, "test": 20}
    chosen = {n for part in found.values() for n in numbers(part)}
    assert len(chosen) == 100 and max(chosen) > 400  # drawn from all, no row twice
    assert splits.digest(tasks.load("sql")[0]) == splits.digest(found)
    published = data(train=queries(160), test=queries(3), validation=queries(3))
    assert {split: len(part) for split, part in tasks.load("sql")[0].items()} == {
        "train": 20,
        "validation": 1,
        "test": 1,
    }


def test_published_data_without_a_share_is_used_completely(monkeypatch):
    parts = {"train": numbered(80), "validation": numbered(16, 100), "test": numbered(40, 200)}
    monkeypatch.setattr(tasks.hub, "load_dataset", lambda *name: data(**parts))
    found, how = tasks.load("gsm8k")
    assert {split: rows.to_list() for split, rows in found.items()} == parts
    assert how == "test: as published"


def test_local_sql_data_is_used_completely(data_folder):
    parts = {"train": queries(80), "validation": queries(16), "test": queries(40)}
    found, how = tasks.load("sql", data_folder(**parts))
    assert how == "test: as published"
    assert {split: rows.to_list() for split, rows in found.items()} == parts


def test_a_local_sql_train_set_is_split_completely(data_folder):
    found, _ = tasks.load("sql", data_folder(train=queries(80)))
    assert {split: len(part) for split, part in found.items()} == {"train": 58, "validation": 6, "test": 16}


def test_word_problems_are_complete_and_have_groups():
    found, how = tasks.load("word_problems")
    assert how == "test: as published"
    assert {split: len(rows) for split, rows in found.items()} == {"train": 2000, "validation": 200, "test": 400}
    task = tasks.get("word_problems")
    assert len(set(found["test"][task.group])) == 11
    assert max(len(text) for text in found["test"]["answer"]) <= task.max_new_tokens  # a token is at least a character


def test_a_folder_without_the_group_column_is_read(data_folder):
    found, _ = tasks.load("word_problems", data_folder(train=numbered(20), test=numbered(2)))
    assert found["train"].column_names == ["question", "answer"]


def test_absent_embedded_data_says_where_it_belongs(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "DATA", tmp_path)
    with pytest.raises(FileNotFoundError, match="'word_problems' is not at .*install circpeft again, or give data_dir"):
        tasks.load("word_problems")


def test_a_column_that_only_some_splits_have_is_left_out(data_folder):
    rows = [{"question": f"{i}?", "answer": f"#### {i}", "kind": "more"} for i in range(4)]
    bare = [{name: value for name, value in row.items() if name != "kind"} for row in rows]
    data, _ = tasks.load("word_problems", data_folder(train=rows, validation=rows, test=bare))
    assert all(part.column_names == ["question", "answer"] for part in data.values())
