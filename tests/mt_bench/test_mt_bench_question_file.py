"""The file of questions: its path, its contents, and damaged lines."""

import os
from pathlib import Path

import pytest

from circpeft import mt_bench

ROOT = os.environ.get("CIRCPEFT_DATA_DIR", "")


def row(number: int = 1, **change) -> dict:
    return {"question_id": number, "category": "math", "turns": ["a", "b"], **change}


@pytest.mark.parametrize("name", ["question.jsonl", "test.jsonl"])
def test_questions_of_a_file_and_of_its_folder(tmp_path, name, write_lines):
    rows = [row(1, reference=["2", ""]), row(2, reference=None, turns=["line\u2028separator", "ü"]), "\n", row(3)]
    file = write_lines(tmp_path / name, rows)
    found = mt_bench.questions(file)
    assert found == mt_bench.questions(str(tmp_path))
    assert [(q.question_id, q.reference) for q in found] == [(1, ("2", "")), (2, ()), (3, ())]
    assert found[1].turns == ("line\u2028separator", "ü")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("{half\n", r"line 2 is not JSON"),
        ("[1]\n", r"line 2 is list; expected one object per line"),
        (row(2, turns=["a"]), r"line 2: turns of question 2 must be two texts, got \('a',\)"),
        (row(2, turns=["a", " "]), r"line 2: turns of question 2 must be two texts"),
        (row(2, turns="ab"), r"line 2: turns of question 2 must be two texts, got 'ab'"),
        (row(2, reference=["a", 1]), r"line 2: reference of question 2 must be up to two texts"),
        (row(2, category="maths"), r"line 2: unknown category 'maths' .* did you mean 'math'"),
        (row(2, category=["math"]), r"line 2: unknown category \['math'\]"),
        (row("2"), r"line 2: question_id must be a whole number, got '2'"),
        (row(1), r"line 2: question_id 1 is already used in line 1"),
        (
            {"question_id": 2, "category": "math", "turn": ["a", "b"]},
            r"line 2: 'turns' is missing; did you mean 'turn'",
        ),
    ],
)
def test_bad_questions_are_named_with_file_and_line(tmp_path, second, message, write_lines):
    file = write_lines(tmp_path / "question.jsonl", [row(1), second])
    with pytest.raises(ValueError, match=rf"question\.jsonl, {message}"):
        mt_bench.questions(file)


def test_bytes_that_are_not_text(tmp_path):
    (tmp_path / "question.jsonl").write_bytes(b'\n{"question_id": "\xff"}\n')
    with pytest.raises(ValueError, match=r"question\.jsonl, line 2 is not JSON"):
        mt_bench.questions(tmp_path)


def test_missing_and_empty_files(tmp_path, write_lines):
    with pytest.raises(FileNotFoundError, match=r"holds nothing; expected question\.jsonl or test\.jsonl"):
        mt_bench.questions(tmp_path)
    file = write_lines(tmp_path / "question.jsonl", ["\n"])
    with pytest.raises(ValueError, match="has no questions"):
        mt_bench.questions(file)
    with pytest.raises(FileNotFoundError, match=r"did you mean 'question\.jsonl'"):
        mt_bench.questions(tmp_path / "questions.jsonl")
    write_lines(tmp_path / "test.jsonl", [row()])
    with pytest.raises(ValueError, match="give the path of one"):
        mt_bench.questions(tmp_path)


def test_without_a_path_the_published_file_is_downloaded(tmp_path, monkeypatch, write_lines):
    file = write_lines(tmp_path / "question.jsonl", [row(7)])

    def download(**asked):
        assert asked["filename"] == "data/mt_bench/question.jsonl" and asked["repo_type"] == "space"
        return str(file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert mt_bench.questions()[0].question_id == 7

    def fail(**asked):
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(FileNotFoundError, match="cannot download .*no network.* give the path of a local copy"):
        mt_bench.questions("")


def test_the_real_questions():
    if not ROOT:
        pytest.skip(
            "CIRCPEFT_DATA_DIR is not set; set it to a folder with mt_bench/question.jsonl or mt_bench/test.jsonl"
        )
    found = mt_bench.questions(Path(ROOT) / "mt_bench")
    assert len(found) == 80 and {q.category for q in found} == set(mt_bench.TEMPERATURES)
    assert [q.question_id for q in found] == list(range(81, 161))
    assert all(len(q.reference) == 2 for q in found if q.category in ("math", "reasoning"))
