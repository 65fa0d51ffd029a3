"""Tab separated files, and compressed ones: GLUE's own, with their headers, quotation marks and ends of lines."""

import csv
import gzip
import re

import pandas as pd
import pytest

from circpeft import tasks
from circpeft.tasks import splits

ROWS = [{"sentence": 'a "b', "label": 0}, {"sentence": '"c"', "label": 1}, {"sentence": 'd""', "label": 1}]


def write(folder, end: str = "\n", mark: bool = False, **parts: list[str]) -> None:
    for split, lines in parts.items():
        text = end.join([*lines, ""])
        (folder / f"{split}.tsv").write_bytes(text.encode("utf-8-sig" if mark else "utf-8"))


def lines(rows: list[dict]) -> list[str]:
    return ["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"], ids=["", "Windows", "blank lines"])
@pytest.mark.parametrize("mark", [False, True], ids=["", "mark"])
def test_quotation_marks_in_tsv_are_text(tmp_path, end, mark):
    write(tmp_path, end, mark, train=lines(ROWS), dev=lines(ROWS), test=lines(ROWS))
    data, how = tasks.load("sst2", tmp_path)
    assert how == "test: as published"
    assert [part.to_list() for part in data.values()] == [ROWS] * 3


# The first lines of GLUE's own files, with other texts: train and dev, the test set without labels, and what is read.
GLUE = {
    "cola": (
        ["gj04\t1\t\tThe cat sleeps.", "gj04\t0\t*\tCat the sleeps."],
        ["index\tsentence", "0\tThe dog sleeps."],
        [("The cat sleeps.",), ("Cat the sleeps.",)],
        [1, 0],
    ),
    "sst2": (
        ["sentence\tlabel", "so bad \t0", "so good \t1"],
        ["index\tsentence", "0\tso-so"],
        [("so bad ",), ("so good ",)],
        [0, 1],
    ),
    "mrpc": (
        ["Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", '1\t70\t71\t" He said so .\tHe said .', "0\t72\t73\t12\t13"],
        ["index\t#1 ID\t#2 ID\t#1 String\t#2 String", "0\t1\t2\ta\tb"],
        [('" He said so .', "He said ."), ("12", "13")],
        [1, 0],
    ),
    "rte": (
        ["index\tsentence1\tsentence2\tlabel", "0\ta b\ta\tentailment", "1\ta\tb\tnot_entailment"],
        ["index\tsentence1\tsentence2", "0\ta\tb"],
        [("a b", "a"), ("a", "b")],
        [0, 1],
    ),
    "qnli": (
        ["index\tquestion\tsentence\tlabel", "0\twho?\ta\tnot_entailment", "1\twhat?\tb\tentailment"],
        ["index\tquestion\tsentence", "0\twho?\tc"],
        [("who?", "a"), ("what?", "b")],
        [1, 0],
    ),
    "stsb": (
        ["index\tgenre\told_index\tsentence1\tsentence2\tscore", "0\tnews\t7\ta\tb\t2.500", "1\tnews\t8\ta\ta\t5.000"],
        ["index\tgenre\told_index\tsentence1\tsentence2", "0\tnews\t9\ta\tb"],
        [("a", "b"), ("a", "a")],
        [2.5, 5.0],
    ),
}


@pytest.mark.parametrize("name", GLUE)
def test_glues_own_files(tmp_path, name):
    given, hidden, texts, labels = GLUE[name]
    write(tmp_path, "\r\n", name == "mrpc", train=given, dev=given, test=hidden)
    data, how = tasks.load(name, tmp_path)
    assert how == "validation and test: halves of the published validation set; the published test split has no labels"
    columns = tasks.get(name).columns
    assert [tuple(row[column] for column in columns) for row in data["train"]] == texts
    assert data["train"]["label"] == labels


def test_a_header_is_told_from_the_first_row_of_cola(tmp_path):
    """With one, all four columns are read by their names, in whatever order."""
    given = ["sentence\tstar\tlabel\tsource", "The cat sleeps.\t\t1\tgj04", "Cat the sleeps.\t*\t0\tgj04"]
    write(tmp_path, train=given, dev=given, test=given)
    data, _ = tasks.load("cola", tmp_path)
    assert data["test"]["sentence"] == ["The cat sleeps.", "Cat the sleeps."] and data["test"]["label"] == [1, 0]


def test_tasks_without_headerless_files_need_a_header(tmp_path):
    write(tmp_path, train=["so bad\t0", "so good\t1"], dev=lines(ROWS))
    with pytest.raises(ValueError, match="first line of '.*train.tsv' has '0' among .* such as sentence$"):
        tasks.load("sst2", tmp_path)


@pytest.mark.parametrize(
    ("row", "fields"), [("a\tb\t0", 3), ("0", 1), ('"a', 1)], ids=["tab in a text", "no text", "line end in a text"]
)
def test_a_row_with_a_wrong_number_of_fields(tmp_path, row, fields):
    write(tmp_path, train=[*lines(ROWS), row], dev=lines(ROWS))
    said = rf"line 5 of '.*train\.tsv' has {fields} fields, but the header has 2 \(sentence, label\); in tsv, quotes"
    with pytest.raises(ValueError, match=said):
        tasks.load("sst2", tmp_path)


