"""The limits: their values, the variables that raise them, and the page that lists them."""

import re

import pytest

from circpeft import limits, results

PAGE = (results.ROOT / "docs" / "limits.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "value"), [("500", 500), ("64MB", 2**26), ("2 GiB", 2**31), ("1k", 1024), ("3tib", 3 * 2**40), ("0", 0)]
)
def test_numbers_with_units(monkeypatch, given, value):
    monkeypatch.setenv("CIRCPEFT_MAX_TABLE", given)
    assert limits.TABLE.value == value


@pytest.mark.parametrize("given", ["", "x", "-1", "1.5GB", "1 GB x", "inf", "9" * 30])
def test_what_is_not_a_number(monkeypatch, given):
    monkeypatch.setenv("CIRCPEFT_MAX_TABLE", given)
    with pytest.raises(ValueError, match="CIRCPEFT_MAX_TABLE must be a number such as 500, 64MB or 2GiB"):
        limits.TABLE.check("a.csv", 1)


def test_the_value_that_an_error_names_is_enough(monkeypatch):
    for limit in limits.LIMITS:
        with pytest.raises(ValueError, match=f"{limit.variable}=") as raised:
            limit.check("file", limit.default + 1)
        name, value = re.search(r"(CIRCPEFT_\w+)=(\d+)", str(raised.value)).groups()
        monkeypatch.setenv(name, value)
        limit.check("file", limit.default + 1)


def test_the_page_lists_every_limit():
    rows = dict(re.findall(r"^\| `(CIRCPEFT_MAX_\w+)` \| ([\d,]+(?: \w+)?) \|", PAGE, re.MULTILINE))
    assert rows.keys() == {limit.variable for limit in limits.LIMITS}
    for limit in limits.LIMITS:
        number, _, unit = rows[limit.variable].replace(",", "").partition(" ")
        assert int(number) * limits.UNITS[unit[:1].lower()] == limit.default
    assert limits.IMAGE_FOLDERS in PAGE
