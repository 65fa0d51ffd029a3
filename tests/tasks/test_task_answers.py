r"""Numbers and formulas as models write them: what is read out of an answer, and which answers count as right.

A wrong answer that counts as right, or the other way round, moves every score; so both lists are long.
"""

import os
from fractions import Fraction
from pathlib import Path

import pytest

from circpeft import tasks
from circpeft.tasks import answers, splits

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
    ],
)
def test_the_number_of_an_answer(text, value):
    assert answers.number(text) == value


def test_a_number_without_end_is_read():
    """A small model may write one digit again and again."""
    assert answers.number("1" * 5000) == 10**5000 // 9
    assert not right("gsm8k", "#### 1", "1" * 5000)


@pytest.mark.parametrize(
    ("reference", "answer", "is_right"),
    [
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


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"so $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (r"\boxed{\sqrt{\frac{a}{b}}}", r"\sqrt{\frac{a}{b}}"),
        (r"\boxed{1}, no: \boxed{2}", "2"),
        (r"\fbox{3}", "3"),
        (r"\boxed {5}", "5"),
        (r"$\boxed 12$", "12"),
        (r"$\boxed5$", "5"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right.} and }", r"\left\{ x \right."),  # the brace of \{ needs none that closes
        (r"\boxed{5}. The answer is: 5 cm", "5"),
        (r"\boxed{1", None),
        (r"\boxed{1} and \boxed{\frac{1}{2}", None),  # cut off within the last one
        ("Step 1.\nThe answer is: 5", "5"),  # as MetaMath ends
        (r"The answer is: $\frac{1}{2}$.", r"\frac{1}{2}"),
        ("The answer is 5.\nAnything else?", "5"),
        ("The answer is 1. No, the answer is 2.", "2"),
        ("The answer is:\n5", "5"),
        ("The answer is", None),
        ("The answer is: 0.5", "0.5"),
        ("It is 5.", None),
    ],
)
def test_the_box_of_an_answer(text, found):
    assert answers.boxed(text) == found


SAME = [
    (r"\frac{1}{2}", r"\dfrac{1}{2}", r"\tfrac{1}{2}", r"\frac12", r"\frac1{2}", r"\frac{1}2", r"\frac 1 2"),
    (r"\frac{\pi}{2}", r"\frac\pi2", r"\dfrac{ \pi }{2}"),
    ("0.5", ".5", "0.50", "00.5"),
    ("-0.5", "-.5", "- 0.50"),
    ("0", "-0", "0.00"),
    ("5", "x=5", "x = 5", "5.", "$5$", "5.0", r"\$5", r"5\text{ cm}", r"5 \text{ cm}^2", r"$5\text{ cm}$"),
    ("5", r"5\ \text{inches}", r"5\,\mathrm{cm}", r"5 \mbox{ square units}"),
    ("90", r"90^\circ", r"90^{\circ}", "90°", r"90^\circ\text{F}"),
    (r"\sin{90}", r"\sin{90^\circ}", r"\sin{90^{\circ}}"),
    ("50", "50%", r"50\%"),
    ("1000", "1,000", r"1,\!000", "1{,}000", r"\$1,000", r"\$1{,}000"),
    ("1234567.5", "1,234,567.50"),
    (r"\sqrt{2}", r"\sqrt2", r"\sqrt 2"),
    ("(1,2)", "(1, 2)", r"\left(1,2\right)", r"\left( 1,\,2 \right)"),
    ("(100,200)", "(100, 200)", "x = (100, 200)"),  # no comma of thousands
    (r"\{100,200\}", r"\left\{ 100, 200 \right\}"),
    (r"(-\infty,3]", r"\left(-\infty, 3\right]"),
    ("2x+1", "y = 2x + 1", r"2x\,+1"),
    (r"\text{Evelyn}", "Evelyn", r"\textbf{Evelyn}"),
    (r"\text{(A)}", "(A)"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
]


@pytest.mark.parametrize("spellings", SAME, ids=lambda spellings: spellings[0])
def test_spellings_of_one_formula(spellings):
    assert {answers.mathematics(text) for text in spellings} == {answers.mathematics(spellings[0])}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("(1,2)", "(2,1)"),
        ("[1,2]", "(1,2)"),
        ("1,2", "2,1"),
        ("1, 234", "1234"),  # two numbers
        ("(1,100)", "1100"),
        (r"\frac{1}{2}", r"\frac{2}{1}"),
        (r"\frac{1}{12}", r"\frac{11}{2}"),
        (r"\pi", "p"),
        (r"2\pi", "2"),
        (r"\sqrt{2}", "2"),
        (r"\sqrt{23}", r"\sqrt{2}3"),
        ("5", "-5"),
        ("5", "50"),
        ("0.5", "5"),
        ("10", "1"),
        ("100", "1"),
        ("x^2", "x^3"),
        ("x", "y"),
        (r"\leftarrow", r"\rightarrow"),  # not the sizes \left and \right
        ("1" * 40, "1" * 39 + "2"),
        ("", "5"),
    ],
)
def test_formulas_that_differ(one, other):
    assert answers.mathematics(one) != answers.mathematics(other)


@pytest.mark.parametrize(
    ("reference", "answer", "is_right"),
    [
        (r"We get $\boxed{\frac{1}{2}}$.", r"Thus $\boxed{\dfrac12}$", True),
        (r"We get $\boxed{\frac{1}{2}}$.", r"The answer is: $\frac{1}{2}$.", True),
        (r"We get $\boxed{(1,2)}$.", r"\boxed{(2,1)}", False),
        (r"We get $\boxed{5}$.", "5", False),  # asked for a box, as MATH is
        (r"We get $\boxed{5}$.", r"\boxed{5", False),
        (r"We get $\boxed{5}$.", r"\boxed{}", False),
        ("5", "5", True),  # references without a box, in data of one's own
        ("5", r"\boxed{5}", True),
        ("5", "6", False),
    ],
)
def test_mathematics_is_compared_by_its_box(reference, answer, is_right):
    assert right("math", reference, answer) == is_right


def test_every_answer_of_gsm8k_is_read():
    """Against a simpler reading, which is enough for these: all that stands behind the mark is the number."""
    if not (ROOT and (Path(ROOT) / "gsm8k").is_dir()):
        pytest.skip("CIRCPEFT_DATA_DIR names no folder with gsm8k in its published schema")
    data = splits.read_folder(Path(ROOT) / "gsm8k")
    references = [text for rows in data.values() for text in rows["answer"]]
    values = [Fraction(text.split("####")[1].strip().replace(",", "")) for text in references]
    assert [answers.number(text) for text in references] == values
    assert tasks.get("gsm8k").score(references, references) == 1.0
    assert tasks.get("gsm8k").score(references, [f"#### {value + 1}" for value in values]) == 0.0
