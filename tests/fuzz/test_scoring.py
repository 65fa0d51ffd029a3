"""Generated answers: every comparison with a reference has a result, in bounded time, whatever a model writes.

`make test-full` tries many more of them (CIRCPEFT_FUZZ).
"""

from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from circpeft.tasks.scoring import answers, formulas, values

from . import readers
from .bounds import BOUNDS, EXAMPLES, show, within

LONGEST = 20_000  # characters; an answer has at most a few thousand
PIECES = [
    "1",
    "12",
    " ",
    "\n",
    "\t",
    ",",
    ".",
    "-",
    "−",
    "=",
    "+",
    "/",
    "^",
    "_",
    "$",
    "$$",
    "%",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
]
PIECES += [
    "####",
    "#### ",
    "1,234",
    "1.5",
    "1/2",
    "3 1/2",
    "1e5",
    "1e-5",
    "1^9",
    "×10^{3}",
    "{,}",
    "\\",
    "\\$",
    "\\%",
    "\\,",
]
PIECES += [
    "\\frac",
    "\\frac12",
    "\\frac{1}{2}",
    "\\dfrac{",
    "\\sqrt",
    "\\sqrt{3}",
    "\\boxed{",
    "\\boxed5",
    "\\fbox{",
    "\\pi",
]
PIECES += [
    "\\left(",
    "\\right)",
    "\\text{",
    "\\text{ cm}",
    "\\circ",
    "\\[",
    "\\]",
    "\\(",
    "\\)",
    "\\quad",
    "\\{",
    "²",
    "³",
    "°",
]
PIECES += [
    "answer is ",
    "The answer is: ",
    "**",
    "`",
    "```",
    "```sql\n",
    "select ",
    "FROM",
    "'",
    '"',
    ";",
    "<>",
    "!=",
    "a",
    "x = ",
]
PIECES += [
    "act(",
    "name[",
    "a , ",
    "a  ,",
    "a[b], ",
    "inform(name[A], ",
    "é",
    "٣",
    "\0",
    "\ud800",
    "cm",
    " a.m.",
    "mod",
]
TEXTS = st.lists(
    st.tuples(st.sampled_from(PIECES), st.sampled_from([1, 1, 1, 1, 2, 3, 40, 2000]))
    | st.tuples(st.text(max_size=3), st.just(1)),
    max_size=12,
).map(lambda parts: "".join(piece * times for piece, times in parts)[:LONGEST])


def test_every_answer_is_right_or_wrong():
    counts = Counter()

    @settings(**BOUNDS)
    @example("act(" + "a , " * 40, "act(" + "a  ," * 40 + "!")
    @example("1e" + "9" * LONGEST, "2^" + "9" * LONGEST)
    @example(" " * LONGEST, "1" + " " * LONGEST + "!")
    @example("1" * LONGEST, "1" * LONGEST + "x")
    @given(TEXTS, TEXTS)
    def check(reference, answer):
        counts[readers.scoring(reference, answer)] += 1

    check()
    show("answers", counts)
    assert counts["right"] and counts["wrong"]


@pytest.mark.parametrize("end", ["", ")", "!"])
def test_a_list_of_attributes_with_blanks_takes_no_exponential_time(end):
    text = "inform(" + "name , " * 300 + end
    with within(2):
        assert answers.meaning(text)


@pytest.mark.parametrize(
    "text", [" " * 50_000, "1" * 50_000 + "x", "\\frac" * 5_000, "3 " * 20_000, "{" * 50_000], ids=lambda text: text[:5]
)
def test_long_answers_take_a_time_proportional_to_their_length(text):
    with within(5):
        answers.number(text)
        formulas.mathematics(text)


FORMULAS = st.lists(
    st.sampled_from([piece for piece in PIECES if piece != "1e5"] + ["x", "y", "!", "\\sum"]), max_size=6
).map("".join)


def test_comparisons_of_values_have_a_result():
    pytest.importorskip("math_verify")
    counts = Counter()

    @settings(**BOUNDS | {"max_examples": max(5, EXAMPLES // 100)})
    @given(FORMULAS, FORMULAS)
    def check(reference, answer):
        with within(4 * values.SECONDS):
            counts[values.same_value(f"\\boxed{{{reference}}}", f"\\boxed{{{answer}}}")] += 1

    check()
    show("comparisons of values", counts)
