"""Peak memory: it includes short allocations, and can be reset."""

import pytest
import torch

from circpeft import memory

MIB = 2**20

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available() and not memory.CLEAR.exists(),
    reason="this system does not report peak memory",
)


def allocate(mib: int) -> None:
    """Allocate so many MiB for a moment, and write to every page."""
    torch.ones(mib * MIB // 4, device="cuda" if torch.cuda.is_available() else "cpu").sum().item()


def test_a_short_allocation_counts_until_the_reset():
    allocate(1)
    memory.reset_peak()
    before = memory.peak_bytes()
    allocate(200)
    with_allocation = memory.peak_bytes()
    assert 195 * MIB < with_allocation - before < 300 * MIB
    memory.reset_peak()
    assert memory.peak_bytes() < with_allocation - 150 * MIB


def test_a_system_that_does_not_report_gives_zero(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "absent")
    memory.reset_peak()
    assert memory.peak_bytes() == 0
