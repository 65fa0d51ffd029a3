"""Backend "dense" with the operands that it has on a GPU: products of half precision, with sums in float32."""

import pytest
import torch

from circpeft.ops import diagonal_circulant_matmul
from circpeft.ops.backends import dense

pytestmark = pytest.mark.usefixtures("one_thread")
PROMISED = {torch.float16: 1e-3, torch.bfloat16: 5e-3}
each_half = pytest.mark.parametrize("dtype", PROMISED, ids=str)


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(dense, "_operand_dtype", lambda x, w: x.dtype if w.dtype == torch.float32 else w.dtype)
    # A CPU has no product of half precision with a result in float32.
    monkeypatch.setattr(dense, "_product", lambda a, b: a.float() @ b.float())


def check(inputs, scale, promised, error):
    g = torch.randn(*inputs[0].shape[:-1], inputs[3].shape[-1])
    exact = [t.double().requires_grad_() for t in inputs]
    inputs = [t.requires_grad_() for t in inputs]
    truth, y = (
        diagonal_circulant_matmul(*tensors, scale, "row", backend)
        for tensors, backend in ((exact, "reference"), (inputs, "dense"))
    )
    g = g.to(y.dtype)
    truths = truth, *torch.autograd.grad(truth, exact, g.double())
    for value, true in zip((y, *torch.autograd.grad(y, inputs, g)), truths, strict=True):
        assert error(value, true) <= promised


def operands(dtype, base_dtype):
    sizes = (50, 60), (3, 3, 20), (60,), (57,), (50, 57)
    x, w, first, last, base = (torch.randn(size) for size in sizes)
    x[:, 5] *= 50  # an outlier channel
    return [x.to(dtype), w / 8, first, last, base.to(base_dtype)]


@each_half
@pytest.mark.parametrize("base_dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_errors_are_within_the_promise(dtype, base_dtype, error):
    promised = max(PROMISED[dtype], PROMISED.get(base_dtype, 0.0))
    check(operands(dtype, base_dtype), 0.7, promised, error)


@pytest.mark.parametrize("scale", [1.0, 1 / 768])
def test_a_small_change_keeps_its_digits_in_float16(scale, error):
    x, w, first, last, _ = operands(torch.float16, torch.float32)
    x = x / 50
    check([x, 3e-5 / scale * w, first, last, torch.zeros(50, 57)], scale, 1e-3, error)
