"""json and jsonl: no value is changed by what the others of its column or of its part of the file look like."""

import json

import pytest

from circpeft import data_folders, tasks

DATES = [f"2020-01-{day:02}" for day in range(1, 29)]


def write(path, rows: list[dict], form: str = "jsonl") -> None:
    whole = json.dumps(rows) if form == "json" else "\n".join(map(json.dumps, rows))
    (path / f"train.{form}").write_text(whole)


def answers(folder) -> list[str]:
    return data_folders.read_folder(folder)["train"]["output"][:]


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("more", [[], ["hello"]], ids=["dates alone", "a text behind them"])
def test_a_text_that_looks_like_a_date_is_text(tmp_path, form, more):
    rows = [{"instruction": "when?", "output": text} for text in [*DATES, "2020-01-01T00:00:00", *more]]
    write(tmp_path, rows, form)
    assert data_folders.read_folder(tmp_path)["train"].to_list() == rows


@pytest.mark.parametrize("first", [DATES * 200, ["a"] * 5600], ids=["dates first", "dates last"])
def test_a_large_file_is_read_as_one(tmp_path, first):
    """Longer than the part, 10 MB, by which the readers of datasets tell what kind a column is of."""
    texts = [*first, *(["a"] if first[0] != "a" else DATES * 200)]
    write(tmp_path, [{"instruction": "x" * 2000, "output": text} for text in texts])
    assert (tmp_path / "train.jsonl").stat().st_size > 11_000_000
    assert answers(tmp_path) == texts


def test_a_large_file_of_texts_and_numbers_is_refused_by_its_row(tmp_path):
    rows = [{"instruction": "x" * 2000, "output": "a" if i < 6000 else i} for i in range(6100)]
    write(tmp_path, rows)
    with pytest.raises(ValueError, match="row 6000 of split train of task 'alpaca' has 6000 in column 'output'"):
        tasks.load("alpaca", tmp_path)
    assert answers(tmp_path)[5998:6001] == ["a", "a", 6000]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('\ufeff{"a": 1}\r\n\r\n{"a": 2, "b": "x"}\r\n \r\n', [{"a": 1, "b": None}, {"a": 2, "b": "x"}]),
        ('\n[{"a": 1}, {"b": "x"}]\n', [{"a": 1, "b": None}, {"a": None, "b": "x"}]),
        ('{\n  "a": 1\n}\n{\n  "a": 2\n}', [{"a": 1}, {"a": 2}]),
        ('{"a": "\\ud83d\\ude00\\u2028"}', [{"a": "\U0001f600\u2028"}]),
        ('{"a": 1}{"a": 2.5}', [{"a": 1.0}, {"a": 2.5}]),
        ('{"a": NaN, "b": Infinity}\n{"a": "x", "b": 1}', [{"a": None, "b": float("inf")}, {"a": "x", "b": 1.0}]),
        ('{"a": 1, "b": {"c": 1}}\n{"a": "x", "b": {"c": ""}}', [{"a": 1, "b": {"c": 1}}, {"a": "x", "b": {"c": ""}}]),
        (
            '[{"a": "5", "b": 1}, {"a": "null"}, {"a": "\\"q\\""}, {"a": 7}, {"a": null}, {"a": [1.5, true, "1"]}]',
            [
                {"a": value, "b": 1 if value == "5" else None}
                for value in ("5", "null", '"q"', 7, None, [1.5, True, "1"])
            ],
        ),
        ('{"a": 9223372036854775808, "b": 0.5}\n{"b": true}', [{"a": 2**63, "b": 0.5}, {"a": None, "b": True}]),
        ('{"a": 9007199254740993}\n{"a": 0.5}', [{"a": 9007199254740993}, {"a": 0.5}]),
    ],
    ids=["lines", "list", "indented", "escapes", "numbers", "constants", "nested", "several kinds", "large", "exact"],
)
@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_objects_are_read_as_they_stand(tmp_path, form, text, found):
    (tmp_path / f"train.{form}").write_text(text, encoding="utf-8", newline="")
    read = data_folders.read_folder(tmp_path)["train"].to_list()
    assert repr(read) == repr(found)  # True is not 1.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}\n{"a": 2,}', "cannot read '.*' as json: line 2, character 9: "),
        ('{"a": 1},\n{"a": 2}', "cannot read '.*' as json: line 1, character 9: Expecting value"),
        ("[{'a': 1}]", "cannot read '.*' as json: line 1, character 3: Expecting property name enclosed in double"),
        ('{"a": 1}\n["a"]', r"row 1 of '.*' is \['a'\]; expected an object"),
        ('["a", "b"]', "row 0 of '.*' is 'a'; expected an object"),
        ('[{"a": 1}]\n[{"a": 2}]', r"row 0 of '.*' is \[\{'a': 1\}\]; expected an object"),
        ('{"a": 1, "b": 2, "a": 3}', "'.*' has 'a' twice in one object, {'a': 3, 'b': 2}; keep one"),
        ('[{"a": 1, "a": 1}]', "'.*' has 'a' twice in one object"),
        ('{"a": "b \\ud83d"}', "row 0 of '.*' has half of a character in column 'a'"),
        ('{"a": 1}\n{"a": 18446744073709551616}', "row 1 of '.*' has 18446744073709551616 in column 'a', more than 6"),
        ('{"a": [{"b": [18446744073709551616]}]}\n{}', "row 0 of '.*' has 18446744073709551616 in column 'a', more"),
        ('{"a": {"b \\ud83d": 1}, "b": 1}', "row 0 of '.*' has half of a character in column 'a'"),
        ('{"a": ' + "[" * 100_000, "cannot read '.*' as json: maximum recursion depth exceeded"),
        ('{"a": ' + "1" * 5000, "cannot read '.*' as json: Exceeds the limit"),
    ],
)
@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_what_cannot_be_kept_is_refused(tmp_path, form, text, said):
    folder = tmp_path / "no data"  # a name that says nothing of the rows
    folder.mkdir()
    (folder / f"train.{form}").write_text(text)
    with pytest.raises(ValueError, match=said.replace("'.*'", rf"'.*/no data/train\.{form}'", 1)):
        data_folders.read_folder(folder)


@pytest.mark.parametrize("text", ["[]", "\ufeff", "\r\n \n", "{}", "{}\n{}"])
def test_no_rows(tmp_path, text):
    (tmp_path / "train.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"empty split: train\.json in '.*' has no rows"):
        data_folders.read_folder(tmp_path)
