"""The Triton kernels for ΔW and its gradients, compiled on a GPU, or in Triton's interpreter, against float64.

The interpreter needs ``TRITON_INTERPRET=1`` and an installed triton, which `make test` keeps in a folder of its own.
"""

import os
from itertools import product

import pytest
import torch

from circpeft import block_circulant
from circpeft.ops import adapted_linear, delta_torch, delta_triton, diagonal_circulant_matmul
from circpeft.ops.delta import delta_weight, diagonals_from_delta, kernel_from_delta
from circpeft.ops.triton_launch import Kernels

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if not INTERPRETED and not torch.cuda.is_available():
    pytest.skip("needs a GPU, or TRITON_INTERPRET=1", allow_module_level=True)
pytest.importorskip("triton")
pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("error")]
DEVICE = "cpu" if INTERPRETED else "cuda"
both_layouts = pytest.mark.parametrize("layout", ["column", "row"])
# (m, n, b, inputs short of whole blocks, outputs short): one and several tiles and blocks of each, odd and prime sizes
GRIDS = [
    (1, 1, 1, 0, 0),
    (3, 2, 1, 0, 0),
    (1, 1, 7, 0, 2),
    (5, 3, 5, 4, 1),
    (2, 3, 8, 0, 0),
    (1, 1, 127, 0, 0),
    (2, 1, 31, 3, 30),
    (1, 3, 48, 0, 0),
    (4, 4, 16, 5, 0),
    (7, 2, 12, 0, 11),
    (1, 2, 132, 8, 4),
    (2, 1, 256, 0, 1),
    (1, 1, 300, 0, 0),
    (1, 1, 384, 0, 0),
]
every_grid = pytest.mark.parametrize("grid", GRIDS, ids=str)
PROMISED = {torch.float32: 2e-7, torch.float16: 1e-3, torch.bfloat16: 5e-3}


@pytest.fixture(autouse=True)
def launched(monkeypatch):
    """Return the names of the kernels that were run."""
    launch, names = Kernels.launch, []
    monkeypatch.setattr(
        Kernels, "launch", lambda kernels, name, *a, **o: (names.append(name), launch(kernels, name, *a, **o))
    )
    return names


@pytest.fixture(params=["several programs share a sum", "one program"])
def sharing(request, monkeypatch):
    """Split the sums of small gradients, as those of large ones, and not."""
    if request.param == "one program":
        monkeypatch.setattr(delta_triton, "shares", lambda m, n, b, chunks: 1)
    else:
        monkeypatch.setattr(delta_triton, "SMALL_GRADIENT", 0)
        monkeypatch.setattr(delta_triton, "PROGRAMS", 4)
    return request.param


def operands(grid, dtype=torch.float32):
    m, n, b, short_in, short_out = grid
    d_out, d_in = m * b - short_out, n * b - short_in
    sizes = (m, n, b), (d_in,), (d_out,), (d_out, d_in)
    w, first, last, weight = (torch.randn(size).to(DEVICE, dtype) for size in sizes)
    for t in (w, first, last, weight):
        t.view(-1)[0] = 30.0  # an outlier
    return w, first, last, weight


def exact(*tensors):
    return [t.double().cpu() if isinstance(t, torch.Tensor) else t for t in tensors]


@both_layouts
@every_grid
@pytest.mark.parametrize("dtype", PROMISED, ids=str)
def test_matrix(grid, layout, dtype, rounded, error, poisoned, launched):
    w, first, last, weight = operands(grid)
    weight = weight.to(dtype)
    is_small = w.shape[-1] < 200  # the interpreter is slow
    for with_in, with_out, with_weight in product([False, True], repeat=3) if is_small else [(True,) * 3]:
        given = first if with_in else None, last if with_out else None, weight if with_weight else None
        matrix = delta_weight(w, layout, 0.7, *given[:2], len(last), len(first), dtype, given[2])
        of_torch = delta_torch.matrix(*exact(w, layout, 0.7, *given[:2], len(last), len(first), given[2]))
        assert matrix.dtype == dtype and error(matrix.cpu(), of_torch) <= PROMISED[dtype]
        assert len(launched) == 1
        launched.clear()


@both_layouts
@every_grid
def test_the_same_bits_as_in_torch(grid, layout):
    w, first, last, weight = operands(grid)
    for diagonals in ((None, None), (first, last)):
        arguments = w, layout, 0.7, *diagonals, len(last), len(first)
        in_torch = delta_torch.matrix(*arguments, weight)
        assert torch.equal(delta_weight(*arguments, weight=weight), in_torch)


