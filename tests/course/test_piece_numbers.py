"""The numbers that the pieces compute in JavaScript are those that circpeft computes."""

import numpy as np
import pytest
import torch

from circpeft.course.pieces import kernel_lab

from .javascript import calls

KERNELS = {
    "random, odd": np.random.default_rng(0).normal(size=7).tolist(),
    "random": np.random.default_rng(1).normal(size=16).tolist(),
    "zero": [0.0] * 5,
    **kernel_lab.presets(12),
}


def agree(computed: dict, expected: dict, tolerance: float = 1e-9) -> None:
    assert computed.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(computed[name], value, atol=tolerance, rtol=tolerance, err_msg=name)


@pytest.mark.parametrize("layout", ["row", "column"])
def test_kernel_lab(layout):
    signal = torch.randn(32, generator=torch.Generator().manual_seed(2)).tolist()
    cases = [(kernel, signal[: len(kernel)], layout) for kernel in KERNELS.values()]
    for case, computed in zip(cases, calls("kernel_lab", "kernelNumbers", cases), strict=True):
        agree(computed, kernel_lab.kernel_numbers(*case))
