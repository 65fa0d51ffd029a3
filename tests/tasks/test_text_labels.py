"""Labels of texts: by name, as text or as numbers, and test splits without labels."""

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from circpeft import tasks
from circpeft.tasks import splits

RTE, STSB = tasks.get("rte"), tasks.get("stsb")
TEXT, NUMBER, FLOAT = Value("string"), Value("int64"), Value("float64")
ORDER, OTHER_ORDER = ClassLabel(names=list(RTE.labels)), ClassLabel(names=list(RTE.labels[::-1]))


def rows(labels: list, kind: object = NUMBER) -> Dataset:
    made = {"sentence1": [f"text {i}" for i in range(len(labels))], "sentence2": ["b"] * len(labels), "label": labels}
    return Dataset.from_dict(made, features=Features(sentence1=TEXT, sentence2=TEXT, label=kind))


FINE = rows([0, 1, 1])


def data(split: str, part: Dataset) -> DatasetDict:
    return DatasetDict({"train": FINE, "validation": FINE, "test": FINE, split: part})


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([0, 1, 1], NUMBER),
        ([0.0, 1.0, 1.0], FLOAT),
        ([0, 1, 1], ORDER),
        ([1, 0, 0], OTHER_ORDER),
        ([1, 0, 0], ClassLabel(names=["1", "0"])),
        ([0, 1, 1], ClassLabel(num_classes=2)),
        (["entailment", "not_entailment", "not_entailment"], TEXT),
        (["0", "1", "1"], TEXT),
        (["0", "1.0", "1"], Value("large_string")),
    ],
    ids=str,
)
@pytest.mark.parametrize("split", splits.SPLITS)
def test_labels_become_the_tasks_numbers(split, labels, kind):
    """Each split by itself: the others have numbers."""
    ready = RTE.prepare(data(split, rows(labels, kind)))
    assert {name: part["label"][:] for name, part in ready.items()} == dict.fromkeys(splits.SPLITS, [0, 1, 1])
    assert ready[split]["sentence1"] == ["text 0", "text 1", "text 2"]  # the texts stay with their labels


@pytest.mark.parametrize("kind", [NUMBER, ORDER, ClassLabel(num_classes=2)], ids=str)
def test_numbers_in_the_tasks_order_are_left_as_they_are(kind):
    part = rows([1, 0, 1], kind)
    assert RTE.prepare(data("train", part))["train"] is part


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet"])
def test_names_as_labels_in_files(data_folder, form):
    named = [{"sentence1": "a", "sentence2": "b", "label": label} for label in RTE.labels]
    data, _ = tasks.load("rte", data_folder(form, train=named, validation=named, test=named))
    assert [part["label"][:] for part in data.values()] == [[0, 1]] * 3
    numbers = [row | {"label": number} for number, row in enumerate(named)]
    again, _ = tasks.load("rte", data_folder(form, train=numbers, validation=numbers, test=numbers))
    assert splits.digest(data) == splits.digest(again)


@pytest.mark.parametrize(
    ("names", "labels", "said"),
    [
        (
            ["no", "yes"],
            [0, 1],
            "labels of split train are named no, yes; expected those of task 'rte'; choices: entailment, ",
        ),
        (["entailed", "not_entailment"], [0, 1], "named entailed, not_entailment; .* did you mean 'entailment'"),
        (["entailment", "neutral", "not_entailment"], [0, 2], "named entailment, neutral, not_entailment; expected"),
        (["0", "1", "2"], [0, 2], r"label 2 in split train \(row 1\) is not one of the labels of task 'rte'"),
    ],
)
def test_names_that_the_task_does_not_have(names, labels, said):
    with pytest.raises(ValueError, match=said):
        RTE.prepare(data("train", rows(labels, ClassLabel(names=names))))


@pytest.mark.parametrize(
    ("labels", "kind", "shown"),
    [
        (["entailment", "Entailment"], TEXT, "'Entailment'"),
        (["0", "2"], TEXT, "'2'"),
        (["0", "0.5"], TEXT, "'0.5'"),
        (["0", "nan"], TEXT, "'nan'"),
        (["0", "True"], TEXT, "'True'"),
        (["0", ""], TEXT, "''"),
        ([0, -1], OTHER_ORDER, "-1"),
        ([0, None], OTHER_ORDER, "None"),
    ],
)
@pytest.mark.parametrize("split", splits.SPLITS)
def test_a_label_without_a_class(split, labels, kind, shown):
    said = (
        rf"label {shown} in split {split} \(row 1\) is .* 0 \(entailment\), 1 \(not_entailment\), all by number or all"
    )
    with pytest.raises(ValueError, match=said) as caught:
        RTE.prepare(data(split, rows(labels, kind)))
    assert ("or none" in str(caught.value)) == (split == "test" and labels[1] in ("", -1, None))


