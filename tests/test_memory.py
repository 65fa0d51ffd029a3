"""Peak memory: it includes short allocations, can be reset, and is that of the device which computes."""

import pytest
import torch

from circpeft import memory

MIB = 2**20
CPU = torch.device("cpu")


@pytest.fixture(params=["cpu", "cuda"])
def device(request) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("this machine has no GPU")
    if request.param == "cpu" and not memory.CLEAR.exists():
        pytest.skip("this system does not report peak memory")
    return torch.device(request.param)


def allocate(mib: int, device: torch.device) -> None:
    """Allocate so many MiB for a moment, and write to every page."""
    torch.ones(mib * MIB // 4, device=device).sum().item()


def test_a_short_allocation_counts_until_the_reset(device):
    allocate(1, device)
    memory.reset_peak(device)
    before = memory.peak_bytes(device)
    allocate(200, device)
    with_allocation = memory.peak_bytes(device)
    assert 195 * MIB < with_allocation - before < 300 * MIB
    memory.reset_peak(device)
    assert memory.peak_bytes(device) < with_allocation - 150 * MIB


def test_a_gpu_beside_a_run_on_the_cpu_does_not_count(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda *_: 7)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda *_: pytest.fail("the GPU was asked"))
    memory.reset_peak(CPU)
    assert memory.peak_bytes(CPU) != 7 and memory.peak_bytes(torch.device("cuda")) == 7


def test_a_system_that_does_not_report_gives_zero(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "absent")
    memory.reset_peak(CPU)
    assert memory.peak_bytes(CPU) == 0
