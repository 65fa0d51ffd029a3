"""Files of instruction tasks as their publishers have them, and answers that are numbers."""

import json

import pytest

from circpeft import tasks


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_viggos_own_names_of_columns(data_folder, form):
    """Also of texts that look like numbers."""
    own = [{"mr": f"inform(name[{i}])", "ref": str(1990 + i)} for i in range(4)]
    data, _ = tasks.load("viggo", data_folder(form, train=own, validation=own, test=own))
    assert data["train"].to_list() == [{"target": row["ref"], "meaning_representation": row["mr"]} for row in own]


def test_a_name_of_both_is_the_tasks(data_folder):
    rows = [{"mr": "a", "target": "b", "meaning_representation": "inform(name[c])"}] * 2
    data, _ = tasks.load("viggo", data_folder(train=rows, validation=rows, test=rows))
    assert data["test"]["meaning_representation"] == ["inform(name[c])"] * 2


@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "parquet"])
def test_a_number_is_an_answer_in_every_format(data_folder, form):
    rows = [{"question": f"{i} + 1?", "answer": i + 1} for i in range(3)]
    data, _ = tasks.load("gsm8k", data_folder(form, train=rows, validation=rows, test=rows))
    assert data["train"]["answer"] == ["1", "2", "3"]
    assert tasks.get("gsm8k").score(data["test"]["answer"], ["It is 1.", "2", "4"]) == pytest.approx(2 / 3)


def test_a_number_among_texts(tmp_path):
    rows = [{"question": "a", "answer": "so\n#### 7"}, {"question": "b", "answer": 8}]
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert tasks.load("gsm8k", tmp_path)[0]["train"]["answer"] == ["so\n#### 7", "8"]


@pytest.mark.parametrize(
    ("answer", "row", "shown"), [(None, 1, "None"), (True, 1, "True"), (2.5, 0, r"1\.0"), ([1], 1, r"\[1\]")]
)
def test_what_is_no_whole_number_is_refused(tmp_path, answer, row, shown):
    rows = [{"question": "a", "answer": 1}, {"question": "b", "answer": answer}]
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    said = rf"row {row} of split train of task 'gsm8k' has {shown} in column 'answer'; expected a text or a whole num"
    with pytest.raises(ValueError, match=said):
        tasks.load("gsm8k", tmp_path)
