"""Tables with byte-order marks, in UTF-16, and with the line ends of Windows and of old Macs."""

import gc
import gzip
import json
import sys
import warnings

import pytest

from circpeft import mt_bench, tasks

ROWS = [{"sentence": "grün, \n kühl", "label": 0}, {"sentence": "naïve", "label": 1}]
TEXTS = {
    "csv": 'sentence,label\n"grün, \n kühl",0\nnaïve,1\n',
    "jsonl": "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in ROWS),
    "json": json.dumps(ROWS, ensure_ascii=False, indent=1),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le with a mark"])
@pytest.mark.parametrize("form", TEXTS)
def test_a_table_in_the_encoding_of_its_mark(tmp_path, form, encoding, packed):
    plain = encoding.partition(" ")[0]
    content = (("\ufeff" if plain != encoding else "") + TEXTS[form]).encode(plain)
    for split in ("train", "validation", "test"):
        name = f"{split}.{form}{'.gz' if packed else ''}"
        (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    assert tasks.load("sst2", tmp_path)[0]["train"].to_list() == ROWS


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl"])
def test_line_ends(tmp_path, form, ends):
    text = {"csv": "sentence,label\na,0\nb,1\n", "tsv": "sentence\tlabel\na\t0\nb\t1\n"}.get(form)
    text = text or '{"sentence": "a", "label": 0}\n{"sentence": "b", "label": 1}\n'
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.{form}").write_bytes(text.replace("\n", ends).encode())
    assert tasks.load("sst2", tmp_path)[0]["test"].to_list() == [
        {"sentence": "a", "label": 0},
        {"sentence": "b", "label": 1},
    ]


def test_a_file_that_only_begins_as_utf16(tmp_path):
    (tmp_path / "train.csv").write_bytes(b"\xff\xfeabc")
    with pytest.raises(ValueError, match=r"train\.csv': it begins with the mark of UTF-16, but is not UTF-16; save"):
        tasks.load("sst2", tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_rows_and_questions_in_files_of_their_own(tmp_path, encoding):
    row = {"problem": "1 + 1 = ä?", "solution": r"\boxed{2}"}
    for split in ("train", "validation", "test"):
        (tmp_path / split / "algebra").mkdir(parents=True)
        (tmp_path / split / "algebra" / "1.json").write_bytes(json.dumps(row, ensure_ascii=False).encode(encoding))
    assert tasks.load("math", tmp_path)[0]["train"].to_list() == [row]
    asked = [{"question_id": i, "category": "math", "turns": ["ä?", "b?"]} for i in (1, 2)]
    lines = "".join(json.dumps(question, ensure_ascii=False) + "\r\n" for question in asked)
    (tmp_path / "question.jsonl").write_bytes(lines.encode(encoding))
    assert [question.turns for question in mt_bench.questions(tmp_path)] == [("ä?", "b?")] * 2


def test_a_csv_file_is_closed_after_reading(data_folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        folder = data_folder("csv", train=ROWS, validation=ROWS, test=ROWS)
        unraisable = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "unraisablehook", unraisable.append)  # a destructor cannot raise
            tasks.load("sst2", folder)
            gc.collect()
        assert not unraisable
