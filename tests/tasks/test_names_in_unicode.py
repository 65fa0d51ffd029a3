"""Names that look the same are the same: classes, groups and files whose letters are stored in two ways."""

import unicodedata

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from PIL import Image as Pillow

from circpeft import tasks
from circpeft.tasks import text

NAMES = ["hund", "kätzchen", "나라"]
TASK = tasks.get("images")


def form(names: list[str], kind: str) -> list[str]:
    return [unicodedata.normalize(kind, name) for name in names]


def rows(labels: list, label: object) -> Dataset:
    made = {"image": [Pillow.new("L", (4, 4), shade) for shade in range(len(labels))], "label": labels}
    return Dataset.from_dict(made, features=Features(image=Image(), label=label))


@pytest.mark.parametrize(("train", "test"), [("NFD", "NFC"), ("NFC", "NFD"), ("NFD", "NFD")])
@pytest.mark.parametrize("stored", ["texts", "classes"])
def test_labels_in_two_forms_are_one_class(train, test, stored):
    parts = {}
    for split, kind in (("train", train), ("test", test)):
        names = form(NAMES, kind)
        parts[split] = rows([0, 1, 2], ClassLabel(names=names)) if stored == "classes" else rows(names, Value("string"))
    ready = TASK.prepare(DatasetDict(parts))
    assert ready["train"].features["label"].names == NAMES == ready["test"].features["label"].names
    assert ready["train"]["label"] == ready["test"]["label"] == [0, 1, 2]


def test_both_forms_in_one_split():
    both = [name for pair in zip(form(NAMES, "NFC"), form(NAMES, "NFD"), strict=True) for name in pair]
    ready = TASK.prepare(DatasetDict(train=rows(both, Value("string"))))
    assert ready["train"].features["label"].names == NAMES
    assert [NAMES[label] for label in ready["train"]["label"]] == form(both, "NFC")
    distinct = list(dict.fromkeys(both))
    ready = TASK.prepare(DatasetDict(train=rows([*range(len(distinct))], ClassLabel(names=distinct))))
    assert [NAMES[label] for label in ready["train"]["label"]] == form(distinct, "NFC")


@pytest.mark.parametrize("other", ["hund ", "\u200bhund", "hund\ufeff", "hu\u00adnd"])
def test_names_that_look_the_same_are_refused(other):
    with pytest.raises(ValueError, match="and 'hund', which differ only by blanks or invisible characters"):
        TASK.prepare(DatasetDict(train=rows(["hund", other, "katze"], Value("string"))))


def test_names_that_differ_by_capital_letters_are_named():
    with pytest.warns(
        UserWarning, match="'images': classes 'Hund' and 'hund' differ only by capital letters and count"
    ):
        ready = TASK.prepare(DatasetDict(train=rows(["hund", "Hund"], Value("string"))))
    assert ready["train"].features["label"].names == ["Hund", "hund"]


def test_letters_are_classes_of_handwriting(recwarn):
    TASK.prepare(DatasetDict(train=rows(["a", "A"], Value("string"))))
    assert not [warning for warning in recwarn if "capital letters" in str(warning.message)]


def test_groups_in_two_forms_are_one():
    task = text.Task("claims", ("claim",), ("no", "yes"), "accuracy", group="kind")
    kinds = [unicodedata.normalize(kind, "übrig") for kind in ("NFC", "NFD")]
    made = Dataset.from_dict({"claim": ["a", "b"], "label": [0, 1], "kind": kinds})
    assert set(task.prepare(DatasetDict(train=made))["train"]["kind"]) == {"übrig"}


@pytest.mark.parametrize("kinds", [("NFD", "NFC"), ("NFC", "NFD")])
@pytest.mark.parametrize("layout", ["metadata", "table"])
def test_file_names_in_another_form_than_on_disk(tmp_path, kinds, layout):
    on_disk, in_table = kinds
    for split in ("train", "test"):
        lines = []
        for number in range(20):
            name = f"bär/grün {number}.png"
            folder = split if layout == "metadata" else f"pictures/{split}"
            path = tmp_path / folder / unicodedata.normalize(on_disk, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            Pillow.new("L", (4, 4), number).save(path)
            given = unicodedata.normalize(in_table, name)
            lines.append(f"{given if layout == 'metadata' else f'{folder}/{given}'},{number % 2}\n")
        if layout == "metadata":
            (tmp_path / split / "metadata.csv").write_text("file_name,label\n" + "".join(lines), encoding="utf-8")
        else:
            (tmp_path / f"{split}.csv").write_text("image,label\n" + "".join(lines), encoding="utf-8")
    data, _ = tasks.load("images", tmp_path)
    assert [picture.getpixel((0, 0)) for picture in data["test"]["image"]] == [*range(20)]
