"""Judgments of every turn: their file, interrupted runs and invalid calls."""

import pytest

from circpeft import mt_bench
from circpeft.mt_bench import Question


def test_scores_of_every_turn(judge, server, QUESTIONS, KEY, read):
    path = judge("Good. Rating: [[8]]", "Rating: [[6.5]]", "[[2]]", "[[4]]", "[[10]]", "[[1]]", questions=QUESTIONS)
    rows = read(path)
    keys = ["question_id", "model", "judge", "user_prompt", "judgment", "score", "turn", "tstamp"]
    assert all(list(row) == keys for row in rows)
    assert [(r["question_id"], r["turn"], r["score"]) for r in rows] == [
        (81, 1, 8), (81, 2, 6.5), (111, 1, 2), (111, 2, 4), (141, 1, 10), (141, 2, 1),
    ]  # fmt: skip
    assert rows[0]["model"] == "tiny" and rows[0]["judge"][0] == "gpt-4"
    assert rows[0]["judgment"] == "Good. Rating: [[8]]"
    assert mt_bench.scores(path, QUESTIONS) == {
        "mean": 31.5 / 6,
        "turn_1": 20 / 3,
        "turn_2": 11.5 / 3,
        "categories": {"writing": 7.25, "math": 3, "stem": 5.5},
        "scored": 6,
        "missing": 0,
    }
    assert mt_bench.scores(path)["categories"] == {}
    for request, judged in zip(server.asked, rows, strict=True):
        assert request["path"] == "/v1/chat/completions" and request["key"] == f"Bearer {KEY}"
        assert (request["model"], request["temperature"]) == ("gpt-4", 0) and request["max_tokens"] >= 1024
        assert request["messages"] == [{"role": "user", "content": judged["user_prompt"]}]


def test_judging_continues(judge, server, tmp_path, QUESTIONS, read):
    with pytest.raises(PermissionError):
        judge("[[5]]", "[[6]]", (401, ""), questions=QUESTIONS)
    with pytest.warns(UserWarning, match="1 of 6 turns"):
        path = judge("no", "no", "[[7]]", "[[8]]", "[[9]]", questions=QUESTIONS)
    assert len(server.asked) == 5
    assert [r["score"] for r in read(path)] == [5, 6, None, 7, 8, 9]
    kept = read(path)
    judge("[[3]]", questions=QUESTIONS)
    assert len(server.asked) == 1 and [r["score"] for r in read(path)] == [5, 6, 3, 7, 8, 9]
    assert [r["tstamp"] for r in read(path)][3:] == [r["tstamp"] for r in kept][3:]
    assert "error" not in path.read_text()
    judge("[[1]]", questions=QUESTIONS)
    assert server.asked == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["judged.jsonl", "tiny.jsonl"]


def test_judge_raises_before_any_request(judge, server, answers, tmp_path, QUESTIONS, write_lines):
    path = judge("[[5]]")
    for options, message in [
        ({"endpoint": "localhost:8000/v1"}, "must begin with http://"),
        ({"endpoint": server.endpoint + "?key=1"}, "have no query"),
        ({"endpoint": "http://me:pass@localhost/v1"}, "must not hold a user or password"),
        ({"timeout": 0}, "timeout must be positive, got 0"),
        ({"retries": -1}, "retries must be at least 0, got -1"),
        ({"backoff": float("nan")}, "backoff must be at least 0, got nan"),
        ({"questions": [*QUESTIONS, Question(5, "math", ("a", "b"))]}, r"no answer to question 5 \(1 missing\)"),
        ({"judge_model": "other"}, "has judgments of 'tiny' by 'gpt-4'; expected 'tiny' by 'other'"),
    ]:
        with pytest.raises(ValueError, match=message) as raised:
            judge("[[5]]", **options)
        assert server.asked == [] and "pass@" not in str(raised.value)
    before = path.read_text()
    write_lines(answers, [answers.read_text().replace("second answer 0", "changed")])
    with pytest.raises(
        ValueError, match=r"the score of turn 2 of question 81 is for another answer than in .*tiny\.jsonl"
    ):
        judge("[[5]]")
    with pytest.raises(FileNotFoundError, match=r"'.*none\.jsonl'; circpeft\.mt_bench\.generate writes it"):
        mt_bench.judge(QUESTIONS, tmp_path / "none.jsonl", path, server.endpoint)
    assert server.asked == [] and path.read_text() == before


def test_an_invalid_judge_is_reported_before_there_are_answers(server, monkeypatch):
    server.says("[[5]]")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ValueError, match="OPENAI_API_KEY is not set"):
        mt_bench.check_judge(server.endpoint)
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    mt_bench.check_judge(server.endpoint)
    with pytest.raises(ValueError, match="must begin with http"):
        mt_bench.check_judge("ftp://127.0.0.1")
    assert server.asked == []
