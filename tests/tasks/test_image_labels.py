"""Labels of images, numbers or names, become train's class numbers; invalid ones are refused."""

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value
from PIL import Image as Pillow

from circpeft import tasks
from circpeft.tasks import splits

TASK = tasks.get("images")
CATS = ClassLabel(names=["cat", "dog"])
TEXT, NUMBER, FLOAT = Value("string"), Value("int64"), Value("float64")


def rows(labels: list, label: object = CATS) -> Dataset:
    """Images in as many shades as there are labels."""
    made = {"image": [Pillow.new("L", (4, 4), shade) for shade in range(len(labels))], "label": labels}
    return Dataset.from_dict(made, features=Features(image=Image(), label=label))


@pytest.mark.parametrize(
    ("label", "labels", "message"),
    [
        (CATS, [0, -1], "row 1 of split train of task 'images' has label -1; expected 0 to 1"),
        (CATS, [0, None], "row 1 of split train .*label None; expected 0 to 1"),
        (NUMBER, [0, -1], "row 1 of split train .*label -1; expected class numbers, counted from 0"),
        (NUMBER, [0, None], "row 1 of split train .*label None; expected class numbers or class names"),
        (TEXT, ["a", None], "row 1 of split train .*label None; expected class numbers or class names"),
        (TEXT, ["a", ""], "row 1 of split train .*label ''; expected class numbers or class names"),
        (FLOAT, [1.0, 0.5], r"row 1 of split train .*label 0\.5; expected class numbers or class names"),
        (FLOAT, [1.0, float("nan")], "row 1 of split train .*label nan; expected class numbers or class names"),
        (
            List(NUMBER),
            [[0], [1]],
            r"row 0 of split train .*label \[0\]; expected one label per row: class numbers or class names",
        ),
    ],
    ids=str,
)
def test_invalid_labels(label, labels, message):
    with pytest.raises(ValueError, match=message):
        TASK.prepare(DatasetDict(train=rows(labels, label)))


@pytest.mark.parametrize(
    ("mixed", "said"),
    [([0, 1, "cat"], "row 2 .*'cat', but row 0 has 0"), (["cat", 1.0], "row 1 .*label 1, but row 0 has 'cat'")],
)
def test_numbers_and_names_in_one_column(tmp_path, mixed, said):
    """Such a column comes from jsonl; pyarrow cannot list its distinct values."""
    Pillow.new("L", (4, 4)).save(tmp_path / "a.png")
    lines = [f'{{"image": "a.png", "label": {label!r}}}'.replace("'", '"') for label in mixed]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=f"{said}; use one type of labels"):
        tasks.load("images", tmp_path)


def test_integral_floats_are_class_numbers():
    ready = TASK.prepare(DatasetDict(train=rows([2.0, 0.0], FLOAT), test=rows([0, 2], NUMBER)))
    assert ready["train"]["label"] == [2, 0] and ready["test"]["label"] == [0, 2]
    assert ready["train"].features["label"].names == ["0", "1", "2"]
    whole = TASK.prepare(DatasetDict(train=rows([2, 0], NUMBER), test=rows([0, 2], NUMBER)))
    assert splits.digest(ready) == splits.digest(whole)


@pytest.mark.parametrize(
    ("labels", "names"),
    [([2, 1, 3], ["1", "2", "3"]), ([1, 3], ["0", "1", "2", "3"]), ([0, 2], ["0", "1", "2"])],
    ids=["from 1", "from 1 with a gap", "from 0"],
)
def test_class_numbers_start_at_zero_or_one(labels, names):
    """At 1 if train has every number from 1 on; if one is missing, 0 may be missing as well."""
    ready = TASK.prepare(DatasetDict(train=rows(labels, NUMBER), test=rows([2], NUMBER)))
    assert ready["train"].features["label"].names == names
    assert [names[number] for number in ready["train"]["label"]] == [str(label) for label in labels]
    assert [names[number] for number in ready["test"]["label"]] == ["2"]


