"""Warnings of what will change in a library or in Python are errors (pyproject.toml, filterwarnings)."""

import warnings

import pytest


def test_a_future_warning_of_a_library_is_an_error():
    with pytest.raises(FutureWarning, match="it will change"):
        warnings.warn("it will change", FutureWarning, stacklevel=2)


def test_a_deprecated_call_of_the_package_is_an_error_and_one_of_another_library_is_not():
    for category in (DeprecationWarning, PendingDeprecationWarning):
        place = {"filename": "product.py", "lineno": 1}
        with pytest.raises(category):
            warnings.warn_explicit("it will go", category, module="circpeft.ops.product", **place)
        with warnings.catch_warnings(record=True) as seen:
            warnings.warn_explicit("it will go", category, module="torch.jit", **place)
        assert len(seen) == 1
