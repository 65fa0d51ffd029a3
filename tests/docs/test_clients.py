"""The table of other libraries has a row for every test of one, and the version that constraints.txt pins."""

import re

from packaging.utils import canonicalize_name

from circpeft import results

PAGE = (results.ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
# Library, version, what works, test.
ROWS = [row.strip("| ").split(" | ") for row in re.findall(r"^\| `.*\|$", PAGE, re.MULTILINE)]


def test_every_row_has_a_test_and_every_test_a_row():
    assert ROWS and all(len(row) == 4 and all(cell.strip() for cell in row) for row in ROWS)
    named = {name for row in ROWS for name in re.findall("`([^`]+)`", row[3])}
    files = {path.relative_to(results.ROOT).as_posix() for path in (results.ROOT / "tests/clients").glob("test_*.py")}
    assert named == files


def test_the_versions_are_those_that_the_tests_run_with():
    pins = dict(re.findall(r"^([\w.-]+)==(.+)$", (results.ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    for name, version, *_ in ROWS:
        assert version == pins[canonicalize_name(name.strip("`"))], name