@pytest.mark.parametrize(
    ("train", "test", "found"),
    [
        (rows([0, 1, 1]), rows([0, 0, 1], ClassLabel(names=["dog", "cat"])), [1, 1, 0]),
        (rows([0, 1, 1]), rows([0, 0, 0], ClassLabel(names=["dog"])), [1, 1, 1]),
        (rows([0, 1, 1]), rows([1, 2, 1], ClassLabel(names=["fox", "cat", "dog"])), [0, 1, 0]),
        (rows([0, 1, 1]), rows(["dog", "cat", "dog"], TEXT), [1, 0, 1]),
        # As texts, train's classes are in the order "10", "9": a number is not its place there.
        (rows(["9", "10", "0"], TEXT), rows([0, 9, 10], NUMBER), [0, 2, 1]),
    ],
    ids=["order", "fewer", "a name without rows", "names", "numbers as texts"],
)
def test_classes_are_matched_by_name(train, test, found):
    ready = TASK.prepare(DatasetDict(train=train, test=test))
    assert ready["test"]["label"] == found
    assert ready["test"].features == ready["train"].features
    shades = [picture.getpixel((0, 0)) for picture in ready["test"]["image"]]
    assert shades == [0, 1, 2]  # the images stay with their labels


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (rows([0, 1]), rows([0, 1], ClassLabel(names=["cat", "fox"]))),
        (rows([0, 1]), rows(["cat", "fox"], TEXT)),
        (rows(["cat", "dog"], TEXT), rows(["cat", "fox"], TEXT)),
        (rows([0, 1], NUMBER), rows([0, 2], NUMBER)),
        (rows([0, 1]), rows([0, 1], NUMBER)),
    ],
    ids=["classes", "mixed", "names", "numbers", "numbers of names"],
)
def test_a_class_that_train_lacks(train, test):
    with pytest.raises(ValueError, match=r"split test of task 'images' has classes that train lacks: \['(fox|2|0)'"):
        TASK.prepare(DatasetDict(train=train, test=test))


def test_a_class_that_train_lacks_names_the_nearest():
    with pytest.raises(ValueError, match=r"that train lacks: \['Cat'\]; the nearest in train: \['cat', 'dog'\]"):
        TASK.prepare(DatasetDict(train=rows([0, 1]), validation=rows(["Cat"], TEXT)))


@pytest.mark.parametrize(
    ("labels", "label", "said"),
    [([1, 1], CATS, "'dog'"), (["cat"], TEXT, "'cat'"), ([3, 3], NUMBER, "'3'")],
    ids=["classes", "names", "numbers"],
)
def test_a_single_class_is_refused(labels, label, said):
    with pytest.raises(ValueError, match=f"train of task 'images' has one class, {said}; at least two are needed"):
        TASK.prepare(DatasetDict(train=rows(labels, label)))
    ready = TASK.prepare(DatasetDict(train=rows([0, 1]), test=rows([1, 1])))
    assert ready["test"]["label"] == [1, 1]  # in test one is enough


def test_classes_that_differ_only_by_blanks():
    with pytest.raises(ValueError, match="train of task 'images' has classes ' cat' and 'cat', which differ only"):
        TASK.prepare(DatasetDict(train=rows(["cat", " cat", "dog"], TEXT)))
    ready = TASK.prepare(DatasetDict(train=rows(["a", "A", "a"], TEXT)))  # capital letters may be classes
    assert ready["train"]["label"] == [1, 0, 1]


@pytest.mark.parametrize(
    "test",
    [
        rows([-1, -1]),
        rows([None, None]),
        rows([-1, -1], NUMBER),
        rows([None, None], Value("null")),
        rows([float("nan"), float("nan")], FLOAT),
        rows([0, 1]).remove_columns("label"),
    ],
    ids=["-1", "none", "number -1", "null", "nan", "no column"],
)
def test_a_test_split_without_labels_is_replaced(test):
    """As without a test split; the line about the splits says so."""
    data = DatasetDict(train=rows([0, 1] * 25), test=test)
    assert list(TASK.prepare(data)) == ["train"]
    made, how = splits.three_splits(TASK.prepare(data))
    assert how == "test: a fifth of the rows; validation: 4 rows held out of train"
    assert [len(part) for part in made.values()] == [36, 4, 10]


def test_misplaced_or_partly_missing_labels_are_not_hidden_labels():
    train, test = rows([0, 1]), rows([0, 1])
    for column in ("labels", "kind"):  # a similar name; one that train has not
        with pytest.raises(ValueError, match=f"'label' is missing in split test of task 'images'; .*{column}"):
            TASK.prepare(DatasetDict(train=train, test=test.rename_column("label", column)))
    with pytest.raises(ValueError, match="row 1 of split test .*label -1; expected 0 to 1"):
        TASK.prepare(DatasetDict(train=train, test=rows([0, -1])))
    with pytest.raises(ValueError, match="row 0 of split validation .*label -1; expected 0 to 1"):
        TASK.prepare(DatasetDict(train=train, validation=rows([-1, -1])))
