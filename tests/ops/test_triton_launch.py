"""Launches of Triton kernels: on the GPU of their tensors, which need not be the current one."""

import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from circpeft.ops import triton_launch
from circpeft.ops.triton_launch import Kernels


class OnSecondGpu(torch.Tensor):
    device = torch.device("cuda", 1)


@pytest.mark.parametrize("current, switched_to", [(0, [torch.device("cuda", 1)]), (1, [])])
def test_a_kernel_is_launched_on_the_gpu_of_its_tensors(current, switched_to, monkeypatch):
    active, seen = [], []

    @contextmanager
    def device(wanted):
        active.append(wanted)
        yield
        active.clear()

    class Kernel:
        def __getitem__(self, grid):
            return lambda *arguments, **constants: seen.append((grid, list(active), constants))

    monkeypatch.setattr(triton_launch, "_check_triton", lambda: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current)
    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setitem(sys.modules, "kernels_of_a_test", SimpleNamespace(copy=Kernel()))
    Kernels("kernels_of_a_test", "copies").launch("copy", (2, 3), 1.0, torch.ones(2).as_subclass(OnSecondGpu), BC=16)
    assert seen == [((2, 3), switched_to, {"BC": 16})] and not active
