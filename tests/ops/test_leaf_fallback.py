"""Backend "leaf" without a working Triton: one warning that says why and what computes, and the same results."""

import sys
from types import SimpleNamespace

import pytest
import torch

from circpeft.ops import diagonal_circulant_matmul, triton_launch
from circpeft.ops.backends import leaf_triton
from circpeft.ops.triton_launch import Kernels

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("error")]


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(triton_launch, "_unusable", [])
    monkeypatch.setattr(triton_launch, "_check_triton", triton_launch._check_triton.__wrapped__)  # at every launch
    monkeypatch.setattr(leaf_triton, "KERNELS", kernels := Kernels("circpeft.ops.backends.leaf_kernels", "leaves"))
    monkeypatch.setattr(kernels, "are_usable", lambda device: not kernels.failed and not triton_launch._unusable)


def operands():
    sizes = (3, 31), (2, 1, 32), (31,), (60,), (3, 60)
    return [torch.randn(size, requires_grad=True) for size in sizes]


def values(inputs, backend):
    y = diagonal_circulant_matmul(*inputs, 0.7, "row", backend)
    return y, *torch.autograd.grad(y.square().sum(), inputs)


def check_falls_back(match):
    inputs = operands()
    with pytest.warns(UserWarning, match=match) as warned:
        ours = values(inputs, "leaf")
    assert len(warned) == 1
    torch.testing.assert_close(ours, values(inputs, "rfft"), rtol=1e-4, atol=1e-4)
    values(inputs, "leaf")  # a second warning would be an error


def test_triton_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    check_falls_back(
        r"^Triton cannot be imported \(.*triton.*\)\. From now on, torch computes everything without Triton\.$"
    )
    assert not Kernels("circpeft.ops.another_module", "").are_usable(torch.device("cuda"))  # no second warning


def test_triton_is_too_old(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", SimpleNamespace(__version__="2.1.0"))
    check_falls_back(
        r"^Triton 2\.1\.0 is too old; circpeft needs 3\.4 or later\. From now on, torch computes .* Triton\.$"
    )


class Kernel:
    """A kernel that does nothing, or fails when it is launched."""

    def __init__(self, fails):
        self.fails = fails

    def __getitem__(self, grid):
        return self

    def __call__(self, *arguments, **constants):
        if self.fails:
            raise RuntimeError("no ptxas")


@pytest.mark.parametrize("failing", ["leaf_matrices", "inverse", "kernel_gradient"])
def test_a_kernel_fails(failing, monkeypatch):
    names = ("transform", "inverse", "inverse_and_sum", "leaf_matrices", "kernel_gradient")
    monkeypatch.setitem(sys.modules, "triton", SimpleNamespace(__version__="3.8.0"))
    kernels = SimpleNamespace(**{name: Kernel(name == failing) for name in names})
    monkeypatch.setitem(sys.modules, "circpeft.ops.backends.leaf_kernels", kernels)
    inputs, match = (
        operands(),
        rf"kernel '{failing}' with .*R=32, RP=32, e=1.* failed \(RuntimeError: no ptxas\)\. From .* computes leaves ",
    )
    if failing == "kernel_gradient":  # the forward pass, whose kernels do nothing here, gets as far as before
        y = diagonal_circulant_matmul(*inputs, 0.7, "row", "leaf")
        with pytest.warns(UserWarning, match=match):
            gradients = torch.autograd.grad(y, inputs, torch.ones_like(y))
        true = diagonal_circulant_matmul(*inputs, 0.7, "row", "rfft")
        torch.testing.assert_close(
            gradients, torch.autograd.grad(true, inputs, torch.ones_like(y)), rtol=1e-4, atol=1e-4
        )
    else:
        check_falls_back(match)
