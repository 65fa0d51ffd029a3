"""What a table claims costs neither time nor memory: gzip, parquet, JSON and csv that would grow when they are read."""

import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest

from circpeft.data_folders import tables


def read(path):
    return tables.read([path], ("sentence",))


@pytest.fixture
def refused(tmp_path, peak):
    def check(name, words, mebibytes=200):
        with peak(mebibytes=mebibytes), pytest.raises(ValueError, match=words) as raised:
            read(tmp_path / name)
        assert str(tmp_path / name) in str(raised.value) and len(str(raised.value)) < 2000

    return check


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_gzip_of_blanks(tmp_path, refused, monkeypatch, form):
    monkeypatch.setenv("CIRCPEFT_MAX_TABLE", "32MB")
    with gzip.open(tmp_path / f"train.{form}.gz", "wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(b" " * 2**20)
    words = "more than .* of a table, unpacked, exceed the limit of 32.0 MiB; if you trust the file, set CIRCPEFT_MAX"
    refused(f"train.{form}.gz", words, 100)


def test_a_limit_can_be_raised(tmp_path, monkeypatch):
    with gzip.open(tmp_path / "train.jsonl.gz", "wt") as file:
        file.write(json.dumps({"sentence": "a" * 1000, "label": 1}))
    monkeypatch.setenv("CIRCPEFT_MAX_TABLE", "500")
    with pytest.raises(ValueError, match="exceed the limit of 500 bytes"):
        read(tmp_path / "train.jsonl.gz")
    monkeypatch.setenv("CIRCPEFT_MAX_TABLE", "2k")
    assert len(read(tmp_path / "train.jsonl.gz")) == 1


def test_a_parquet_file_of_many_rows(tmp_path, refused):
    column = pyarrow.chunked_array([pyarrow.nulls(10**6, pyarrow.int8())] * 50)
    table = pyarrow.table({"sentence": column, "label": column})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet", row_group_size=10**6)
    del table, column
    assert (tmp_path / "train.parquet").stat().st_size < 2**18
    refused("train.parquet", "50,000,000 rows .* exceed the limit of 20,000,000")


def test_a_parquet_file_of_one_long_text_in_many_rows(tmp_path, refused):
    texts = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 5000, pyarrow.int32()), ["long " * 60_000])
    table = pyarrow.table({"sentence": texts, "label": pyarrow.array([0, 1] * 2500)})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet", compression="zstd")
    assert (tmp_path / "train.parquet").stat().st_size < 2**19
    refused("train.parquet", "more than 1.4 GiB of a table, unpacked, exceed the limit of 1.0 GiB")


def test_a_parquet_file_of_one_long_list(tmp_path, refused, monkeypatch):
    monkeypatch.setenv("CIRCPEFT_MAX_CELLS", "1000000")
    lists = pyarrow.ListArray.from_arrays([0, 5 * 10**6], pyarrow.nulls(5 * 10**6, pyarrow.int8()))
    pyarrow.parquet.write_table(pyarrow.table({"sentence": lists, "label": [0]}), tmp_path / "train.parquet")
    refused("train.parquet", "5,000,001 values .* exceed the limit of 1,000,000")


def test_repeated_texts_of_a_usual_size_are_read(tmp_path):
    texts = pyarrow.array(["the same text"] * 100_000)
    table = pyarrow.table({"sentence": texts, "label": pyarrow.array([0, 1] * 50_000)})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    assert len(read(tmp_path / "train.parquet")) == 100_000


def test_rows_of_which_each_has_a_column_of_its_own(tmp_path, refused):
    """A file of 400 kB would become a table of 400 million values."""
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps({f"column {k}": k}) for k in range(20_000)))
    refused("train.jsonl", "20,000 columns exceed the limit of 10,000")


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_a_header_of_many_names(tmp_path, refused, form):
    """Names that occur twice were looked for by comparing every name with every other one."""
    separator = {"csv": ",", "tsv": "\t"}[form]
    names = ["sentence", *(f"n{k}" for k in range(100_000))]
    (tmp_path / f"train.{form}").write_text(separator.join(names) + "\n")
    refused(f"train.{form}", "100,001 columns exceed the limit of 10,000")


def test_an_object_that_repeats_a_name_among_many(tmp_path, refused):
    pairs = ",".join(f'"n{k}": 1' for k in range(100_000))
    (tmp_path / "train.jsonl").write_text("{" + pairs + ', "n70000": 2}')
    refused("train.jsonl", "has 'n70000' twice")


def test_a_gzip_of_empty_objects(tmp_path, refused, monkeypatch):
    """Every byte would become 24 in memory."""
    monkeypatch.setenv("CIRCPEFT_MAX_ROWS", "1000000")
    with gzip.open(tmp_path / "train.jsonl.gz", "wb", compresslevel=1) as file:
        for _ in range(20):
            file.write(b"{}\n" * 2**18)
    refused("train.jsonl.gz", "more than .* rows .* exceed the limit of 1,000,000")


@pytest.mark.parametrize("name", ["train.jsonl", "train.csv.gz", "train.parquet"])
def test_a_terabyte_of_holes(tmp_path, refused, name):
    with open(tmp_path / name, "wb") as file:
        file.truncate(2**40)
    refused(name, "1.0 TiB of a table, unpacked, exceed the limit of 1.0 GiB")
