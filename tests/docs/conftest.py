"""The Markdown pages that the tests of the documentation read."""

from collections.abc import Callable

import pytest

from circpeft import results


@pytest.fixture(scope="session")
def page_text() -> Callable[[str], str]:
    """Read a page with every run of blanks and line ends as one blank."""

    def read(path: str) -> str:
        return " ".join((results.ROOT / path).read_text(encoding="utf-8").split())

    return read
