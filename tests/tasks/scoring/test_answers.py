r"""Numbers as models write them: which one is read out of an answer, and which answers count as right.

A wrong answer that counts as right, or the other way round, moves every score; so the lists are long.
"""

import os
import time
from fractions import Fraction
from pathlib import Path

import pytest

from circpeft import data_folders, tasks
from circpeft.tasks.scoring import answers

ROOT = os.environ.get("CIRCPEFT_DATA_DIR", "")


def right(name: str, reference: str, answer: str) -> bool:
    return tasks.get(name).score([reference], [answer]) == 1.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("48 + 24 = 72 clips.\n#### 72", 72),
        ("####72", 72),
        ("#### 72.", 72),
        ("#### 72 clips, for 2 people", 72),  # the first behind the mark
        ("#### 5\n#### 6", 6),  # behind the last mark
        ("#### 1,234", 1234),
        ("#### 1,234,567.5", Fraction("1234567.5")),
        ("#### $18", 18),
        ("#### $ 18", 18),
        ("#### €18", 18),
        ("#### 50%", 50),
        ("#### -5", -5),
        ("#### −5", -5),  # the minus sign of typography
        ("#### -$5", -5),
        ("#### $-5", -5),
        ("#### 18.00", 18),
        ("#### .5", Fraction(1, 2)),
        ("#### $.50", Fraction(1, 2)),
        ("#### 3/4", Fraction(3, 4)),
        ("#### -3 / 4", Fraction(-3, 4)),
        ("#### 10km", 10),
        ("#### 20cm2", 20),
        ("#### 72 (in 2020)", 72),
        ("#### **72**", 72),
        ("8 apples\n####", 8),  # cut off behind the mark: the last number that was written
        ("8 apples\n#### \n", 8),
        ("#### none", None),
        ("####", None),
        ("", None),
        ("I do not know.", None),
        ("#### 1/0", None),
        ("So it costs $1,250.50.", Fraction("1250.5")),
        ("3 apples and 4 pears make 7!", 7),
        ("1,2,3", 3),  # a list: no comma of thousands
        ("on May 4, 2012", 2012),
        ("on May 4,2012", 2012),
        ("in the 5 days from 2020-05-04", 4),  # a date's last part, not minus four
        ("10-5", 5),
        ("3 - 2", 2),  # a subtraction that is not worked out is not minus two
        ("3 - 5 = -2", -2),
        ("x=-2", -2),
        ("<<48/2=24>>24", 24),
        ("a T-34", 34),
        ("version No.5", 5),
        (r"so \boxed{\frac{1}{2}} of it", Fraction(1, 2)),  # LaTeX's
        (r"#### \frac{5}{2}", Fraction(5, 2)),
        (r"#### $\dfrac52$", Fraction(5, 2)),
        (r"-\tfrac{1,000}{3}", Fraction(-1000, 3)),
        (r"\frac{-1}{2}", Fraction(-1, 2)),
        (r"10-\frac{1}{2}", Fraction(1, 2)),
        (r"3\frac{1}{2}", Fraction(7, 2)),
        (r"\frac{x}{2}", None),  # its 2 is not the answer
        (r"\frac{3+4}{2}", None),
        (r"so 5, or \frac{\sqrt{x}}{2}", None),
        (r"\frac{1}{0}", None),
        (r"\boxed{1{,}234}", 1234),
        (r"1,\!234,\!567", 1234567),
        (r"\boxed{12\,000}", 12000),
        (r"\boxed{-\$5}", -5),
        (r"\boxed{- 5}", -5),
        (r"\boxed{12\%}", 12),
        (r"\(72\)", 72),
        ("3 1/2 cups", Fraction(7, 2)),
        ("#### 3 1/2", Fraction(7, 2)),
        ("#### -3 1/2", Fraction(-7, 2)),
        ("1,000 1/2", Fraction(2001, 2)),
        ("24\n1/2 of it", Fraction(1, 2)),  # of two lines
        ("#### 5 1/2/2020", 5),  # a date
        ("5 1/0", None),
        ("1.5e6", 1_500_000),
        ("1.5E-3", Fraction(3, 2000)),
        ("#### 2e3 cm", 2000),
        (r"1.5 \times 10^6", 1_500_000),
        ("#### 1.5 × 10^{−3}", Fraction(3, 2000)),
        ("10^6", 1_000_000),
        ("2^{10}", 1024),
        ("9 cm^2", 2),  # as before: what follows a unit is read as a number
        ("#### - 5", -5),
        ("#### − 5", -5),
        ("####\n**- $5**", -5),
        ("3 - 8 = - 5", -5),
        ("10 - 5", 5),
        ("#### 10 - 5", 10),  # not worked out: the first behind the mark
        ("- 5 apples", 5),  # of a list
        ("#### 3*4=12", 12),
        ("#### 3 x 4 = 12 eggs for 2 people", 12),
        (r"#### $3 \times 4 = 12$", 12),
        ("#### 2 apples + 3 apples = 5 apples", 5),
        ("#### $10 - $15 = -$5", -5),
        ("#### 10 - 15 = - 5", -5),
        ("#### 48/2=<<48/2=24>>24", 24),
        ("#### 15 + 5 = 20 - 2 = 18", 18),
        ("#### 10/3 = 3.33", Fraction("3.33")),
        ("#### x = 12", 12),
        ("#### 12 = 3*4", 12),
        ("#### 12 (3*4=12)", 12),
        ("#### 72 (since x=3)", 72),
        ("#### 72\nCheck: 48+25=73", 72),  # the mark is of one line
    ],
)
def test_numbers_in_answers(text, value):
    assert answers.number(text) == value


