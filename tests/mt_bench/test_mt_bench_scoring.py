"""Mean scores from a file of judgments, and damaged lines."""

import pytest

from circpeft import mt_bench


def judged(**change) -> dict:
    return {"question_id": 81, "model": "m", "judge": ["gpt-4", "single"], "score": 5, "turn": 1, **change}


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ('{"question_id": 8', r"line 2 is not JSON.*delete the line"),
        ({"question_id": 81, "turn": 2}, r"line 2 lacks model, judge, score"),
        (judged(), r"line 2 judges turn 1 of question 81 a second time"),
        (judged(turn=3), r"line 2 has question_id 81, turn 3"),
        (judged(turn=2, score=11), r"line 2 has score 11; expected 1 to 10, or null"),
        (judged(turn=2, score="7"), r"line 2 has score '7'"),
        (judged(turn=2, score=True), r"line 2 has score True"),
        (judged(turn=2, score=float("nan")), r"line 2 has score nan"),
        (judged(turn=2, model="n"), r"line 2 judges 'n' by 'gpt-4', but earlier lines 'm' by 'gpt-4'"),
        (judged(turn=2, judge=["gpt-3"]), r"line 2 judges 'm' by 'gpt-3'"),
    ],
)
def test_a_damaged_file_of_judgments(tmp_path, second, message, write_lines):
    path = write_lines(tmp_path / "judged.jsonl", [judged(), second])
    with pytest.raises(ValueError, match=rf"judged\.jsonl, {message}"):
        mt_bench.scores(path)


def test_turns_without_a_score_are_missing(tmp_path, QUESTIONS, write_lines):
    path = write_lines(tmp_path / "judged.jsonl", [judged(), judged(turn=2, score=None), judged(question_id=111)])
    assert {name: mt_bench.scores(path)[name] for name in ("scored", "missing")} == {"scored": 2, "missing": 1}
    found = mt_bench.scores(path, QUESTIONS)  # three turns were never judged
    assert found["missing"] == 4 and found["categories"] == {"writing": 5, "math": 5, "stem": None}
    write_lines(path, [judged(), judged(turn=2, score=-1)])  # FastChat's mark of a missing score
    assert mt_bench.scores(path)["mean"] == 5 and mt_bench.scores(path)["missing"] == 1


def test_scores_without_a_question_or_a_judgment(tmp_path, QUESTIONS, write_lines):
    path = write_lines(tmp_path / "judged.jsonl", [judged(question_id=5)])
    with pytest.raises(ValueError, match="judges question 5, which is not among the 3 questions"):
        mt_bench.scores(path, QUESTIONS)
    with pytest.raises(ValueError, match="nothing was scored in .*it holds no judgments"):
        mt_bench.scores(write_lines(path, []))
    with pytest.raises(FileNotFoundError, match=r"circpeft\.mt_bench\.judge writes it"):
        mt_bench.scores(tmp_path / "none.jsonl")
