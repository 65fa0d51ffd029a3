r"""Formulas as models write them: which spellings are one formula, and which answers count as right.

A wrong answer that counts as right, or the other way round, moves every score; so the lists are long.
"""

import pytest

from circpeft import tasks
from circpeft.tasks.scoring import formulas


def right(name: str, reference: str, answer: str) -> bool:
    return tasks.get(name).score([reference], [answer]) == 1.0


SAME = [
    (r"\frac{1}{2}", r"\dfrac{1}{2}", r"\tfrac{1}{2}", r"\frac12", r"\frac1{2}", r"\frac{1}2", r"\frac 1 2"),
    (r"\frac{\pi}{2}", r"\frac\pi2", r"\dfrac{ \pi }{2}"),
    ("0.5", ".5", "0.50", "00.5", "1/2", r"\frac{1}{2}", "x = 1/2", "x=.5", "$1/2$", "1 / 2"),
    ("-1/2", r"-\frac{1}{2}", r"\frac{-1}{2}", r"-\frac12"),
    ("10/3", r"\frac{10}{3}", r"\dfrac{10}{3}"),
    ("-0.5", "-.5", "- 0.50"),
    ("0", "-0", "0.00"),
    ("5", "x=5", "x = 5", "5.", "$5$", "5.0", r"\$5", r"5\text{ cm}", r"5 \text{ cm}^2", r"$5\text{ cm}$"),
    (
        "5",
        r"5\textrm{ cm}",
        r"5\textrm{ cm}^2",
        r"5\text{ m}",
        "5 cm",
        "5 square units",
        r"5\ cm",
        "5~cm",
        "5 cm^2",
        "5 km/h",
    ),
    (r"\frac{1}{2}", r"\frac{1}{2} cup", "1/2 cup", r"0.5\text{ cups}"),
    (r"24\pi", r"24\pi\text{ square inches}", r"24\pi square inches"),
    ("2i", r"2\mathrm{i}", r"2\text{i}", r"2\textrm{i}"),
    (r"10\text{ AM}", "10 AM", "10AM", "10 a.m.", r"10\text{ a.m.}"),
    (r"\text{odd}", "odd", r"\textrm{odd}", r"\mbox{odd}"),
    ("5", r"\(5\)", r"\[5\]", "$$5$$"),
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
    assert {formulas.mathematics(text) for text in spellings} == {formulas.mathematics(spellings[0])}


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
        ("2", r"2\mathrm{i}"),
        ("x+3", r"x+3\text{i}"),
        ("2", r"2\text{e}"),
        (r"10\text{ AM}", r"10\text{ PM}"),
        ("10 AM", "10"),
        ("3", r"3\text{ million}"),
        ("3", "3 million"),
        ("2", "2 pi"),
        ("2", "2 x"),
        ("2", "2 squared"),
        ("5", "5 or 6"),
        ("5", "5 or more"),
        (r"\sin(3)", r"\sin(3) dx"),
        ("2/4", r"\frac{1}{2}"),  # not reduced, as by MATH's scorer
        ("1/2", "2/1"),
        ("-1/2", r"\frac{1}{2}"),
        ("1/2x", r"\frac{1}{2}"),
        ("a/b", r"\frac{a}{c}"),
        ("0.5", "0.05"),
        ("0.5x", r"\frac{1}{2}"),
        ("1.5", r"\frac{1}{2}"),
    ],
)
def test_formulas_that_differ(one, other):
    assert formulas.mathematics(one) != formulas.mathematics(other)


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
        ("5", "The answer is 5 cm. I hope it is correct.", True),
        (r"\boxed{\frac{1}{2}}", r"\boxed{1/2}", True),
        (r"\boxed{\frac{1}{2}}", r"\boxed{0.5}", True),
        (r"\boxed{\frac{1}{2}}", r"\boxed\frac{1}{2}", True),
        (r"\boxed{\frac{1}{2}}", "The answer is 0.5.", True),
        (r"\boxed{2}", r"\boxed{2\mathrm{i}}", False),
    ],
)
def test_mathematics_is_compared_by_its_box(reference, answer, is_right):
    assert right("math", reference, answer) == is_right
