"""Whether an answer that a language model wrote is right, given the reference."""

from . import answers, formulas


def same_number(reference: str, answer: str) -> bool:
    """Whether both have the same number."""
    return (found := answers.number(answer)) is not None and found == answers.number(reference)


def same_mathematics(reference: str, answer: str) -> bool:
    """Whether both have the same formula, in whatever spelling."""
    expected, found = formulas.boxed(reference), formulas.boxed(answer)
    if expected is None:  # a reference that is the formula itself
        expected, found = reference, answer if found is None else found
    return found is not None and formulas.mathematics(found) == formulas.mathematics(expected)


def same_meaning(reference: str, answer: str) -> bool:
    """Whether both are the same meaning representation, in whatever order."""
    return answers.meaning(answer) == answers.meaning(reference)


def same_query(reference: str, answer: str) -> bool:
    """Whether both are the same SQL query, in whatever spelling."""
    return answers.query(answer) == answers.query(reference)
