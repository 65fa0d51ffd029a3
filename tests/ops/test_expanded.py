"""Expanded operands, such as the gradient of a sum: on a CPU, torch 2.5 transforms no tensor with a stride of 0."""

import pytest
import torch
from torch.func import vmap

from circpeft.ops import block_circular_kernel_grad, block_circular_matmul, diagonal_circulant_matmul

pytestmark = pytest.mark.usefixtures("one_thread")
N, M, B = 3, 2, 8


@pytest.fixture(autouse=True)
def as_in_torch_2_5(monkeypatch):
    transform = torch.fft.rfft

    def rfft(tensor):
        if tensor.numel() > 1 and 0 in tensor.stride():
            raise RuntimeError("MKL FFT error: Inconsistent configuration parameters")
        return transform(tensor)

    monkeypatch.setattr(torch.fft, "rfft", rfft)


def expanded(*size):
    return torch.randn(size[-1]).expand(size)


def product(x, w):
    return block_circular_matmul(x, w, "row", "rfft")


def with_a_diagonal(x, w):
    return diagonal_circulant_matmul(x, w, None, x.new_ones(M * B), None, 1.0, "row", "rfft")


@pytest.mark.parametrize("f", [product, with_a_diagonal])
def test_expanded_inputs_and_the_gradient_of_a_sum(f):
    w = torch.randn(M, N, B, requires_grad=True)
    given = expanded(4, N * B)
    x, dense = given.requires_grad_(), given.detach().contiguous().requires_grad_()
    y, true = f(x, w), f(dense, w)
    torch.testing.assert_close(y, true)
    gradients = torch.autograd.grad(y.sum(), (x, w))  # the gradient of y is one number, expanded
    torch.testing.assert_close(gradients, torch.autograd.grad(true, (dense, w), torch.ones(4, M * B)))


def test_expanded_operands_of_the_kernel_gradient_and_of_a_batch():
    g, x, w = expanded(4, M * B), expanded(4, N * B), torch.randn(M, N, B)
    ours = block_circular_kernel_grad(g, x, B, "row", "rfft")
    torch.testing.assert_close(ours, block_circular_kernel_grad(g.contiguous(), x.contiguous(), B, "row", "rfft"))
    batch = vmap(product)(x.expand(2, 4, N * B), w.expand(2, M, N, B))
    torch.testing.assert_close(batch, product(x, w).expand(2, 4, M * B))
