"""Data that does not fit a task raises an error with the value, its place, and what was expected."""

import json

import pytest
from datasets import Dataset, DatasetDict

from circpeft import tasks

GOOD = [{"sentence": "a b", "label": 0}, {"sentence": "b a", "label": 1}]
PAIR = [{"sentence1": "a", "sentence2": "b", "label": 2.5}, {"sentence1": "a", "sentence2": "c", "label": 5.0}]
FORMATS = ["jsonl", "json", "csv", "parquet"]


def labelled(*labels) -> list[dict]:
    return [{"sentence": "a", "label": label} for label in labels]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_without_rows(data_folder, form, split):
    parts = {"train": GOOD, "validation": GOOD, "test": GOOD, split: []}
    folder = data_folder(form, **parts)
    if form == "csv":
        (folder / f"{split}.csv").write_text("sentence,label\n")
    with pytest.raises(ValueError, match=f"empty split: .*{split}.* has no rows"):
        tasks.load("sst2", folder)


@pytest.mark.parametrize("content", ["", "\n\n"], ids=["no bytes", "blank lines"])
def test_an_empty_file(data_folder, content):
    folder = data_folder(train=GOOD, validation=GOOD)
    (folder / "validation.jsonl").write_text(content)
    with pytest.raises(ValueError, match=r"empty split: validation\.jsonl"):
        tasks.load("sst2", folder)


def test_a_saved_data_set_with_an_empty_split(tmp_path):
    good = Dataset.from_list(GOOD)
    DatasetDict(train=good.select([]), validation=good).save_to_disk(tmp_path / "saved")
    with pytest.raises(ValueError, match="empty split"):
        tasks.load("sst2", tmp_path / "saved")


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        ((0, 2), "2"),
        ((0, -1), "-1"),
        ((0.5, 1.0), "0.5"),
        ((1, None), "None"),
        (("positive", "bad"), "'bad'"),
    ],
)
@pytest.mark.parametrize("form", FORMATS)
def test_a_label_that_the_task_does_not_have(data_folder, form, labels, shown):
    with pytest.raises(ValueError, match=rf"label {shown} in split train .*'sst2'.* 0 \(negative\), 1 \(positive\)"):
        tasks.load("sst2", data_folder(form, train=labelled(*labels), validation=GOOD))


def test_the_number_of_wrong_labels_is_shown(data_folder):
    with pytest.raises(ValueError, match=r"label 3 in split train \(row 1\) .*\(2 such values\)"):
        tasks.load("sst2", data_folder(train=labelled(0, 3, 2, 3), validation=GOOD))


@pytest.mark.parametrize(("labels", "row"), [((-1, 0), 0), ((0, None, 1), 1), (("negative", "-1"), 1)])
def test_a_partly_labelled_test_split(data_folder, labels, row):
    said = rf"in split test \(row {row}\) .*; label every row of test, or none"
    with pytest.raises(ValueError, match=said):
        tasks.load("sst2", data_folder(train=GOOD, validation=GOOD, test=labelled(*labels)))


def test_a_single_class_in_train_is_refused(data_folder):
    with pytest.raises(ValueError, match="train of task 'sst2' has one class, 'positive'; at least two are needed"):
        tasks.load("sst2", data_folder(train=labelled(1, 1), validation=GOOD))
    data, _ = tasks.load("sst2", data_folder(train=GOOD, validation=labelled(1, 1), test=labelled(0)))
    assert data["validation"]["label"] == [1, 1]  # it is only train that needs two
    data, _ = tasks.load("stsb", data_folder(train=[PAIR[0]], validation=PAIR, test=PAIR))
    assert data["train"]["label"] == [2.5]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, "cat"], r"label 'cat' in split train \(row 1\) of task 'sst2' has another type than 0 in row 0"),
        ([None, 1, "cat"], r"label 'cat' in split train \(row 2\) of task 'sst2' has another type than 1 in row 1"),
        ([0, "1"], r"label '1' in split train \(row 1\) of task 'sst2' has another type than 0 in row 0"),
        ([[0], [1]], r"label \[0\] in split train \(row 0\) .* 0 \(negative\), 1 \(positive\)"),
        ([{"a": 1}, {"a": 0}], r"label \{'a': 1\} in split train \(row 0\)"),
    ],
    ids=str,
)
def test_labels_of_mixed_types(tmp_path, labels, said):
    for split in ("train", "validation"):
        lines = [json.dumps({"sentence": "a", "label": label}) for label in labels]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=said):
        tasks.load("sst2", tmp_path)


@pytest.mark.parametrize("label", [5.1, -0.1, None, "high"])
def test_a_label_outside_of_the_range(data_folder, label):
    with pytest.raises(ValueError, match=r"in split train .*numbers from 0\.0 to 5\.0"):
        tasks.load("stsb", data_folder(train=[PAIR[0] | {"label": label}], validation=PAIR))


