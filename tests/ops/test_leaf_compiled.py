"""The Triton kernels of backend "leaf" compile for GPUs that are not there: no spills, and wide reads and writes.

`make test` runs this with Triton from a folder of its own, and without its interpreter.
"""

import pytest
import torch

from circpeft.ops.backends import leaf_triton

# (d_in, d_out, b, dtype): leaves of one and of several numbers, a transform whose size is not a power of two,
# incomplete blocks
LAYERS = [
    (4096, 4096, 128, torch.bfloat16),
    (4096, 4096, 4096, torch.bfloat16),
    (768, 3072, 768, torch.float32),
    (768, 768, 48, torch.float16),
    (4096, 1024, 768, torch.bfloat16),
]
# They read and write every number of the activations once. The others are for numbers of the kernels only, a hundredth
# of these or less. Their shifts leave them single numbers in float32, beside each other in neighbouring threads.
OF_ACTIVATIONS = {"transform", "inverse", "inverse_and_sum"}
KERNELS = {*OF_ACTIVATIONS, "leaf_matrices", "kernel_gradient"}


def run(d_in, d_out, b, dtype):
    """Launch every kernel of a layer with diagonals and of one without, on tensors that have no values."""
    m, n = -(-d_out // b), -(-d_in // b)
    x, g, dx, y = (torch.empty(8, d, dtype=dtype, device="meta") for d in (d_in, d_out, d_in, d_out))
    w, first, last = (torch.empty(size, device="meta") for size in ((m, n, b), (d_in,), (d_out,)))
    for diagonals in ((None, None), (first, last)):
        leaf_triton.diagonal_matmul(x, w, "row", *diagonals, g, y, 0.5)
        leaf_triton.diagonal_matmul_backward(g, x, w, "row", *diagonals, dx, 0.5, False)


@pytest.mark.parametrize("capability", [90, 80])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_kernels_compile_without_spills_and_with_wide_accesses(layer, capability, compiled_kernels, is_pinned_triton):
    kernels = compiled_kernels(lambda: run(*layer), capability)
    assert {kernel.name for kernel in kernels} == KERNELS
    for kernel in kernels:
        assert kernel.spilled == 0 or not is_pinned_triton, kernel
        assert min(kernel.reads + kernel.writes) >= (8 if kernel.name in OF_ACTIVATIONS else 4), kernel
        assert "mma" in kernel.ptx, kernel  # tensor cores
