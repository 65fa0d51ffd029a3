"""A new backend is one file and one line of the table: products, gradients, FLOPs and costs then know it."""

import importlib

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from circpeft import (
    C3AConfig,
    available_backends,
    block_circulant,
    block_circular_matmul,
    costs,
    count_flops,
    inject,
    use_backend,
)
from circpeft.ops import diagonal_circulant_matmul
from circpeft.ops.backends import BACKENDS
from circpeft.profiling import count_saved_bytes

pytestmark = pytest.mark.usefixtures("one_thread")
both_layouts = pytest.mark.parametrize("layout", ["column", "row"])
TOY = '''
"""Backend "toy": one shifted product per kernel entry."""

import torch

FUSED = False
BUILDS_MATRIX = False


def is_available(device):
    return device.type == "cpu"


def shifted(x, b, k, layout):
    return x.view(len(x), -1, b).roll(k if layout == "column" else -k, -1)


def matmul(x, w, layout):
    b = w.shape[-1]
    return sum(torch.einsum("mn,tnb->tmb", w[..., k], shifted(x, b, k, layout)) for k in range(b)).flatten(1)


def kernel_grad(g, x, b, layout):
    g = g.view(len(g), -1, b)
    return torch.stack([torch.einsum("tmb,tnb->mn", g, shifted(x, b, k, layout)) for k in range(b)], -1)


def matmul_flops(t, m, n, b):
    return 1000 * t * m * n * b


def kernel_grad_flops(t, m, n, b):
    return 7000 * t * m * n * b
'''


@pytest.fixture(autouse=True)
def toy(tmp_path, monkeypatch):
    (tmp_path / "toy_backend.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.setitem(BACKENDS, "toy", "toy_backend")


def operands(dtype=torch.float64):
    sizes = {"x": (6, 12), "w": (2, 3, 4), "diagonal_in": (12,), "diagonal_out": (8,), "base": (6, 8)}
    return {name: torch.randn(size, dtype=dtype, requires_grad=True) for name, size in sizes.items()}


def test_it_is_listed_where_it_says_so_and_named_in_errors():
    assert available_backends("cpu")[-1] == "toy" and "toy" not in available_backends("meta")
    with pytest.raises(ValueError, match=r"unknown backend 'toi'; did you mean 'toy'.*, toy\)"):
        block_circular_matmul(torch.ones(2), torch.ones(1, 1, 2), backend="toi")
    with pytest.raises(ValueError, match="unknown backend 'toi' in use_backend; did you mean 'toy'"):
        with use_backend("toi"):
            pass


@both_layouts
def test_products_and_gradients(layout):
    tensors = operands()
    x, w = tensors["x"], tensors["w"]
    y, dense = block_circular_matmul(x, w, layout, "toy"), x @ block_circulant(w, layout).T
    torch.testing.assert_close(y, dense)
    torch.testing.assert_close(
        torch.autograd.grad(y.square().sum(), (x, w)), torch.autograd.grad(dense.square().sum(), (x, w))
    )
    fused = diagonal_circulant_matmul(**tensors, scale=0.7, layout=layout, backend="rfft")
    with use_backend("toy"):
        composed = diagonal_circulant_matmul(**tensors, scale=0.7, layout=layout)
    torch.testing.assert_close(composed, fused)
    wanted = list(tensors.values())
    torch.testing.assert_close(
        torch.autograd.grad(composed.square().sum(), wanted), torch.autograd.grad(fused.square().sum(), wanted)
    )
    assert torch.autograd.gradgradcheck(lambda x, w: block_circular_matmul(x, w, layout, "toy"), (x, w))


def test_opcheck_and_torch_compile():
    tensors = operands(torch.float32)
    torch.library.opcheck(torch.ops.circpeft.block_circular_matmul, (tensors["x"], tensors["w"], "row", "toy"))

    def loss(x, w, diagonal_in, diagonal_out, base):
        return diagonal_circulant_matmul(x, w, diagonal_in, diagonal_out, base, 0.5, "row", "toy").square().sum()

    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(**tensors), loss(**tensors))


def test_flops_and_saved_bytes_in_counters_and_the_cost_model():
    t, m, n, b = 6, 2, 3, 4
    x, w = operands(torch.float32)["x"], operands(torch.float32)["w"]
    with FlopCounterMode(display=False) as counter:
        block_circular_matmul(x, w, backend="toy").sum().backward()
    counts = {str(op): count for op, count in counter.get_flop_counts()["Global"].items()}
    assert counts["circpeft.block_circular_matmul"] == 2 * 1000 * t * m * n * b
    assert counts["circpeft.block_circular_kernel_grad"] == 7000 * t * m * n * b
    options = {"block_size": b, "backend": "toy"}
    assert costs.flops("c3a", n * b, m * b, tokens=t, **options) == m * n * b + 1000 * t * m * n * b + t * m * b
    backward = costs.flops("c3a", n * b, m * b, tokens=t, direction="backward", **options)
    assert backward == 8000 * t * m * n * b + m * n * b + t * n * b
    layer = torch.nn.Sequential(torch.nn.Linear(n * b, m * b).requires_grad_(False))
    model = inject(layer, C3AConfig(target_modules=["0"], block_size=b, init_weights=False))
    with use_backend("toy"):
        assert count_flops(model, x).forward > 0  # counted by the operations of the backend, not by its formulas
        assert count_saved_bytes(model, x) == costs.saved_bytes("c3a", n * b, m * b, t, **options)
