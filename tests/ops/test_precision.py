"""Which float32 operands may be rounded, read from the settings of newer and of older versions of torch."""

import pytest
import torch

from circpeft.ops import precision
from tests.versions import needs


@pytest.fixture(autouse=True)
def settings():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


@pytest.fixture(params=[pytest.param(True, marks=needs("torch", "2.9", "older versions name no precisions")), False])
def names_precisions(request, monkeypatch):
    """Read the settings as with torch 2.9 or later, and as with an older one."""
    monkeypatch.setattr(precision, "NAMES_PRECISIONS", request.param)


def permissions():
    on_cpu = [precision.rounding_on_cpu(operation) for operation in ("matmul", "conv")]
    return precision.tf32_allowed(), precision.convolutions_allow_tf32(), *on_cpu


def test_the_names_are_there_from_torch_2_9():
    assert precision.NAMES_PRECISIONS == hasattr(torch.backends.cuda.matmul, "fp32_precision")


@pytest.mark.usefixtures("names_precisions")
def test_both_kinds_of_settings_give_the_same_permissions():
    assert permissions() == (False, True, False, False)  # torch's defaults
    torch.set_float32_matmul_precision("medium")
    assert permissions() == (True, True, True, False)
    torch.set_float32_matmul_precision("high")
    assert permissions()[:2] == (True, True)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    assert permissions() == (False, False, False, False)


def test_high_precision_rounds_on_a_cpu_from_torch_2_9(monkeypatch):
    torch.set_float32_matmul_precision("high")
    assert precision.rounding_on_cpu("matmul") == precision.NAMES_PRECISIONS
    monkeypatch.setattr(precision, "NAMES_PRECISIONS", False)
    assert not precision.rounding_on_cpu("matmul")
