"""The table of answers before and after training: right and wrong, both scores, and markup as it is written."""

from dataclasses import fields
from html import unescape

import pytest
from datasets import Dataset

from circpeft import results, tasks
from circpeft.course import answers

TASK = tasks.get("word_problems")
ROWS = Dataset.from_dict({"question": ["1 + 1?", "<b>2</b> + 2?", "3 + 3?"], "answer": ["#### 2", "#### 4", "#### 6"]})


def run(**values) -> results.Result:
    known = dict.fromkeys((f.name for f in fields(results.Result)), 0)
    known |= {"label": "c3a", "metric": "exact_match", "rows": {"test": 400}, "start_score": 0.0125}
    known |= {"test_score": 0.5, "start_predictions": ["2", "<i>3</i>", "1"], "predictions": ["#### 1", "#### 4", "7"]}
    return results.Result(**known | values)


def test_answers_to_the_same_questions_are_side_by_side_with_both_scores():
    styled = answers.side_by_side(TASK, ROWS, run())
    table = styled.data
    assert (
        list(table["question"].map(unescape)) == ROWS["question"][:] and list(table["reference"]) == ROWS["answer"][:]
    )
    assert list(table["before"]) == ["✓ right\n2", "✗ wrong\n&lt;i&gt;3&lt;/i&gt;", "✗ wrong\n1"]
    assert list(table["after c3a"]) == ["✗ wrong\n#### 1", "✓ right\n#### 4", "✗ wrong\n7"]
    assert "exact_match on all 400 test questions: 0.013 before training, 0.500 after c3a" in styled.to_html()


def test_markup_is_shown_as_written():
    html = answers.side_by_side(TASK, ROWS, run(label="c3a:<u>")).to_html()
    assert "&lt;b&gt;2&lt;/b&gt;" in html and "&lt;i&gt;3" in html
    assert not any(tag in html for tag in ("<b>", "<i>", "<u>"))


@pytest.mark.parametrize(("count", "kept", "shown"), [(2, 3, 2), (8, 1, 1)])
def test_there_are_no_more_rows_than_the_record_has_answers(count, kept, shown):
    record = run(start_predictions=["2", "3", "1"][:kept])
    assert len(answers.side_by_side(TASK, ROWS, record, count).data) == shown


def test_a_task_without_compared_answers_is_refused():
    with pytest.raises(ValueError, match="records of task 'alpaca' have no answers"):
        answers.side_by_side(tasks.get("alpaca"), ROWS, run())