@pytest.mark.parametrize("text", ['"no" he said', '"no"', 'say "no", "no"', '"'])
def test_a_tsv_file_quoted_by_pandas(tmp_path, text):
    """It doubles quotation marks, which would be read as two."""
    rows = [{"sentence": text, "label": 1}, {"sentence": "b", "label": 0}]
    write(tmp_path, dev=lines(rows), test=lines(rows))
    pd.DataFrame(rows).to_csv(tmp_path / "train.tsv", index=False, sep="\t")
    with pytest.raises(
        ValueError, match=r"line 2 of '.*train\.tsv' has '\".*': in tsv, quotes are text .*unquoted, or"
    ):
        tasks.load("sst2", tmp_path)
    pd.DataFrame(rows).to_csv(tmp_path / "train.tsv", index=False, sep="\t", quoting=csv.QUOTE_NONE)
    assert tasks.load("sst2", tmp_path)[0]["train"].to_list() == rows


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_a_tsv_file_with_quoted_names(tmp_path, quoting):
    write(tmp_path, dev=lines(ROWS))
    pd.DataFrame(ROWS).to_csv(tmp_path / "train.tsv", index=False, sep="\t", quoting=quoting)
    with pytest.raises(ValueError, match=r"the header of '.*train\.tsv' has \"sentence\": in tsv, quotes are text "):
        tasks.load("sst2", tmp_path)


@pytest.mark.parametrize(
    ("form", "mark", "text"), [("csv", ";", "a, b"), ("csv", "\t", "a"), ("csv", "|", "a"), ("tsv", ",", "a")]
)
def test_a_wrong_separator(data_folder, form, mark, text):
    """The header is checked before the fields of rows are counted."""
    folder = data_folder("csv", validation=ROWS)
    (folder / f"train.{form}").write_text(f"sentence{mark}label\n{text}{mark}0\n")
    if form == "tsv":
        (folder / "validation.csv").rename(folder / "validation.tsv")
    said = rf"the only column of '.*train\.{form}' is .*, which contains {re.escape(repr(mark))}; separate fields by"
    with pytest.raises(ValueError, match=said):
        tasks.load("sst2", folder)


def test_tables_of_two_formats_are_not_mixed(tmp_path, data_folder):
    folder = data_folder("csv", train=ROWS)
    write(folder, dev=lines(ROWS))
    with pytest.raises(ValueError, match="mixes formats: csv, tsv; use one"):
        tasks.load("sst2", folder)


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "tsv"])
def test_a_changed_compressed_file_is_read_again(data_folder, form):
    """The cache of unpacked files is not used for changed ones."""
    folder = data_folder()
    for kept in (ROWS, ROWS[::-1]):
        for split in splits.SPLITS:
            plain = folder / f"{split}.{form}"
            if form == "tsv":
                write(folder, **{split: lines(kept)})
            else:
                data_folder(form, **{split: kept})
            with gzip.open(folder / f"{split}.{form}.gz", "wb") as packed:
                packed.write(plain.read_bytes())
            plain.unlink()
        data, how = tasks.load("sst2", folder)
        assert how == "test: as published"
        assert [part.to_list() for part in data.values()] == [kept] * 3


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"sentence,label\na,0\n" * 99)[:-9], b"sentence,label\na,0\n"],
    ids=["truncated", "not compressed"],
)
def test_a_damaged_compressed_file(data_folder, content):
    folder = data_folder("csv", validation=ROWS)
    (folder / "train.csv.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot read '.*train\.csv\.gz': it is damaged, or was not written by gzip"):
        tasks.load("sst2", folder)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"sentence,label\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_table_without_rows(data_folder, content, packed):
    folder = data_folder("csv", validation=ROWS)
    (folder / ("train.csv" + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(ValueError, match=r"empty split: train\.csv.* has no rows"):
        tasks.load("sst2", folder)


@pytest.mark.parametrize("name", ["a", "label"])
def test_a_repeated_column(data_folder, name):
    folder = data_folder("csv", validation=ROWS)
    (folder / "train.csv").write_text(f"sentence,label,{name},{name}\nx,0,1,1\ny,1,0,0\n")
    with pytest.raises(ValueError, match=rf"the header of '.*train\.csv' has '{name}' twice; keep one"):
        tasks.load("sst2", folder)


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_a_text_that_looks_like_a_number_is_text(tmp_path, form):
    rows = pd.DataFrame({"question": ["1 + 1?", "007"], "answer": ["2", "0010"]})
    for split in splits.SPLITS:
        rows.to_csv(tmp_path / f"{split}.{form}", index=False, sep="\t" if form == "tsv" else ",")
    data, _ = tasks.load("gsm8k", tmp_path)
    assert data["train"].to_list() == rows.to_dict("records")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["1", "2.5"], [1.0, 2.5]),
        (["1", " 2"], [1, 2]),
        (["1", "abc"], ["1", "abc"]),
        (["1", ""], ["1", ""]),
        (["1", "12345678901234567890"], ["1", "12345678901234567890"]),
        (["nan", "inf"], ["nan", "inf"]),
        (["True", "False"], [True, False]),
        (["True", "1"], ["True", "1"]),
    ],
    ids=str,
)
def test_the_type_of_a_column_depends_on_all_rows(data_folder, values, found):
    """Not the first ten thousand."""
    folder = data_folder("csv", validation=ROWS, test=ROWS)
    first, last = values
    rows = [f"a,{i % 2},{first}" for i in range(10_000)]
    (folder / "train.csv").write_text("\n".join(["sentence,label,more", *rows, f"b,1,{last}", ""]))
    train = tasks.load("sst2", folder)[0]["train"]
    assert train["more"][9_999:] == found and type(train["more"][0]) is type(found[0])
    assert train["label"][9_998:] == [0, 1, 1]
