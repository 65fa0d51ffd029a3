"""Tables that cannot be read, or would be misread."""

import json

import pandas as pd
import pytest
from datasets import Dataset, concatenate_datasets

from circpeft import tasks
from circpeft.tasks import columns

GOOD = [{"sentence": "a b", "label": 0}, {"sentence": "b a", "label": 1}]


def test_two_files_for_one_split(data_folder):
    with pytest.raises(ValueError, match=r"several files for validation: validation\.jsonl, dev\.jsonl"):
        tasks.load("sst2", data_folder(train=GOOD, validation=GOOD, dev=GOOD))


def test_mixed_formats(data_folder):
    folder = data_folder(train=GOOD)
    pd.DataFrame(GOOD).to_csv(folder / "validation.csv", index=False)
    with pytest.raises(ValueError, match="mixes formats: csv, json; use one"):
        tasks.load("sst2", folder)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_broken_link(data_folder, form):
    folder = data_folder(form, train=GOOD)
    (folder / f"validation.{form}").symlink_to("../elsewhere")
    with pytest.raises(
        FileNotFoundError, match=rf"'.*/validation\.{form}' is a link to '\.\./elsewhere', which does not exi"
    ):
        tasks.load("sst2", folder)


@pytest.mark.parametrize(("form", "content"), [("jsonl", '{"sentence": "a", "lab'), ("parquet", "not parquet")])
def test_a_file_that_cannot_be_read_is_named(data_folder, form, content):
    folder = data_folder(form, train=GOOD, validation=GOOD)
    (folder / f"validation.{form}").write_text(content)
    with pytest.raises(ValueError, match=rf"cannot read '.*validation\.{form}'"):
        tasks.load("sst2", folder)


@pytest.mark.parametrize(
    ("rows", "line", "fields"),
    [
        ("hello, world,0\n", 2, 3),
        ('\n"a\nb",c,d,0\n', 4, 4),
        ("hello,0,\nworld,1,\n", 2, 3),
        ("hello,0,\nworld,1\n", 2, 3),
    ],
    ids=["comma", "lines", "commas at the end", "comma at one end"],
)
def test_an_extra_comma_in_csv(data_folder, rows, line, fields):
    folder = data_folder("csv", train=GOOD, validation=GOOD)
    (folder / "train.csv").write_text("sentence,label\n" + rows, encoding="utf-8-sig")  # with a mark, as Excel's
    said = rf"line {line} of '.*train\.csv' has {fields} fields, but the header has 2 \(sentence, label\); quote texts"
    with pytest.raises(ValueError, match=said):
        tasks.load("sst2", folder)


def test_an_extra_comma_in_a_later_row_of_csv(data_folder):
    folder = data_folder("csv", train=GOOD, validation=GOOD)
    (folder / "train.csv").write_text("sentence,label\nhello,1\nhello, world,0\n")
    with pytest.raises(ValueError, match=r"line 3 of '.*train\.csv' has 3 fields, but the header has 2 .* quote texts"):
        tasks.load("sst2", folder)


@pytest.mark.parametrize(
    "row", ["hello", '"a, b"', '"in\ntwo"'], ids=["no label", "quoted without a label", "two lines without a label"]
)
def test_a_row_of_csv_that_is_too_short(data_folder, row):
    folder = data_folder("csv", train=GOOD, validation=GOOD)
    (folder / "test.csv").write_text(f"sentence,label\n{row}\n")
    with pytest.raises(
        ValueError, match=r"line \d of '.*test\.csv' has 1 fields, but the header has 2 \(sentence, label\)"
    ):
        tasks.load("sst2", folder)


@pytest.mark.parametrize("text", ['"No" he said', '"a \\"b\\" c"', '"never closed'])
def test_quotation_marks_in_csv_that_would_be_lost(data_folder, text):
    folder = data_folder("csv", train=GOOD, validation=GOOD)
    (folder / "train.csv").write_text(f"sentence,label\na,0\n{text},1\n")
    with pytest.raises(ValueError, match=r"line 3 of '.*train\.csv': .*must end with one, .* must be doubled"):
        tasks.load("sst2", folder)


def test_quotation_marks_in_csv_that_are_kept(data_folder):
    folder = data_folder("csv", validation=GOOD, test=GOOD)
    (folder / "train.csv").write_text('sentence,label\n"""No"" he said,\nthen",0\n5" wide,1\n\'single\',1\n')
    found = tasks.load("sst2", folder)[0]["train"]["sentence"]
    assert found == ['"No" he said,\nthen', '5" wide', "'single'"]


@pytest.mark.parametrize(
    ("text", "line", "shown"),
    [
        ('"a", "b", 1', 2, ' "b"'),
        (' "a",b,1', 2, ' "a"'),
        ('a,b,0\n"a", "b, c", 1', 3, ' "b'),
        ('"a\nb",\t"c",1', 3, r'\\t"c"'),
    ],
)
def test_blanks_before_quotation_marks_in_csv(tmp_path, text, line, shown):
    """The quotes would become part of the text."""
    for split in ("train", "validation"):
        (tmp_path / f"{split}.csv").write_text(f"sentence1,sentence2,label\n{text}\n")
    with pytest.raises(ValueError, match=rf"line {line} of '.*train\.csv' has '{shown}', with a blank before the q"):
        tasks.load("mrpc", tmp_path)


