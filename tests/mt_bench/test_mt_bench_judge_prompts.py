"""The prompts for the judge, and the parser of its rating."""

import pytest

from circpeft import mt_bench
from circpeft.mt_bench import Question


def test_the_judge_sees_questions_answers_and_references(QUESTIONS):
    answers = ("It is two.", "It is five.")
    writing, math, stem = ([mt_bench.judge_prompt(q, answers, turn) for turn in (1, 2)] for q in QUESTIONS)
    for _, text in (*writing, *math, *stem):
        assert "Rating: [[5]]" in text and "1 (useless) to 10" in text and "It is two." in text
    (name, first), (name_2, second) = math
    assert "What is 1 + 1?" in first and "It is 2." in first
    assert "And doubled?" not in first and "It is 4." not in first and "It is five." not in first
    order = ["What is 1 + 1?", "It is 2.", "It is two.", "And doubled?", "It is 4.", "It is five."]
    assert [second.index(text) for text in order] == sorted(second.index(text) for text in order)
    assert "only the second answer" in second
    assert len({name, name_2, writing[0][0], writing[1][0]}) == 4
    # Only math, reasoning and coding show a reference, and only if there is one.
    assert "A wave." not in stem[0][1] and stem[0][0] == writing[0][0]
    bare = Question(1, "coding", ("a", "b"), ("", "code"))
    assert "reference" not in mt_bench.judge_prompt(bare, answers, 1)[1]
    assert "<second_reference>\ncode" in mt_bench.judge_prompt(bare, answers, 2)[1]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Rating: [[7]]", 7),
        ("[[7.5]] ", 7.5),
        ("The answer asks for [[10]], which I do not give.\nRating: [[3]]", 3),
        ("Not [[30]]. Rating: [[4]]", 4),
        ("Rating: [7]", 7),
        ("**Rating**: [ 7 ], as sum([1]) is wrong", 7),
        ("Fine.\n[9]", 9),
        ("Fine: [9].", 9),
        ("Rating: [[1]]", 1),
        ("It uses df[[2]] and is right. Rating: [9]", 9),
        ("Sources [[1]] and [[2]] agree.\nRating: [[8]]", 8),
        ("Rating: [[8]]. See rows[[2]]", 8),
        ("Rating: [[10.0]]", 10),
    ],
)
def test_ratings(text, score):
    assert mt_bench.rating(text) == score


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Seven.",
        "[[11]]",
        "[[0]]",
        "[[0.5]]",
        "[[-3]]",
        "[[7/10]]",
        "[[five]]",
        "x[3] is wrong here",
        "the line `a[[3]]",
        "it ends with x[3]",
        "[11]",
        "[[5]] [[11]]",
    ],
)
def test_nonsense_is_not_a_rating(text):
    with pytest.raises(ValueError, match="no rating|outside 1 to 10"):
        mt_bench.rating(text)
