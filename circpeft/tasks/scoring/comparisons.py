"""Compare an answer that a language model wrote with the reference."""

from . import answers, formulas


def same_number(reference: str, answer: str) -> bool:
    """Return whether both contain the same number."""
    return (number := answers.number(answer)) is not None and number == answers.number(reference)


def formulas_in(reference: str, answer: str) -> tuple[str, str | None]:
    """Return the formulas to compare; None for an answer without one."""
    expected, written = formulas.boxed(reference), formulas.boxed(answer)
    if expected is None:  # the reference is the formula itself
        return reference, answer if written is None else written
    return expected, written


def same_mathematics(reference: str, answer: str) -> bool:
    """Return whether both contain the same formula, whatever its spelling."""
    expected, written = formulas_in(reference, answer)
    return written is not None and formulas.mathematics(written) == formulas.mathematics(expected)


def same_meaning(reference: str, answer: str) -> bool:
    """Return whether both are the same meaning representation, whatever the order of its parts."""
    return answers.meaning(answer) == answers.meaning(reference)


def same_query(reference: str, answer: str) -> bool:
    """Return whether both are the same SQL query, whatever its spelling."""
    return answers.query(answer) == answers.query(reference)
