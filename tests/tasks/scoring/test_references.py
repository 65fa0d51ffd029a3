r"""References and inputs that data of one's own may have: which are taken, and which are refused by row."""

import time

import pytest
from datasets import Dataset, DatasetDict

from circpeft import tasks
from circpeft.tasks.scoring import answers, formulas

NUMBERS = [
    "3 * 4 = 12\n#### 12",
    "#### 12",
    "####12",
    "#### 12 eggs",
    "#### $1,250.50",
    "#### €18",
    "#### - 5",
    "#### **72**",
    "####\n72",
    "#### 50%",
    "#### 3*4=12",
    r"#### \frac{5}{2}",
    "12",
    " 12\n",
    "12.",
    "-5",
    "−5",
    "$1,250",
    r"\$1,250",
    "50%",
    ".5",
    "3/4",
    "3 1/2",
    r"3\frac{1}{2}",
    "1e6",
]
NO_NUMBERS = [
    "He has 5 apples on day 2",
    "twelve",
    "12 eggs",
    "3 * 4 = 12",
    "The answer is 12.",
    "5 - 2",
    "- 5",  # of a list?
    "1,2,3",
    "12 13",
    "1/0",
    "####",
    "12\n#### ",
    "#### twelve",
    "#### he has 5",
    "#### 1/0",
    r"#### \frac{x}{2}",
]
FORMULAS = [
    r"We add, so it is $\boxed{5}$.",
    r"\boxed\frac{1}{2}",
    r"\fbox{3}",
    "Step 1.\nThe answer is: 5",
    "So the final answer is $x + 1$. I hope it is correct.",
    "5",
    " $\\frac{1}{2}$. ",
    r"\[ x^2 + 1 \]",
    "x = 5",
    "x=3 and y=4",
    "5 or 6",
    "12 cm",
    "12 square units",
    "10 AM",
    "Evelyn",
    r"\text{no real solution}",
    "sin x + cos x",
    "ab + bc + ca",
    "ab + 1, cd + 2",
    "(2, 3)",
    r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}",
]
NO_FORMULAS = [
    "We add 2 and 3, so it is 5.",
    "It is 5.",
    "Adding 2 gives 5.",
    "He gets 5 apples in total",
    "So $x = 3$ holds, and that is all.",
    "no real solution",
    "Es wird größer",
    "The answer is",
    r"We have $\boxed{5",
    r"5 = \boxed{5",
    r"\boxed{}",
    r"\boxed{\text{ }}",
]


@pytest.mark.parametrize("text", NUMBERS)
def test_a_reference_with_a_number(text):
    assert answers.has_number(text)
    for name in ("gsm8k", "word_problems"):
        assert tasks.get(name).score([text], [text]) == 1.0


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_a_reference_without_a_number(text):
    assert not answers.has_number(text)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_reference_with_a_formula(text):
    assert formulas.has_formula(text)
    assert tasks.get("math").score([text], [text]) == 1.0


@pytest.mark.parametrize("text", NO_FORMULAS)
def test_a_reference_without_a_formula(text):
    assert not formulas.has_formula(text)


def rows(name: str, *texts: str) -> Dataset:
    asked, answer = tasks.get(name).columns
    return Dataset.from_list([{asked: f"question {i}", answer: text} for i, text in enumerate(texts)])


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize(
    ("name", "good", "bad", "message"),
    [
        (
            "gsm8k",
            "#### 5",
            "He has 5 apples on day 2",
            "in 'answer': 'He has 5 apples on day 2'; expected '#### NUMBER'",
        ),
        (
            "word_problems",
            "5",
            "twelve",
            "in 'answer': 'twelve'; expected '#### NUMBER' at the end, or only the number",
        ),
        (
            "math",
            r"\boxed{5}",
            "So it is 5.",
            r"in 'solution': 'So it is 5.'; expected a closed '\\boxed\{...\}', 'The an",
        ),
    ],
)
def test_the_row_and_split_of_a_bad_reference_are_named(name, good, bad, message, split):
    parts = dict.fromkeys(("train", "validation", "test"), rows(name, good, good))
    assert set(tasks.get(name).prepare(DatasetDict(parts))) == set(parts)
    parts[split] = rows(name, good, bad)
    where = f"row 1 of split {split} of task '{name}' has no answer to compare with "
    with pytest.raises(ValueError, match=where + message):
        tasks.get(name).prepare(DatasetDict(parts))


def test_the_end_of_a_long_reference_is_shown():
    with pytest.raises(ValueError, match=r"in 'answer': '\.\.\.(word ){24}'; expected"):
        tasks.get("gsm8k").prepare(DatasetDict(train=rows("gsm8k", "word " * 2000)))


def test_tasks_that_compare_texts_accept_any_reference():
    sql = Dataset.from_list([{"context": "a", "question": "b", "answer": "any text"}])
    alpaca = Dataset.from_list([{"instruction": "a", "output": "We add 2 and 3."}])
    assert tasks.get("viggo").prepare(DatasetDict(train=rows("viggo", "any text")))["train"].num_rows == 1
    assert tasks.get("sql").prepare(DatasetDict(train=sql))["train"].num_rows == 1
    assert tasks.get("alpaca").prepare(DatasetDict(train=alpaca))["train"].num_rows == 1


def test_many_references_are_checked_quickly():
    long = "He adds 3 and 4 eggs, which is <<3+4=7>>7 eggs.\n" * 8
    start = time.process_time()
    tasks.get("gsm8k").prepare(DatasetDict(train=rows("gsm8k", *[f"{long}#### 7"] * 8000)))
    tasks.get("math").prepare(DatasetDict(train=rows("math", *[rf"{long}\boxed{{7}}"] * 8000)))
    assert time.process_time() - start < 30


@pytest.mark.parametrize("wrong", [5, 2.5, ["red"], {"a": 1}, True], ids=repr)
def test_an_input_that_is_not_a_text_is_refused(wrong):
    given = [{"instruction": "a", "input": text, "output": "b"} for text in (None, wrong)]
    data = DatasetDict(train=Dataset.from_list(given))
    with pytest.raises(ValueError) as refused:
        tasks.get("alpaca").prepare(data)
    where = f"row 1 of split train of task 'alpaca' has {wrong!r} in column 'input'"
    assert str(refused.value) == f"{where}; expected a text, or no value"


def test_inputs_of_mixed_types_in_a_file(tmp_path):
    """As jsonl may have them: a text, then a list."""
    lines = ['{"instruction": "a", "input": "x", "output": "b"}', '{"instruction": "a", "input": ["x"], "output": "b"}']
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"row 1 of split train of task 'alpaca' has \['x'\] in column 'input'"):
        tasks.load("alpaca", tmp_path)


@pytest.mark.parametrize("texts", [(None, None), ("", ""), ("x", None), ("x", "")], ids=str)
def test_an_empty_input_is_accepted(texts):
    given = [{"instruction": "a", "input": text, "output": "b"} for text in texts]
    ready = tasks.get("alpaca").prepare(DatasetDict(train=Dataset.from_list(given)))
    assert ready["train"].to_list() == given
    asked = [tasks.get("alpaca").prompt(row).partition("\n")[2] for row in ready["train"]]
    assert asked == [f"a\n\n{text}\n\n### Response:\n" if text else "a\n\n### Response:\n" for text in texts]


def test_an_unused_input_is_not_checked():
    data = DatasetDict(train=Dataset.from_list([{"question": "a", "input": 5, "answer": "#### 5"}]))
    assert tasks.get("gsm8k").prepare(data)["train"].column_names == ["question", "answer"]
