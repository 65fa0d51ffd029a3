"""ΔW without a working Triton: one warning that says why and what computes, and the same results."""

import sys
from types import SimpleNamespace

import pytest
import torch

from circpeft import block_circulant
from circpeft.ops import delta_torch, delta_triton, diagonal_circulant_matmul, triton_launch
from circpeft.ops.delta import delta_weight, diagonals_from_delta, kernel_from_delta
from circpeft.ops.triton_launch import Kernels

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("error")]


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(triton_launch, "_unusable", [])
    monkeypatch.setattr(triton_launch, "_check_triton", triton_launch._check_triton.__wrapped__)  # at every launch
    monkeypatch.setattr(delta_triton, "KERNELS", kernels := Kernels("circpeft.ops.delta_kernels", "ΔW"))
    monkeypatch.setattr(kernels, "are_usable", lambda device: not kernels.failed and not triton_launch._unusable)


def values():
    torch.manual_seed(0)
    w, first, last, gradient = (torch.randn(size) for size in ((2, 1, 6), (6,), (11,), (11, 6)))
    return (
        block_circulant(w),
        delta_weight(w, "row", 0.5, first, last, 11, 6, weight=gradient),
        kernel_from_delta(gradient, 2, 1, 6, "row", 0.5, first, last),
        *diagonals_from_delta(gradient, w, "row", 0.5, first, last),
        diagonal_circulant_matmul(gradient, w, first, last, None, 2.0, "row", "dense"),
    )


@pytest.mark.parametrize(
    "triton, match",
    [
        (None, r"^Triton cannot be imported \(.*\)\. From now on, torch computes everything without Triton\.$"),
        (SimpleNamespace(__version__="3.1.0"), r"^Triton 3\.1\.0 is too old; circpeft needs 3\.4 or later\. From now"),
        (SimpleNamespace(__version__="3.8.0"), r"kernel 'fill' with d_out=12, .*RuntimeError: no ptxas.* computes ΔW "),
    ],
    ids=["missing", "too old", "broken"],
)
def test_one_warning_and_the_results_of_torch(triton, match, monkeypatch):
    def fails(grid):
        raise RuntimeError("no ptxas")

    monkeypatch.setitem(sys.modules, "triton", triton)
    kernel = type("Kernel", (), {"__getitem__": staticmethod(fails)})()
    kernels = SimpleNamespace(fill=kernel, kernel_gradient=kernel, diagonal_gradients=kernel)
    monkeypatch.setitem(sys.modules, "circpeft.ops.delta_kernels", kernels)
    with pytest.warns(UserWarning, match=match) as warned:
        ours = values()
    assert len(warned) == 1
    monkeypatch.setattr(delta_triton, "have_kernels", lambda *tensors: False)
    assert all(torch.equal(a, b) for a, b in zip(ours, values(), strict=True))


@pytest.mark.parametrize(
    "name, of", [("kernel_gradient", kernel_from_delta), ("diagonal_gradients", diagonals_from_delta)]
)
def test_a_kernel_of_gradients_fails(name, of, monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", SimpleNamespace(__version__="3.8.0"))
    monkeypatch.setitem(sys.modules, "circpeft.ops.delta_kernels", SimpleNamespace())
    w, gradient, first = torch.randn(2, 1, 6), torch.randn(12, 6), torch.randn(6)
    arguments = (*w.shape, "row", 0.5) if of is kernel_from_delta else (w, "row", 0.5)
    with pytest.warns(UserWarning, match=rf"kernel '{name}' with .* failed \(AttributeError"):
        ours = of(gradient, *arguments, first)
    true = getattr(delta_torch, name)(gradient, *arguments, first, None)
    torch.testing.assert_close(ours, true)
