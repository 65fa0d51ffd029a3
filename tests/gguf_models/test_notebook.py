"""Notebook 10 with a model in a GGUF file, on a folder of the user's and on the word problems."""

import json

import nbformat
import papermill
import pytest

from circpeft import results
from circpeft.course import comparison
from circpeft.course.notebook_page import write_page

NOTEBOOK = results.ROOT / "notebooks" / "10_instructions.ipynb"


@pytest.fixture
def execute(write_gguf, tmp_path):
    """Return a function that executes the notebook with a tiny model, and returns its path and what it printed."""

    def run(**parameters):
        given = {"profile": "smoke", "model": str(write_gguf().path), "methods": "c3a", "max_train": 8}
        given |= {"output_dir": str(tmp_path / "records"), **parameters}
        path = tmp_path / "done.ipynb"
        papermill.execute_notebook(NOTEBOOK, path, given, progress_bar=False)
        outputs = [o for cell in nbformat.read(path, as_version=4).cells for o in cell.get("outputs", [])]
        return path, "".join(str(output.get("text", "")) for output in outputs)

    return run


@pytest.mark.full
def test_the_notebook_trains_on_a_folder_and_shows_markup_as_written(execute, tmp_path):
    rows = [{"question": f"<i>What</i> is {i}?", "answer": f"<b>It</b> is\n#### {i}"} for i in range(24)]
    for split, part in (("train", rows), ("validation", rows[:4]), ("test", rows[4:8])):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, part)))
    path, printed = execute(task="gsm8k", data_dir=str(tmp_path))
    assert "<|im_start|>user\n<i>What</i> is" in printed and " KiB on disk" in printed
    page = write_page(path, tmp_path / "page.html").read_text()
    assert "without the adapter</th>" in page and "&lt;b&gt;It&lt;/b&gt;" in page
    assert "<b>It</b>" not in page and "<i>What</i>" not in page
    assert "exact_match on all 4 test questions: " in page


@pytest.mark.full
def test_the_notebook_trains_on_the_word_problems(execute):
    _, printed = execute()
    assert "1 of 1" not in printed and "[1/1] c3a on all-linear, seed 0" in printed
    assert "4 of 4 answers are the same after the merge" in printed


def test_the_settings_of_smollm2_replace_those_of_the_profile(write_gguf, tmp_path, monkeypatch):
    folder = comparison.models.resolve(str(write_gguf().path))
    monkeypatch.setattr("circpeft.models.resolve", lambda model, dtype=None: folder)
    common = ("instructions", "cpu", "word_problems", "c3a", tmp_path, "smollm2")
    [made] = comparison.plan(*common)
    assert (made.batch_size, made.gradient_accumulation, made.max_length, made.max_train) == (2, 4, 384, 200)
    [made] = comparison.plan(*common, epochs=3, max_train=16)  # what the user gives counts
    assert (made.batch_size, made.epochs, made.max_train) == (2, 3, 16)
    [made] = comparison.plan("instructions", "cpu", "word_problems", "c3a", tmp_path)
    assert (made.batch_size, made.gradient_accumulation, made.max_train) == (16, 1, 0)
