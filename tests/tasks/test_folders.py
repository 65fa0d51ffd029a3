"""Local data folders: every format gives the same rows, and splits follow the papers' protocol."""

import socket

import pytest
from datasets import Dataset, DatasetDict

from circpeft import tasks
from circpeft.tasks import splits

# Texts that readers like to turn into something else: a missing value, a number, two columns.
TRICKY = ["NA", "null", "012", 'she said "no", twice', "naïve café", "nan"]


def rows(count: int, start: int = 0, label: int | None = None) -> list[dict]:
    return [
        {"sentence": f"text {i}", "label": i % 2 if label is None else label, "idx": i}
        for i in range(start, start + count)
    ]


def texts(part: Dataset) -> list[str]:
    return list(part["sentence"])


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet"])
def test_every_format_gives_the_same_rows(data_folder, form):
    train = [{"sentence": text, "label": i % 2} for i, text in enumerate(TRICKY)]
    folder = data_folder(form, train=train, validation=rows(4), test=rows(3, start=9))
    data, how = tasks.load("sst2", folder)
    assert data["train"].to_list() == train
    assert texts(data["validation"]) == texts(rows_of(4)) and texts(data["test"]) == texts(rows_of(3, start=9))
    assert how == "test: as published"


def rows_of(count: int, start: int = 0) -> Dataset:
    return Dataset.from_list(rows(count, start))


def test_a_saved_data_set_gives_the_same_rows(tmp_path):
    saved = DatasetDict(train=rows_of(6), dev=rows_of(4), test=rows_of(3), unsupervised=Dataset.from_list([{"x": 1}]))
    saved.save_to_disk(tmp_path / "saved")
    data, _ = tasks.load("sst2", tmp_path / "saved")
    assert list(data) == ["train", "validation", "test"]
    assert data["train"].to_list() == rows(6) and data["validation"].to_list() == rows(4)


def test_local_files_are_read_without_the_network(data_folder, monkeypatch):
    looked_up = []

    def no_network(host, *arguments, **options):
        looked_up.append(host)
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    tasks.load("sst2", data_folder(train=rows(6), validation=rows(4)))
    assert looked_up == []


def test_dev_is_another_name_of_validation(data_folder):
    data, _ = tasks.load("sst2", data_folder(train=rows(6), dev=rows(4), test=rows(2)))
    assert data["validation"].to_list() == rows(4)


def test_a_changed_file_is_read_again(data_folder):
    tasks.load("sst2", data_folder(train=rows(6), validation=rows(4)))
    data, _ = tasks.load("sst2", data_folder(train=rows(7, start=50), validation=rows(4)))
    assert data["train"].to_list() == rows(7, start=50)


@pytest.mark.parametrize("test", [None, rows(5, label=-1)], ids=["no test split", "hidden test labels"])
def test_without_test_labels_a_small_validation_set_is_halved(data_folder, test):
    parts = {"train": rows(20), "validation": rows(10, start=100)} | ({"test": test} if test else {})
    folder = data_folder(**parts)
    data, how = tasks.load("sst2", folder)
    assert "halves of the published validation set" in how
    assert texts(data["train"]) == texts(rows_of(20))
    halves = [set(texts(data[part])) for part in ("validation", "test")]
    assert [len(half) for half in halves] == [5, 5]
    assert halves[0] | halves[1] == set(texts(rows_of(10, start=100)))
    again, _ = tasks.load("sst2", folder)
    assert all(texts(again[part]) == texts(data[part]) for part in data)


@pytest.mark.parametrize(
    ("test", "how", "counts"),
    [
        (rows(3, start=100), "test: as published; validation: 4 rows held out of train", (36, 4, 3)),
        (rows(3, label=-1), "test: a fifth of the rows; validation: 3 rows held out of train", (29, 3, 8)),
        (None, "test: a fifth of the rows; validation: 3 rows held out of train", (29, 3, 8)),
    ],
    ids=["test", "hidden test labels", "train alone"],
)
def test_without_a_validation_split_it_is_held_out_of_train(data_folder, test, how, counts):
    data, said = tasks.load("sst2", data_folder(train=rows(40), **({"test": test} if test else {})))
    assert said.startswith(how) and tuple(len(part) for part in data.values()) == counts
    out_of_train = [text for part in data.values() for text in texts(part) if int(text.split()[1]) < 100]
    assert sorted(out_of_train) == sorted(texts(rows_of(40)))


def test_without_test_labels_validation_is_held_out_of_a_large_train_set(monkeypatch):
    monkeypatch.setattr(splits, "LARGE", 50)
    monkeypatch.setattr(splits, "HELD_OUT", 8)
    hidden = Dataset.from_list(rows(5, label=-1))
    raw = tasks.get("sst2").prepare(DatasetDict(train=rows_of(50), validation=rows_of(10, start=100), test=hidden))
    data, how = splits.three_splits(raw)
    assert "8 rows held out of train" in how
    assert texts(data["test"]) == texts(raw["validation"])
    held_out, train = set(texts(data["validation"])), set(texts(data["train"]))
    assert len(held_out) == 8 and not held_out & train and held_out | train == set(texts(raw["train"]))
    assert texts(splits.three_splits(raw)[0]["validation"]) == texts(data["validation"])


@pytest.mark.parametrize("published", [("test",), ("validation",), ("validation", "test"), ()])
def test_without_holding_out_all_published_training_rows_are_trained_on(published):
    """As C3A Table 3 trains on GSM8K, which has train and test. SQL has neither, and a fifth becomes its test set."""
    raw = DatasetDict(train=rows_of(40), **{part: rows_of(10, start=100 + len(part)) for part in published})
    data, how = splits.three_splits(raw, hold_out=False)
    assert ("validation" in data) == (len(published) == 2) == ("no validation" not in how)
    test = set(texts(data["test"]))
    if published:
        assert texts(data["train"]) == texts(raw["train"])
        assert test == set(texts(raw["test" if "test" in published else "validation"]))
    else:
        assert len(test) == 8 and not test & set(texts(data["train"])) and len(data["train"]) == 32


def test_the_large_split_starts_at_ten_thousand():
    small, large = (DatasetDict(train=rows_of(n), validation=rows_of(10, start=-20)) for n in (9_999, 10_000))
    assert len(splits.three_splits(small)[0]["validation"]) == 5
    made = splits.three_splits(large)[0]
    assert {part: len(made[part]) for part in made} == {"train": 9_000, "validation": 1_000, "test": 10}


def test_max_train_draws_a_fixed_mixed_sample(data_folder):
    folder = data_folder(train=rows(40), validation=rows(4), test=rows(4))
    few = texts(tasks.load("sst2", folder, max_train=10)[0]["train"])
    assert len(set(few)) == 10 and few != texts(rows_of(10))
    assert few == texts(tasks.load("sst2", folder, max_train=10)[0]["train"])
    assert len(tasks.load("sst2", folder, max_train=1000)[0]["train"]) == 40
    with pytest.raises(ValueError, match="max_train .* got -1"):
        tasks.load("sst2", folder, max_train=-1)


def test_the_embedded_task_is_complete():
    data, how = tasks.load("entailment")
    assert how == "test: as published"
    assert len(data["train"]) >= 2_000 and min(len(data["validation"]), len(data["test"])) >= 500
    assert len(set(data["test"]["phenomenon"])) >= 8
