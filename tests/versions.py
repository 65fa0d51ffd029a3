"""Marks for tests of what only newer versions of the libraries can do."""

import pytest
import torch
from packaging.version import Version


def needs_torch(version: str, reason: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test with an older torch.

    >>> needs_torch("2.4", "every version has it").args
    (False,)
    """
    return pytest.mark.skipif(
        Version(torch.__version__) < Version(version), reason=f"torch {version} or later is needed: {reason}"
    )


COMPILES_PEFT = needs_torch("2.7", "older versions cannot compile the forward of a PeftModel, a context manager in it")
LOADS_OPTIMIZERS = needs_torch("2.6", "transformers reads an optimizer only with that")
