"""Notebook 10 on your own data: rows longer than the context, and a judge that grades every method's answers."""

import json
from dataclasses import asdict

import papermill
import pytest

from circpeft import results

NOTEBOOK = results.ROOT / "notebooks" / "10_instructions.ipynb"


@pytest.fixture
def parameters(tmp_path):
    """Return parameters with rows that do not fit into the 256 positions of the small LLaMA, as in GSM8K."""
    story = "Mia has 3 apples and buys 4 more. "
    rows = [{"question": story * 60 + "How many?", "answer": "#### 7"}]  # the question does not fit
    rows += [{"question": story + "How many?", "answer": "3 + 4 = 7\n" * 60 + "#### 7"}]  # the answer does not fit
    rows += [{"question": story + f"And {i}?", "answer": f"3 + 4 + {i} = {7 + i}\n#### {7 + i}"} for i in range(14)]
    for split, part in (("train", rows), ("validation", rows[2:6]), ("test", rows[2:6])):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, part)))
    values = {"profile": "smoke", "task": "gsm8k", "data_dir": str(tmp_path), "methods": "full,c3a"}
    return values | {"output_dir": str(tmp_path / "records")}


@pytest.mark.full
def test_rows_that_are_cut_and_a_judge(parameters, server, QUESTIONS, write_lines, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server.says("Rating: [[6]]", "Rating: [[8]]", "Rating: [[2]]", "Rating: [[4]]")
    file = write_lines(tmp_path / "question.jsonl", [asdict(QUESTIONS[0])])
    parameters |= {"judge": server.endpoint, "mt_bench": str(file)}
    done = papermill.execute_notebook(NOTEBOOK, tmp_path / "done.ipynb", parameters, progress_bar=False)
    printed = "".join(str(output.get("text", "")) for cell in done.cells for output in cell.get("outputs", []))
    assert "256 tokens, " in printed and "; cut, of " in printed
    assert "rows longer than 256 tokens are truncated: 2 of train, 0 of validation, 0 of test" in printed
    assert "left out of training and of the loss: 1 of train, 0 of validation, 0 of test" in printed
    assert "c3a: " in printed and " KiB on disk" in printed
    graded = [json.loads(line) for path in (tmp_path / "records" / "mt_bench").glob("*-judged.jsonl")
              for line in path.read_text().splitlines()]  # fmt: skip
    assert {(row["model"], row["turn"]): row["score"] for row in graded} == {
        ("full", 1): 6, ("full", 2): 8, ("c3a", 1): 2, ("c3a", 2): 4,
    }  # fmt: skip
