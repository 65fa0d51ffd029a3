"""Data with a file for each row, as MATH is published."""

import json

import pytest

from circpeft import tasks


@pytest.fixture
def problems(tmp_path):
    """Write SPLIT/SUBJECT/NUMBER.json, given how many files each subject has."""

    def write(home: str = "MATH", **counts: dict[str, int]):
        for split, subjects in counts.items():
            for subject, count in subjects.items():
                folder = tmp_path / home / split / subject
                folder.mkdir(parents=True)
                for i in range(count):
                    row = {"problem": f"{subject} {i}?", "level": "Level 1", "solution": rf"It is \boxed{{{i}}}."}
                    (folder / f"{i}.json").write_text(json.dumps(row, indent=1))
        return tmp_path / home

    return write


@pytest.mark.parametrize("above", [False, True])
def test_a_file_is_a_row(problems, above):
    folder = problems(train={"algebra": 12, "geometry": 3}, test={"algebra": 2})
    data, how = tasks.load("math", folder.parent if above else folder)
    assert how.startswith("test: as published; validation: ")
    assert sorted([*data["train"]["problem"], *data["validation"]["problem"]]) == sorted(
        [f"algebra {i}?" for i in range(12)] + [f"geometry {i}?" for i in range(3)]
    )
    assert data["test"].to_list() == [
        {"problem": f"algebra {i}?", "solution": rf"It is \boxed{{{i}}}."} for i in range(2)
    ]
    raw = tasks.get("math").read_folder(folder)["train"]["problem"][:]
    assert raw == [f"algebra {i}?" for i in range(12)] + [f"geometry {i}?" for i in range(3)]  # 2 before 10


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "train/algebra/1.json",
            '{"problem": ',
            r"cannot read '.*/train/algebra/1\.json' as json: line 1, cha",
        ),
        ("train/algebra/1.json", "", r"'.*1\.json' holds 0 values; expected one object"),
        ("train/algebra/1.json", "[1]", r"'.*1\.json' is \[1\]; expected an object"),
        (
            "train/algebra/a.txt",
            "b",
            r"'.*/algebra/a\.txt' is among the rows of algebra; expected only \.json",
        ),
        ("test.jsonl", "{}", r"has test, test\.jsonl for test, beside files such as test/SUBJECT/\*\.json"),
        ("train/README.md", "a", r"'.*/train/README\.md' is beside the folders of subjects; move it into one"),
        ("my_dev.jsonl", "{}", r"has no validation split, and my_dev\.jsonl, which looks like one, is not read"),
        ("dev.jsonl", "{}", r"has dev\.jsonl for validation, beside files such as test/SUBJECT/\*\.json"),
    ],
)
def test_files_that_would_be_ignored_are_refused(problems, name, text, said):
    folder = problems(train={"algebra": 12}, test={"algebra": 2})
    (folder / name).write_text(text)
    with pytest.raises(ValueError, match=said):
        tasks.load("math", folder)


def test_bytes_that_are_not_utf8(problems):
    folder = problems(train={"algebra": 12}, test={"algebra": 2})
    (folder / "test" / "algebra" / "1.json").write_bytes(b'{"problem": "\xff"}')
    with pytest.raises(ValueError, match=r"cannot read '.*/test/algebra/1\.json': it is not UTF-8"):
        tasks.load("math", folder)


def test_a_value_that_a_column_cannot_hold_is_named_by_its_file(problems):
    folder = problems(train={"algebra": 12}, test={"algebra": 2})
    (folder / "train" / "algebra" / "7.json").write_text('{"problem": "x", "solution": "\\ud83d"}')
    with pytest.raises(ValueError, match=r"'.*/train/algebra/7\.json' has half of a character in column 'solution'"):
        tasks.load("math", folder)


def test_tables_take_precedence_over_row_files_in_a_subfolder(problems, data_folder, tmp_path):
    folder = problems("data/raw", train={"algebra": 12}, test={"algebra": 2}).parent
    rows = [{"problem": f"{i}?", "solution": rf"\boxed{{{i}}}"} for i in range(4)]
    data, _ = tasks.load("math", data_folder(train=rows, validation=rows, test=rows))
    assert data["train"]["problem"] == [f"{i}?" for i in range(4)] and folder == tmp_path / "data"


def test_the_subfolder_named_after_the_task_is_read(problems, tmp_path):
    problems("home/A", train={"algebra": 12}, test={"algebra": 2})
    problems("home/B", train={"algebra": 12}, test={"algebra": 3})
    with pytest.raises(ValueError, match="holds several data sets: A, B; give the folder of one"):
        tasks.load("math", tmp_path / "home")
    (tmp_path / "home" / "B").rename(tmp_path / "home" / "MATH")
    assert len(tasks.load("math", tmp_path / "home")[0]["test"]) == 3


def test_an_empty_subject_folder_is_accepted(problems):
    folder = problems(train={"algebra": 12, "a": 0}, test={"algebra": 2})
    assert len(tasks.load("math", folder)[0]["test"]) == 2


def test_a_split_under_another_name(problems):
    folder = problems(train={"algebra": 12}, testing={"algebra": 2})
    with pytest.raises(ValueError, match="has no test split, and testing, which looks like one, is not read"):
        tasks.load("math", folder)
