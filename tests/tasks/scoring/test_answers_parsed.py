r"""Meaning representations and SQL queries as models write them: which answers count as right.

Their order and spelling may differ; their content may not.
"""

import os
import time
from pathlib import Path

import pytest

from circpeft import data_folders, tasks
from circpeft.tasks.scoring import answers

ROOT = os.environ.get("CIRCPEFT_DATA_DIR", "")


def right(name: str, reference: str, answer: str) -> bool:
    return tasks.get(name).score([reference], [answer]) == 1.0


RATED = "esrb[E 10+ (for Everyone 10 and Older)]"
GAME = f"inform(name[Dirt: Showdown], {RATED}, genres[racing, sport], developer[Spectrum HoloByte, Inc.])"


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        (GAME, True),
        (f"inform({RATED}, developer[Spectrum HoloByte, Inc.], genres[sport, racing], name[Dirt: Showdown])", True),
        (GAME.replace(", ", ","), True),
        (f"\n {GAME.replace('(name', ' ( name')} ", True),
        (GAME.replace("Showdown", "showdown"), True),
        (GAME.replace("inform", "confirm"), False),
        (GAME.replace("Dirt: Showdown", "Dirt"), False),
        (GAME.replace("Dirt: Showdown", "Dirt: Showdown 2"), False),
        (GAME.replace("10 and Older", "17 and Older"), False),
        (GAME.replace("(for Everyone 10 and Older)", ""), False),
        (GAME.replace("Inc.", "Ltd."), False),
        (GAME.replace("racing, sport", "racing"), False),
        (GAME.replace("racing, sport", "racing, sport, sport"), False),
        (GAME.replace(f"{RATED}, ", ""), False),
        (GAME.replace("name[", "title["), False),
        (GAME.removesuffix(")"), False),
        (GAME + " and more", False),
        (GAME.replace("], genres", "] genres"), False),
        ("Dirt: Showdown is a racing game.", False),
        ("", False),
    ],
)
def test_meanings_in_any_order_are_equal(answer, is_right):
    assert right("viggo", GAME, answer) == is_right


def test_an_attribute_before_a_missing_comma_counts():
    """Read loosely, the first attribute would be lost and the rest would count as right."""
    assert not right("viggo", "inform(genres[sport])", "inform(name[Dirt] genres[sport])")


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("request()", ("request", ())),
        ("request_attribute(esrb[])", ("request_attribute", (("esrb", ("",)),))),
        ("inform(rating[good])", ("inform", (("rating", ("good",)),))),
        ("just  a\ntext", "just a text"),
        ("inform(name[a[b]])", "inform(name[a[b]])"),
    ],
)
def test_parsed_meanings(text, parsed):
    assert answers.meaning(text) == parsed


def test_a_truncated_meaning_is_parsed_quickly():
    """Such answers are common early in training; some patterns would try every way to divide the letters."""
    start = time.process_time()
    for text in ("inform(" + "a" * 2000 + "!", "I think (" + "it is a game " * 100, "inform(name[" * 200):
        assert isinstance(answers.meaning(text), str)
    assert time.process_time() - start < 2


QUERY = "SELECT COUNT(name) FROM head WHERE age > 56 AND born = 'New York'"


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        (QUERY + ";", True),
        (QUERY + " ;\n", True),
        (QUERY.replace("'", '"'), True),
        (QUERY.lower().replace("new york", "New York"), True),
        (QUERY.replace(" ", "\n  ").replace("New\n  York", "New York"), True),
        (QUERY.replace("age > 56", "age>56").replace("born = ", "born="), True),
        (QUERY.replace("(name)", " ( name )"), True),
        (QUERY.replace("New York", "new york"), False),  # a value is not a keyword
        (QUERY.replace("New York", "New  York"), False),
        (QUERY.replace("New York", "Newyork"), False),
        (QUERY.replace("> 56", ">= 56"), False),
        (QUERY.replace("age", "height"), False),
        (QUERY.replace("AND", "OR"), False),
        (QUERY.removesuffix("'"), False),
        (QUERY.replace("'", ""), False),
        ("", False),
        (f"```sql\n{QUERY};\n```", True),
        (f"```SQL\n{QUERY}```\n", True),
        (f"```sqlite\n{QUERY}\n```", True),
        (f"```\n{QUERY}\n```", True),
        (f"```{QUERY.lower().replace('new york', 'New York')}```", True),  # its first word names no language
        (f"This is the query:\n```sql\n{QUERY};\n```\nIt counts names.", True),
        (f"```sql\nSELECT 1\n```\nNo, rather:\n```sql\n{QUERY}\n```", True),  # the last one
        (f"```sql\n{QUERY}\n```\nNo, rather:\n```sql\nSELECT 1\n```", False),
        (f"```sql\n{QUERY}", True),  # the fence is not closed, but the query is whole
        (f"```sql\n{QUERY.replace('56', '57')}\n```", False),
        ("```sql\n```", False),
        (f"This is the query: {QUERY}", False),  # without a fence nothing says where it begins
    ],
)
def test_queries(answer, is_right):
    assert right("sql", QUERY, answer) == is_right


def test_both_signs_for_unequal():
    assert right("sql", "SELECT a FROM t WHERE b <> 'x'", "select a from t where b != 'x'")
    assert right("sql", "SELECT a FROM t WHERE b!='x'", "select a from t where b <> 'x'")
    assert not right("sql", "SELECT a FROM t WHERE b <> 'x'", "SELECT a FROM t WHERE b = 'x'")
    assert not right("sql", "SELECT a FROM t WHERE b = '<>'", "SELECT a FROM t WHERE b = '!='")  # a value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT a FROM t WHERE b = 'x = y, z'", "SELECT a FROM t WHERE b = 'x=y,z'"),
        ("SELECT a FROM t WHERE b = 'x;'", "SELECT a FROM t WHERE b = 'x'"),
        ("SELECT 'a' 'b", "SELECT 'a' 'c"),  # never closed
        ("'a", "'b"),
    ],
)
def test_queries_with_other_values(one, other):
    assert answers.query(one) != answers.query(other)
    assert answers.query(one) == answers.query(one.replace("SELECT", "select"))


def test_every_meaning_of_viggo_is_read():
    if not (ROOT and (Path(ROOT) / "viggo").is_dir()):
        pytest.skip("CIRCPEFT_DATA_DIR names no folder with viggo in its published schema")
    data = data_folders.read_folder(Path(ROOT) / "viggo")
    references = [text for rows in data.values() for text in rows["meaning_representation"]]
    parsed = {text: answers.meaning(text) for text in references}
    assert all(isinstance(meaning, tuple) for meaning in parsed.values())
    assert len(set(parsed.values())) == len(parsed)
    assert tasks.get("viggo").score(references, references) == 1.0