@pytest.mark.parametrize(("column", "instead"), [("label", "labels"), ("sentence", "sentense")])
@pytest.mark.parametrize("form", FORMATS)
def test_a_missing_column(data_folder, form, column, instead):
    train = [{instead if key == column else key: value for key, value in row.items()} for row in GOOD]
    with pytest.raises(
        ValueError, match=f"column '{column}' is missing in split train .*; rename '{instead}' to '{column}'"
    ):
        tasks.load("sst2", data_folder(form, train=train, validation=GOOD))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            "Sentence,label",
            "'sentence' is missing in split train .*; rename 'Sentence': capital letters and blanks count",
        ),
        ("sentence, label", "'label' is missing in split train .*; rename ' label': capital letters and blanks count"),
        ("text,label", "'sentence' is missing in split train of task 'sst2'; the split has text, label$"),
        ("sentence,sentences", r"'label' is missing in split train of task 'sst2'; the split has sentence, sentences$"),
    ],
)
def test_a_column_under_another_name(data_folder, header, said):
    """The suggested column is not one that the task uses for something else."""
    folder = data_folder("csv", validation=GOOD)
    (folder / "train.csv").write_text(f"{header}\n" + header.replace("entence", "") + "\n")
    with pytest.raises(ValueError, match=said):
        tasks.load("sst2", folder)


def test_a_missing_group_column(data_folder):
    rows = [{"sentence1": "a", "sentence2": "b", "label": 0}]
    with pytest.raises(ValueError, match="column 'phenomenon' is missing in split train"):
        tasks.load("entailment", data_folder(train=rows, validation=rows))


@pytest.mark.parametrize(("form", "text"), [("jsonl", None), ("parquet", None), ("jsonl", 12)])
def test_a_value_that_is_not_a_text(data_folder, form, text):
    with pytest.raises(ValueError, match=f"row 0 of split train of task 'sst2' has {text} in column 'sentence'"):
        tasks.load("sst2", data_folder(form, train=[{"sentence": text, "label": 0}], validation=GOOD))


def test_a_missing_folder_names_the_nearest(data_folder):
    folder = data_folder(train=GOOD)
    with pytest.raises(FileNotFoundError, match="'.*/dta' is not a folder; did you mean 'data'"):
        tasks.load("sst2", folder.with_name("dta"))
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        tasks.load("sst2", folder / "train.jsonl")


def test_a_folder_without_splits(data_folder):
    with pytest.raises(FileNotFoundError, match=r"holds trian\.jsonl\. Expected .*train, .* and test as \.jsonl"):
        tasks.load("sst2", data_folder(trian=GOOD))


def test_the_only_table_is_suggested_as_train(data_folder):
    with pytest.raises(
        FileNotFoundError, match=r"holds sst2\.csv\. .*\. If sst2\.csv is all of the data, name it train\.csv"
    ):
        tasks.load("sst2", data_folder("csv", sst2=GOOD))


def test_a_folder_without_train(data_folder):
    with pytest.raises(ValueError, match="'sst2' needs a train split; the data has: validation, test"):
        tasks.load("sst2", data_folder(validation=GOOD, test=GOOD))


def test_one_validation_row_cannot_be_halved(data_folder):
    with pytest.raises(ValueError, match="no labelled test split, and validation has 1 row"):
        tasks.load("sst2", data_folder(train=GOOD, validation=GOOD[:1]))


@pytest.mark.parametrize("label", ["entailmnt", "Entailment"])
def test_a_misspelt_label_is_met_with_the_nearest(data_folder, label):
    rows = [{"sentence1": "a", "sentence2": "b", "label": name} for name in ("entailment", "not_entailment", label)]
    message = rf"label '{label}' in split train \(row 2\) .*: did you mean 'entailment'\?"
    with pytest.raises(ValueError, match=message):
        tasks.load("rte", data_folder(train=rows, validation=rows[:2]))


@pytest.mark.parametrize(("name", "split"), [("trian", "train"), ("tets", "test"), ("vaildation", "validation")])
def test_a_split_with_swapped_letters_is_not_ignored(data_folder, name, split):
    folder = data_folder(train=GOOD, validation=GOOD, test=GOOD)
    (folder / f"{split}.jsonl").rename(folder / f"{name}.jsonl")
    with pytest.raises((ValueError, FileNotFoundError), match=f"{name}.*{split}"):
        tasks.load("sst2", folder)


def test_a_task_without_data_of_its_own_asks_for_a_folder(monkeypatch):
    monkeypatch.setitem(tasks.TASKS, "claims", tasks.Task("claims", ("claim",), ("no", "yes"), "accuracy"))
    with pytest.raises(ValueError, match="task 'claims' has no data of its own; give data_dir"):
        tasks.load("claims")
