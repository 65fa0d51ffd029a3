"""Instructions with rows longer than the model: they are cut or left out, and the notebook tells."""

import json

import papermill

from circpeft import results


def test_the_notebook_shows_a_row_that_is_cut_and_leaves_out_one_without_room(tmp_path):
    """As with GSM8K's own questions and the small LLaMA, which has 256 positions."""
    story = "Mia has 3 apples and buys 4 more. "
    rows = [{"question": story * 60 + "How many?", "answer": "#### 7"}]  # no room
    rows += [{"question": story + "How many?", "answer": "3 + 4 = 7\n" * 60 + "#### 7"}]  # cut
    rows += [{"question": story + f"And {i}?", "answer": f"3 + 4 + {i} = {7 + i}\n#### {7 + i}"} for i in range(14)]
    for split, part in (("train", rows), ("validation", rows[2:6]), ("test", rows[2:6])):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, part)))
    given = {"profile": "smoke", "task": "gsm8k", "data_dir": str(tmp_path), "methods": "c3a"}
    done = papermill.execute_notebook(
        results.ROOT / "notebooks" / "10_instructions.ipynb",
        tmp_path / "done.ipynb",
        given | {"output_dir": str(tmp_path / "records")},
        progress_bar=False,
    )
    said = "".join(str(output.get("text", "")) for cell in done.cells for output in cell.get("outputs", []))
    assert "256 tokens, " in said and "; cut, of " in said
    assert "rows longer than 256 tokens are cut: 2 of train, 0 of validation, 0 of test" in said
    assert "left out of training and of the loss: 1 of train, 0 of validation, 0 of test" in said
    assert "c3a: " in said and " KiB on disk" in said  # to its end
