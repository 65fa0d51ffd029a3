"""Products, kernel gradients and FLOPs of every backend module on matrices, and computing in chunks."""

from types import SimpleNamespace

import pytest
import torch

from circpeft import available_backends, block_circulant
from circpeft.ops.backends import dense, get_backend, rfft

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPES = [(1, 1, 1), (2, 3, 1), (1, 1, 2), (2, 1, 5), (2, 3, 4), (3, 3, 7), (1, 1, 24), (5, 2, 9)]
CPU_BACKENDS = available_backends("cpu")
every_backend = pytest.mark.parametrize("backend", [get_backend(name) for name in CPU_BACKENDS], ids=CPU_BACKENDS)
both_layouts = pytest.mark.parametrize("layout", ["column", "row"])


@every_backend
@both_layouts
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("tokens", [0, 1, 6])
def test_matmul_and_kernel_grad(backend, layout, shape, tokens):
    m, n, b = shape
    x, g = torch.randn(tokens, n * b, dtype=torch.float64), torch.randn(tokens, m * b, dtype=torch.float64)
    w = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    dense = x @ block_circulant(w, layout).T
    torch.testing.assert_close(backend.matmul(x, w.detach(), layout), dense.detach())
    torch.testing.assert_close(backend.kernel_grad(g, x, b, layout), torch.autograd.grad(dense, w, g)[0])


@both_layouts
@pytest.mark.parametrize("shape", [(1, 1, 24), (2, 3, 8)], ids=str)
@pytest.mark.parametrize("tokens", [16, 17, 64, 100])
def test_rfft_in_chunks_equals_rfft_at_once(shape, layout, tokens, monkeypatch):
    m, n, b = shape
    x, g, w = (torch.randn(size, dtype=torch.float64) for size in ((tokens, n * b), (tokens, m * b), shape))
    at_once = rfft.matmul(x, w, layout), rfft.kernel_grad(g, x, b, layout)
    assert rfft.tokens_per_chunk(x, max(m, n) * b) >= tokens
    monkeypatch.setitem(rfft.CHUNK_ELEMENTS, "cpu", 1)
    assert rfft.tokens_per_chunk(x, max(m, n) * b) == 16
    torch.testing.assert_close((rfft.matmul(x, w, layout), rfft.kernel_grad(g, x, b, layout)), at_once)


def test_rfft_with_more_tokens_than_a_chunk_holds(error):
    x, w = torch.randn(800, 768), torch.randn(1, 1, 768)
    assert rfft.tokens_per_chunk(x, 768) < 800
    assert error(rfft.matmul(x, w, "row"), x.double() @ block_circulant(w.double(), "row").T) < 1e-5


@every_backend
def test_flops_grow_linearly_in_the_tokens(backend):
    one, two, three = (backend.matmul_flops(t, 2, 3, 64) for t in (1, 2, 3))
    assert 0 < one < two < three and abs((three - two) - (two - one)) <= 1
    assert backend.matmul_flops(5, 2, 3, 1) > 0


def test_chunks_fit_the_cache_of_a_cpu_and_are_large_on_a_gpu():
    cpu, gpu, other = (SimpleNamespace(device=torch.device(name)) for name in ("cpu", "cuda", "xpu"))
    for width in (64, 768, 4096):
        assert 2**17 < rfft.tokens_per_chunk(cpu, width) * width <= 2**19  # numbers: 0.5 to 2 MiB in float32
        assert rfft.tokens_per_chunk(other, width) == rfft.tokens_per_chunk(cpu, width)
        tokens = rfft.tokens_per_chunk(gpu, width)
        assert isinstance(tokens, int) and tokens * width >= 8192 * 4096  # a batch of a large model is one call
    assert rfft.tokens_per_chunk(cpu, 10**9) == rfft.tokens_per_chunk(gpu, 10**9) == 16


def test_dense_multiplies_in_half_precision_only_where_torch_sums_in_float32():
    w = SimpleNamespace(dtype=torch.float32)
    # Layers of a GPU are counted with meta tensors.
    for device, expected in {"cpu": w.dtype, "xpu": w.dtype, "cuda": torch.bfloat16, "meta": torch.bfloat16}.items():
        x = SimpleNamespace(dtype=torch.bfloat16, device=torch.device(device))
        assert dense._operand_dtype(x, w) == expected
        assert dense._operand_dtype(x, SimpleNamespace(dtype=torch.float64)) == torch.float64