@pytest.mark.parametrize(
    ("labels", "kind", "shown"),
    [
        ([[0, 1], [1]], List(NUMBER), r"\[0, 1\]"),
        ([["entailment"], ["not_entailment"]], List(TEXT), r"\['entailment'\]"),
        ([[0.0, 1.0], [1.0, 0.0]], List(FLOAT), r"\[0\.0, 1\.0\]"),
        (["0, 1", "1"], TEXT, "'0, 1'"),
        (["entailment|not_entailment", "entailment"], TEXT, r"'entailment\|not_entailment'"),
    ],
    ids=str,
)
def test_several_labels_of_a_row(labels, kind, shown):
    said = (
        rf"label {shown} in split train \(row 0\) .* 'rte': one label per row: 0 \(entailment\), 1 \(not_entailment\)"
    )
    with pytest.raises(ValueError, match=said):
        RTE.prepare(data("train", rows(labels, kind)))
    with pytest.raises(ValueError, match="numbers from" if kind == TEXT else "one label per row: numbers from 0.0 to"):
        STSB.prepare(data("train", rows(labels, kind)))


@pytest.mark.parametrize(
    ("labels", "kind"),
    [(["0", "4.5", "5.0"], TEXT), ([1, 0, 2], ClassLabel(names=["4.5", "0", "5.0"])), ([0.0, 4.5, 5.0], FLOAT)],
    ids=str,
)
def test_values_as_text(labels, kind):
    ready = STSB.prepare(data("validation", rows(labels, kind)))
    assert ready["validation"]["label"] == [0.0, 4.5, 5.0] and ready["validation"].features["label"] == FLOAT
    assert ready["train"] is FINE


@pytest.mark.parametrize(
    ("labels", "kind", "said"),
    [
        (["0", "high"], TEXT, r"label 'high' in split train \(row 1\) .* numbers from 0\.0 to 5\.0"),
        (["5.1"], TEXT, r"label '5\.1' in split train"),
        (["nan"], TEXT, "label 'nan' in split train"),
        ([0, 1], ClassLabel(names=["0", "high"]), "named 0, high; expected numbers, as in task 'stsb'"),
    ],
)
def test_values_that_are_not_numbers(labels, kind, said):
    with pytest.raises(ValueError, match=said):
        STSB.prepare(data("train", rows(labels, kind)))


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize("name", ["rte", "qnli", "stsb"])
def test_booleans_that_would_mean_the_opposite(data_folder, name, form):
    """To Python true is 1, which here is the class that is not entailment."""
    task = tasks.get(name)
    rows = [dict.fromkeys(task.columns, "a") | {"label": label} for label in (True, False)]
    with pytest.raises(ValueError, match=rf"label True in split train \(row 0\) is not one of the .* task '{name}': "):
        tasks.load(name, data_folder(form, train=rows, validation=rows))


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet"])
def test_true_and_false_are_one_and_zero(data_folder, form):
    rows = [{"sentence1": "a", "sentence2": "b", "label": label} for label in (True, False)]
    data, _ = tasks.load("mrpc", data_folder(form, train=rows, validation=rows, test=rows))
    assert [part["label"][:] for part in data.values()] == [[1, 0]] * 3  # equivalent, not_equivalent


WITHOUT = {
    "-1": rows([-1, -1]),
    "class -1": rows([-1, -1], ORDER),
    "text -1": rows(["-1", "-1"], TEXT),
    "none": rows([None, None]),
    "null": rows([None, None], Value("null")),
    "blank": rows(["", None], TEXT),
    "nan": rows([float("nan"), -1.0], FLOAT),
    "no column": FINE.remove_columns("label"),
    "row numbers instead": FINE.remove_columns("label").add_column("index", [0, 1, 2]),
}


@pytest.mark.parametrize("case", WITHOUT)
def test_a_test_split_without_labels_is_replaced(case):
    ready = RTE.prepare(data("test", WITHOUT[case]))
    assert list(ready) == ["train", "validation"]
    assert len(splits.three_splits(ready)[0]["test"]) == 2


@pytest.mark.parametrize("blank", [True, False], ids=["blank column", "no column"])
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_it_is_said_that_test_has_no_labels(data_folder, form, blank):
    part, without = FINE.to_list(), FINE.remove_columns("label").to_list()
    without = [row | {"label": None} for row in without] if blank else without
    data, how = tasks.load("rte", data_folder(form, train=part, validation=part, test=without))
    assert how == "validation and test: halves of the published validation set; the published test split has no labels"
    assert sorted([*data["validation"]["sentence1"], *data["test"]["sentence1"]]) == ["text 0", "text 1", "text 2"]


@pytest.mark.parametrize("column", ["labels", "gold"])
def test_labels_of_test_that_stand_elsewhere_are_not_hidden(column):
    with pytest.raises(ValueError, match=f"column 'label' is missing in split test of task 'rte'; .*{column}"):
        RTE.prepare(data("test", FINE.rename_column("label", column)))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_only_test_may_be_without_labels(split):
    with pytest.raises(ValueError, match=f"label -1 in split {split}"):
        RTE.prepare(data(split, rows([-1, -1])))
    with pytest.raises(ValueError, match=f"column 'label' is missing in split {split}"):
        RTE.prepare(data(split, FINE.remove_columns("label")))
