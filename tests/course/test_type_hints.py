"""Values that a user types, by the type hint of their parameter."""

import math
from pathlib import Path

import numpy as np
import pytest

from circpeft.course.type_hints import convert, kinds_of


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        ("int", "-7", -7),
        ("float", "-1e-3", -1e-3),
        ("float", "-inf", -math.inf),
        ("float", "1_000", 1000.0),
        ("int | float", "5", 5),
        ("float | int", "5", 5),
        ("Optional[int]", "None", None),
        ("typing.Optional[int]", "none", None),
        ("Union[float, None]", "None", None),
        ("Union[int, str]", "x", "x"),
        ("int | str", "5", 5),
        ("str", "None", "None"),
        ("str", "", ""),
        ("str", "a=b", "a=b"),
        ("str", "'quoted'", "'quoted'"),
        ("str | None", "none", "none"),
        ("str | None", "None", None),
        ("str | None", "5", "5"),
        ("'int | None'", "None", None),
        ("bool", "no", False),
        ("bool | None", "None", None),
        ("list[int] | None", "[-1, 2]", [-1, 2]),
        ("list[int]", "-1, 2", [-1, 2]),
        ("List[float]", "[1, 1e-3]", [1.0, 1e-3]),
        ("tuple[str, ...]", "('a', 'b')", ("a", "b")),
        ("dict[str, float]", "{'a': 1}", {"a": 1.0}),
        ("Literal['a', 'b']", "b", "b"),
        ("Literal[1, 2]", "2", 2),
        ("Literal['a', None]", "None", None),
        ("Final[int]", "3", 3),
        ("Any", "[1]", [1]),
        ("Path | None", "x", "x"),
    ],
)
def test_a_text_becomes_the_declared_type(hint, text, value):
    converted = convert(text, kinds_of(hint))
    assert converted == value and type(converted) is type(value)


@pytest.mark.parametrize(
    ("hint", "given", "said"),
    [
        ("int", "", "expected int$"),
        ("int", "1.5", "expected int$"),
        ("int", "inf", "expected int$"),
        ("int", True, "expected int$"),
        ("int", None, "expected int$"),
        ("Optional[int]", "nothing", "expected int or None$"),
        ("list[int]", "['a']", "expected int$"),
        ("list[int]", "3", r"expected list\[int\]$"),
        ("dict[str, int]", "[1]", r"expected dict\[str, int\]$"),
        ("Literal['lora', 'c3a']", "lra", "expected 'lora' or 'c3a'; did you mean 'lora'"),
        ("Literal[1, 2]", "3", "expected 1 or 2"),
    ],
)
def test_a_value_of_another_type_is_refused(hint, given, said):
    with pytest.raises(ValueError, match=said):
        convert(given, kinds_of(hint))


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (Path("sets") / "rte", "str", "sets/rte"),
        (Path("sets"), "Path | None", "sets"),
        (np.int64(3), "int", 3),
        (np.float32(0.5), "float", 0.5),
        (np.bool_(True), "bool | None", True),
    ],
    ids=repr,
)
def test_paths_and_numbers_of_numpy_from_python(value, hint, expected):
    found = convert(value, kinds_of(hint))
    assert found == expected and type(found) is type(expected)
