"""The product as a PyTorch operator: opcheck, torch.compile, saved tensors, FLOPs, autocast, determinism."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from circpeft import available_backends, block_circulant, block_circular_matmul
from circpeft.ops.backends import get_backend, reference, rfft

pytestmark = pytest.mark.usefixtures("one_thread")
BACKENDS = available_backends("cpu")
every_backend = pytest.mark.parametrize("backend", BACKENDS)
both_layouts = pytest.mark.parametrize("layout", ["column", "row"])


@every_backend
@pytest.mark.parametrize(("dtype", "layout"), [(torch.float32, "row"), (torch.bfloat16, "column")], ids=str)
def test_opcheck(backend, layout, dtype):
    x = torch.randn(2, 3, 12, requires_grad=True, dtype=dtype)
    w = torch.randn(2, 3, 4, requires_grad=True)
    g = torch.randn(2, 3, 8, requires_grad=True, dtype=dtype)
    torch.library.opcheck(torch.ops.circpeft.block_circular_matmul, (x, w, layout, backend))
    torch.library.opcheck(torch.ops.circpeft.block_circular_kernel_grad, (g, x, 4, torch.float32, layout, backend))


@every_backend
@both_layouts
def test_compiled_as_one_graph_gives_the_same(backend, layout):
    def loss(x, w):
        return block_circular_matmul(x, w, layout, backend).square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=True)
    for tokens in (5, 7):
        x, w = torch.randn(tokens, 12, requires_grad=True), torch.randn(2, 3, 4, requires_grad=True)
        torch.testing.assert_close(compiled(x, w), loss(x, w))
        torch.testing.assert_close(torch.autograd.grad(compiled(x, w), (x, w)), torch.autograd.grad(loss(x, w), (x, w)))


@every_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_saves_only_its_inputs(backend, dtype):
    x = torch.randn(4, 48, dtype=dtype, requires_grad=True)
    w = torch.randn(2, 2, 24, requires_grad=True)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        block_circular_matmul(x, w, backend=backend)
    assert sorted(t.untyped_storage().data_ptr() for t in saved) == sorted(
        t.untyped_storage().data_ptr() for t in (x, w)
    )


@every_backend
def test_counted_flops_are_those_of_the_formulas(backend):
    t, m, n, b = 6, 2, 3, 20
    x, w = torch.randn(2, 3, n * b, requires_grad=True), torch.randn(m, n, b, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        block_circular_matmul(x, w, backend=backend).sum().backward()
    counts = {str(op): count for op, count in counter.get_flop_counts()["Global"].items()}
    module = get_backend(backend)
    forward, dx = module.matmul_flops(t, m, n, b), module.matmul_flops(t, n, m, b)
    assert counts["circpeft.block_circular_matmul"] == forward + dx
    assert counts["circpeft.block_circular_kernel_grad"] == module.kernel_grad_flops(t, m, n, b)
    assert counter.get_total_flops() == sum(counts.values())


def test_flops_of_reference_equal_torchs_count_of_the_dense_product():
    t, m, n, b = 6, 2, 3, 20
    with FlopCounterMode(display=False) as counter:
        torch.randn(t, n * b) @ torch.randn(n * b, m * b)
    assert counter.get_total_flops() == reference.matmul_flops(t, m, n, b)


def test_rfft_counts_fewer_flops_than_the_dense_product_at_768():
    for flops in ("matmul_flops", "kernel_grad_flops"):
        assert getattr(rfft, flops)(512, 1, 1, 768) < getattr(reference, flops)(512, 1, 1, 768) / 10


@every_backend
@both_layouts
@pytest.mark.parametrize("b", [4, 24])
def test_autocast_does_not_lower_the_precision(backend, layout, b, error):
    x, w = torch.randn(7, 3 * b, requires_grad=True), torch.randn(2, 3, b, requires_grad=True)
    g = torch.randn(7, 2 * b)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = block_circular_matmul(x, w, layout, backend)
        grads = torch.autograd.grad(y, (x, w), g)
    dense = x @ block_circulant(w, layout).T
    assert y.dtype == torch.float32
    for value, truth in zip((y, *grads), (dense, *torch.autograd.grad(dense, (x, w), g)), strict=True):
        assert error(value, truth) < 1e-5


@every_backend
@both_layouts
def test_two_runs_give_the_same_bits(backend, layout):
    x, w = torch.randn(600, 96, requires_grad=True), torch.randn(3, 4, 24, requires_grad=True)
    runs = []
    for _ in range(2):
        y = block_circular_matmul(x, w, layout, backend)
        runs.append((y, *torch.autograd.grad(y.square().sum(), (x, w))))
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_the_meta_device_gives_the_shape():
    y = block_circular_matmul(torch.empty(2, 5, 12, device="meta"), torch.empty(2, 3, 4, device="meta"))
    assert y.is_meta and y.shape == (2, 5, 8)