def test_blanks_before_quoted_names(data_folder):
    folder = data_folder("csv", train=GOOD, validation=GOOD)
    (folder / "train.csv").write_text('"sentence", "label"\na,0\n')
    with pytest.raises(ValueError, match=r"line 1 of '.*train\.csv' has ' \"label\"', .* remove the blanks after"):
        tasks.load("sst2", folder)


@pytest.mark.parametrize("text", [' "a" b', ' "', '  ""', 'a, "b"', '\n"a"'])
def test_blanks_in_quoted_texts_are_kept(data_folder, text):
    rows = [{"sentence": text, "label": 0}, {"sentence": "b", "label": 1}]
    data, _ = tasks.load("sst2", data_folder("csv", train=rows, validation=rows, test=rows))
    assert data["train"].to_list() == rows


@pytest.mark.parametrize(
    ("task", "form", "text", "said"),
    [
        (
            "cola",
            "csv",
            "gj04,1,,Our friends won't buy it.",
            "the first line of '.*' has '1' among the names of",
        ),
        ("stsb", "tsv", "main\t2012\t5.000\tA plane.\tA plane.", "the first line of '.*' has '2012' among .*sentence1"),
        ("stsb", "csv", "main\t2012\t5.000\tA plane.\tA plane.", "the only column of '.*' is 'main.*, by tabs in .tsv"),
        ("stsb", "csv", "main\t2012\t5.000\tA, b.\tA plane.", "a column of '.*' is 'main.*, by tabs in .tsv"),
        (
            "sst2",
            "csv",
            "sentence;label,extra\na, b;0,1",
            "a column of '.*' is 'sentence;label', which contains ';'",
        ),
    ],
)
def test_a_missing_header(tmp_path, task, form, text, said):
    for split in ("train", "dev"):
        (tmp_path / f"{split}.{form}").write_text(f"{text}\n{text}\n")
    with pytest.raises(ValueError, match=said):
        tasks.load(task, tmp_path)


@pytest.mark.parametrize(
    "content", [{"data": GOOD}, pd.DataFrame(GOOD).to_dict("list"), pd.DataFrame(GOOD).to_dict()], ids=str
)
def test_json_that_is_not_a_list_of_rows(data_folder, content):
    folder = data_folder("json", validation=GOOD)
    (folder / "train.json").write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=r"train\.json' is one object of lists or objects \(.*\); expected a list of rows"
    ):
        tasks.load("sst2", folder)


def test_the_index_that_pandas_writes_is_a_column_like_others(data_folder):
    folder = data_folder("csv", validation=GOOD, test=GOOD)
    pd.DataFrame(GOOD).to_csv(folder / "train.csv")
    assert (folder / "train.csv").read_text().startswith(",sentence")
    data, _ = tasks.load("sst2", folder)
    assert data["train"]["sentence"] == ["a b", "b a"] and data["train"]["label"] == [0, 1]


def test_csv_with_a_byte_order_mark_and_a_long_text(data_folder):
    """As Excel writes it; the text is longer than Python's own reader of csv takes."""
    folder = data_folder("csv", validation=GOOD, test=GOOD)
    long = "a" * 200_000
    (folder / "train.csv").write_text(f"sentence,label\n{long},0\nb,1\n", encoding="utf-8-sig")
    assert tasks.load("sst2", folder)[0]["train"]["sentence"] == [long, "b"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
def test_a_file_in_another_encoding_is_named(data_folder, form, encoding):
    folder = data_folder(form, train=GOOD, validation=GOOD)
    text = {"csv": "sentence,label\na,0\nnaïve,1\n", "json": '[{"sentence": "naïve", "label": 1}]'}
    lines = [json.dumps({"sentence": word, "label": 1}, ensure_ascii=False) for word in ("a", "b", "naïve")]
    (folder / f"train.{form}").write_bytes(text.get(form, "\n".join(lines)).encode(encoding))
    line = 1 if form == "json" else 3
    with pytest.raises(
        ValueError, match=rf"cannot read '.*train\.{form}': line {line} is not UTF-8; save the file as UTF-8"
    ):
        tasks.load("sst2", folder)


def test_a_text_column_of_mixed_types(data_folder):
    folder = data_folder(train=GOOD, validation=GOOD)
    (folder / "train.jsonl").write_text('{"sentence": "a", "label": 0}\n{"sentence": {"b": 1}, "label": 1}\n')
    with pytest.raises(ValueError, match=r"row 1 of split train of task 'sst2' has \{'b': 1\} in column 'sentence'"):
        tasks.load("sst2", folder)


def test_a_missing_text_matters_only_in_selected_rows():
    rows = Dataset.from_dict({"a": ["x", None, "y"]})
    columns.check_texts("t", "train", rows.select([2, 0]), "a")
    with pytest.raises(ValueError, match="row 0 of split train of task 't' has None in column 'a'"):
        columns.check_texts("t", "train", concatenate_datasets([rows.select([1]), rows]), "a")
