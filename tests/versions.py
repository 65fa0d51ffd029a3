"""Marks for tests of what only newer versions of the libraries can do."""

from importlib import metadata

import pytest
from packaging.version import Version


def needs(library: str, version: str, reason: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test with an older version of a library.

    >>> needs("torch", "2.4", "every version has it").args
    (False,)
    """
    older = Version(metadata.version(library)) < Version(version)
    return pytest.mark.skipif(older, reason=f"{library} {version} or later is needed: {reason}")


COMPILES_PEFT = needs("torch", "2.7", "older ones cannot compile the forward of a PeftModel, a context manager in it")
LOADS_OPTIMIZERS = needs("torch", "2.6", "transformers reads an optimizer only with that")
