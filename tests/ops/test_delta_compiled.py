"""The Triton kernels for ΔW and its gradients compile for GPUs that are not there: no spills, and wide accesses.

`make test` runs this with Triton from a folder of its own, and without its interpreter.
"""

import pytest
import torch

from circpeft.ops.delta import delta_weight, diagonals_from_delta, kernel_from_delta

pytest.importorskip("triton")
# (d_in, d_out, b, dtype): one and several blocks, small blocks, incomplete blocks, sizes that are no powers of two
LAYERS = [
    (4096, 4096, 128, torch.bfloat16),
    (4096, 4096, 4096, torch.bfloat16),
    (768, 3072, 768, torch.float32),
    (768, 768, 48, torch.float16),
    (4096, 1024, 768, torch.bfloat16),
    (384, 384, 96, torch.float32),
]


@pytest.mark.parametrize("capability", [90, 80])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_kernels_compile_without_spills_and_with_wide_accesses(layer, capability, compiled_kernels, is_pinned_triton):
    d_in, d_out, b, dtype = layer
    m, n = -(-d_out // b), -(-d_in // b)
    w, first, last, gradient = (torch.empty(s, device="meta") for s in ((m, n, b), (d_in,), (d_out,), (d_out, d_in)))
    weight = gradient.to(dtype)

    def call():
        for diagonals in ((None, None), (first, last)):
            for under in (None, weight):
                delta_weight(w, "row", 0.5, *diagonals, d_out, d_in, dtype, under)
            kernel_from_delta(gradient, m, n, b, "row", 0.5, *diagonals)
        diagonals_from_delta(gradient, w, "column", 0.5, first, last)

    kernels = compiled_kernels(call, capability)
    assert {kernel.name for kernel in kernels} == {"fill", "kernel_gradient", "diagonal_gradients"}
    threads, size = 128, {"fill": dtype.itemsize, "kernel_gradient": 4, "diagonal_gradients": 4}
    for kernel in kernels:
        assert kernel.spilled == 0 or not is_pinned_triton, kernel
        tile = kernel.constants["BR"] * kernel.constants["BC"] * size[kernel.name] // threads  # bytes per thread
        # Matrices are read and written at least 8 bytes at a time; the numbers of a kernel are read one by one.
        if kernel.name == "fill":
            assert min(kernel.writes) >= 8 and sum(kernel.writes) == tile, kernel
        if kernel.constants.get("has_weight", kernel.constants.get("shares") != 1):
            assert sum(width for width in kernel.reads if width >= 8) >= tile, kernel
