r"""Which formula is read out of what a model wrote: the last box's, or what its sentence tells."""

import time

import pytest

from circpeft import tasks
from circpeft.tasks.scoring import formulas


def right(name: str, reference: str, answer: str) -> bool:
    return tasks.get(name).score([reference], [answer]) == 1.0


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
        (r"\boxed\frac{1}{2}", r"\frac{1}{2}"),
        (r"$\boxed\frac12$", r"\frac12"),
        (r"\boxed\dfrac{\sqrt{3}}{2}$", r"\dfrac{\sqrt{3}}{2}"),
        (r"\boxed{3} or \boxed\frac{1}{2", None),
        (r"\boxed\text{Evelyn}", r"\text{Evelyn}"),
        (r"\boxed \pi$", r"\pi"),
        (r"$\boxed 4.5$", "4.5"),
        (r"$\boxed -5$", "-5"),
        (r"$\boxed 1,234$. So 5", "1,234"),
        (r"\boxed{3}, as a \boxed number", "3"),
    ],
)
def test_boxed_answers(text, found):
    assert formulas.boxed(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "The answer is 12.",
        "The answer is 12. I hope it is correct.",
        "The final answer is $12$. I hope it is correct.",
        "Final Answer: The final answer is $12$. I hope it is correct.",  # Minerva's
        r"The answer is \(12\).",
        r"The answer is \[12\]",
        "The answer is: **12**",
        "The answer is **12**.",
        "**The answer is:** 12",
        "**The answer is 12.**",
        "(The answer is 12.)",
        'The answer is "12."',
        "The answer is $$12$$",
        "The answer is:\n$$\n12\n$$\nThis uses 3 rules.",
        "The answer is $12. The other one costs $15.",  # dollars, no formula between two signs
        "The answer is $ 12 $. It was 5 before.",
        "The answer is 12 cm.",
        "The answer is $12$ square units.",
        "The answer is **12** apples. He had 5 before.",
        "The answer is 12 miles per hour.",
        r"The answer is 12\text{ cm. in all}. I hope it is correct.",  # a full stop within LaTeX
        "The answer is 12.0.",
        "The answer is x = 12.",
    ],
)
def test_phrases_for_twelve(text):
    assert right("math", r"So $\boxed{12}$.", text)
    assert not any(right("math", rf"So $\boxed{{{other}}}$.", text) for other in ("1", "2", "5", "15", "-12", "12x"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The answer is 1.5.", "1.5"),
        ("The answer is .5.", ".5"),
        ("The answer is $1.5$. I hope it is correct.", "1.5"),
        (r"The answer is $\{ 1. \}$, as it is.", r"\{ 1. \}, as it is"),
        ("The answer is x**2.", "x**2"),
        ("The answer is $x = 3$ or $x = 4$.", "x = 3 or x = 4"),  # both
        ("The answer is -5.", "-5"),
        ("The answer isn't 5.", None),
        ("The answer is:", None),
    ],
)
def test_answers_after_answer_is(text, found):
    assert formulas.boxed(text) == found


def test_long_formulas_are_parsed_quickly():
    start = time.process_time()
    pieces = (
        "$",
        "$$",
        "\\(",
        "{",
        "\\boxed{",
        "\\boxed\\frac{",
        "answer is ",
        "1 ",
        "1 cm ",
        "\\frac{",
        "\\text{",
        "**",
        ". ",
    )
    for text in (piece * 2000 for piece in pieces):
        formulas.mathematics(text)
        formulas.has_formula(text)
        formulas.boxed("The answer is " + text)
    assert time.process_time() - start < 5