def test_a_very_long_number_is_read():
    """A small model may write one digit again and again."""
    assert answers.number("1" * 5000) == 10**5000 // 9
    assert not right("gsm8k", "#### 1", "1" * 5000)


@pytest.mark.parametrize(
    "text", ["1e999999999", "#### 9^999999999", "1" * 4000 + "^2", "2e-99999 / 3", "10^" + "9" * 5000]
)
def test_a_huge_power_is_not_computed(text):
    start = time.process_time()
    assert answers.number(text) is None
    assert time.process_time() - start < 10


def test_long_answers_are_parsed_quickly():
    start = time.process_time()
    for text in (
        "1 " * 3000,
        "#### " + "1 = " * 2000,
        "1,111" * 2000,
        "\\frac{" * 2000,
        "1 x " * 2000,
        "- " * 5000,
        "1/" * 3000,
    ):
        answers.number(text)
    assert time.process_time() - start < 20


@pytest.mark.parametrize(
    ("reference", "answer", "is_right"),
    [
        ("#### 2", r"\boxed{\frac{1}{2}}", False),
        ("#### 0.5", r"\boxed{\frac{1}{2}}", True),
        ("#### 5", r"#### \frac{5}{2}", False),
        ("#### 5", "#### - 5", False),
        ("#### 234", r"\boxed{1{,}234}", False),
        ("#### 1,234", r"\boxed{1{,}234}", True),
        ("#### 3.5", "It takes 3 1/2 hours.", True),
        ("#### 6", "1.5e6", False),
        ("#### 1500000", "1.5e6", True),
        ("#### 12", "#### 3*4=12", True),
        ("#### 3", "#### 3*4=12", False),
        ("#### 18", "She earns $18.00 every day.", True),
        ("#### 18", "#### 18", True),
        ("#### 1,000", "That makes 1000.", True),
        ("#### 0.5", "1/2", True),
        ("#### 18", "#### 180", False),
        ("#### 18", "#### -18", False),
        ("#### 18", "#### 1.8", False),
        ("#### 18", "18 + 2 = 20\n#### 20", False),
        ("#### 18", "", False),
        ("nothing", "nothing", False),  # no number at all is no right answer
    ],
)
def test_numbers_are_compared_as_numbers(reference, answer, is_right):
    assert right("gsm8k", reference, answer) == is_right
    assert right("word_problems", reference, answer) == is_right


def test_every_answer_of_gsm8k_is_read():
    """Against a simpler reading, which is enough for these: all that stands behind the mark is the number."""
    if not (ROOT and (Path(ROOT) / "gsm8k").is_dir()):
        pytest.skip("CIRCPEFT_DATA_DIR names no folder with gsm8k in its published schema")
    data = data_folders.read_folder(Path(ROOT) / "gsm8k")
    references = [text for rows in data.values() for text in rows["answer"]]
    values = [Fraction(text.split("####")[1].strip().replace(",", "")) for text in references]
    assert [answers.number(text) for text in references] == values
    assert tasks.get("gsm8k").score(references, references) == 1.0
    assert tasks.get("gsm8k").score(references, [f"#### {value + 1}" for value in values]) == 0.0