@both_layouts
@every_grid
def test_kernel_gradient_is_the_transpose_and_deterministic(grid, layout, sharing, error, poisoned, launched):
    w, first, last, gradient = operands(grid)
    m, n, b = w.shape
    is_small = b < 130  # the interpreter is slow
    for diagonals in ((None, None), (first, None), (first, last)) if is_small else ((first, last),):
        for given in (gradient, gradient.half(), gradient.T.contiguous().T) if is_small else (gradient,):
            dw = kernel_from_delta(given, m, n, b, layout, 0.3, *diagonals)
            true = delta_torch.kernel_gradient(*exact(given, m, n, b, layout, 0.3, *diagonals))
            assert dw.dtype == torch.float32 and error(dw.cpu(), true) < 1e-6
            assert torch.equal(dw, kernel_from_delta(given, m, n, b, layout, 0.3, *diagonals))
        matrix = delta_weight(w, layout, 0.3, *diagonals, *gradient.shape)
        pairs = (matrix.double() * given.double()).sum(), (w.double() * dw.double()).sum()
        torch.testing.assert_close(*pairs, rtol=1e-5, atol=1e-2)
    assert set(launched) == {"kernel_gradient", "fill"}


@both_layouts
@every_grid
def test_diagonal_gradients(grid, layout, error, poisoned, launched):
    w, first, last, gradient = operands(grid)
    for diagonals in ((first, last), (first, None), (None, last)) if w.shape[-1] < 200 else ((first, last),):
        ours = diagonals_from_delta(gradient, w, layout, 0.3, *diagonals)
        true = delta_torch.diagonal_gradients(*exact(gradient, w, layout, 0.3, *diagonals))
        for value, of, diagonal in zip(ours, true, diagonals, strict=True):
            assert (value is None) == (diagonal is None)
            assert value is None or value.shape == diagonal.shape and error(value.cpu(), of) < 1e-6
        again = diagonals_from_delta(gradient, w, layout, 0.3, *diagonals)
        assert all(a is b or torch.equal(a, b) for a, b in zip(ours, again, strict=True))
    assert set(launched) == {"diagonal_gradients"}


@both_layouts
@pytest.mark.parametrize("dtype", PROMISED, ids=str)
def test_backend_dense(layout, dtype, rounded, error, launched):
    w, first, last, _ = operands((2, 3, 12, 1, 2))
    x = torch.randn(9, len(first)).to(DEVICE, dtype)
    x[:, 5] *= 30  # an outlier channel
    base = torch.randn(9, len(last)).to(DEVICE, dtype)
    inputs = [t.requires_grad_() for t in (x, w, first, last, base)]
    g = torch.randn(9, len(last)).to(DEVICE, dtype)
    y = diagonal_circulant_matmul(*inputs, 0.7, layout, "dense")
    true_inputs = [t.detach().cpu().double().requires_grad_() for t in inputs]
    true = diagonal_circulant_matmul(*true_inputs, 0.7, layout, "reference")
    values = y, *torch.autograd.grad(y, inputs, g)
    truths = true, *torch.autograd.grad(true, true_inputs, g.cpu().double())
    for value, of in zip(values, truths, strict=True):
        assert error(value.cpu(), of) <= {**PROMISED, torch.float32: 1e-5}[dtype]
    assert launched == ["fill", "fill", "kernel_gradient", "diagonal_gradients"]


def test_small_changes_keep_their_digits_in_float16(error):
    w = torch.randn(1, 1, 64).to(DEVICE) * 1e-5
    x = torch.randn(16, 64).to(DEVICE, torch.float16)
    base = torch.zeros(16, 64, device=DEVICE)
    y = diagonal_circulant_matmul(x, w, base=base, layout="row", backend="dense")
    assert error(y.cpu(), (x.double() @ block_circulant(w.double(), "row").T).cpu()) < 1e-3


@both_layouts
def test_folding_and_the_block_circulant_matrix_are_one_launch_each(layout, error, launched):
    w, _, _, weight = operands((3, 2, 16, 0, 0))
    x = torch.randn(5, 32).to(DEVICE)
    assert error(block_circulant(w, layout).cpu(), block_circulant(w.double().cpu(), layout)) == 0
    assert launched == ["fill"]
    with torch.no_grad():
        y = adapted_linear(x, weight, None, w, 0.3, layout)
    assert launched == ["fill"] * 2
    true = x.double() @ (weight.double() + 0.3 * block_circulant(w.double(), layout)).T
    assert error(y.cpu(), true.cpu()) < 1e-6


def test_others_are_left_to_torch(launched):
    w = torch.randn(2, 1, 5, dtype=torch.float64, device=DEVICE)
    matrix = delta_weight(w, "row")
    torch.testing.assert_close(kernel_from_delta(matrix, 2, 1, 5, "row"), w * 5)
    assert torch.equal(block_circulant(torch.arange(3, device=DEVICE)[None, None]).cpu()[0], torch.tensor([0, 2, 1]))
    assert not launched
