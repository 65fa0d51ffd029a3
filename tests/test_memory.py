"""The peak of memory: it sees what was held for a moment, and starts anew."""

import pytest
import torch

from circpeft import memory

MIB = 2**20

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available() and not memory.CLEAR.exists(), reason="this system does not tell a process its peak"
)


def hold(mib: int) -> None:
    """Hold so much for a moment; every page is written to."""
    torch.ones(mib * MIB // 4, device="cuda" if torch.cuda.is_available() else "cpu").sum().item()


def test_a_short_allocation_is_seen_and_forgotten():
    hold(1)
    memory.reset_peak()
    before = memory.peak_bytes()
    hold(200)
    with_it = memory.peak_bytes()
    assert 195 * MIB < with_it - before < 300 * MIB
    memory.reset_peak()
    assert memory.peak_bytes() < with_it - 150 * MIB


def test_a_system_that_does_not_tell_gives_zero(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "absent")
    memory.reset_peak()
    assert memory.peak_bytes() == 0
