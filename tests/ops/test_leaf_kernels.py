"""The Triton kernels of backend "leaf", compiled on a GPU, or in Triton's interpreter on a CPU, against float64.

The interpreter needs ``TRITON_INTERPRET=1`` and an installed triton, which `make test` keeps in a folder of its own.
"""

import os
from itertools import product

import pytest
import torch

from circpeft.ops import adapted_linear, block_circular_kernel_grad, block_circular_matmul, diagonal_circulant_matmul
from circpeft.ops.backends import leaf_tiles, leaf_torch, leaf_triton
from circpeft.ops.backends.leaf_algebra import coarse_size
from circpeft.ops.triton_launch import Kernels

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if not INTERPRETED and not torch.cuda.is_available():
    pytest.skip("needs a GPU, or TRITON_INTERPRET=1", allow_module_level=True)
pytest.importorskip("triton")
pytestmark = [pytest.mark.usefixtures("one_thread", "rounded"), pytest.mark.filterwarnings("error")]
# (m, n, b, inputs short of whole blocks, outputs short, tokens), with the R of b: as R = b, with R a power of two and
# not, with one and several numbers of a block per leaf, with one tile and several
SHAPES = {
    (1, 1, 8, 0, 0, 7): 8,
    (3, 1, 10, 0, 4, 5): 10,
    (2, 1, 16, 3, 2, 4): 16,
    (2, 5, 24, 0, 0, 5): 24,
    (1, 2, 32, 0, 7, 3): 32,
    (2, 3, 48, 0, 0, 1): 48,
    (1, 2, 64, 5, 1, 2): 64,
    (17, 1, 64, 0, 0, 2): 64,
    (1, 1, 80, 0, 0, 2): 20,
    (3, 2, 96, 0, 5, 2): 24,
    (1, 2, 128, 60, 0, 3): 32,
    (1, 1, 176, 0, 0, 2): 44,
    (2, 1, 256, 0, 1, 2): 32,
    (1, 1, 768, 0, 0, 1): 32,
    (1, 1, 1024, 0, 0, 1): 64,
}
PARTS = list(product([False, True], repeat=3))
DEVICE = "cpu" if INTERPRETED else "cuda"
PROMISED = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 5e-3}


@pytest.fixture(autouse=True)
def launched(monkeypatch):
    """Few programs share each sum, so that all have several terms. Return the names of the kernels that were run."""
    monkeypatch.setattr(leaf_tiles, "SHARES", {"tokens": 3, "shifts": 4})
    launch, names = Kernels.launch, []
    monkeypatch.setattr(
        Kernels, "launch", lambda kernels, name, *a, **o: (names.append(name), launch(kernels, name, *a, **o))
    )
    return names


def randn(*size, dtype=torch.float32):
    return torch.randn(*size, dtype=dtype).to(DEVICE)


def operands(shape, with_in, with_out, with_base, dtype=torch.float32):
    m, n, b, short_in, short_out, tokens = shape
    d_in, d_out = n * b - short_in, m * b - (short_out if with_out or with_base else 0)
    tensors = (
        randn(tokens, d_in, dtype=dtype),
        randn(m, n, b) / b**0.5,
        randn(d_in) if with_in else None,
        randn(d_out) if with_out else None,
        randn(tokens, d_out, dtype=dtype) if with_base else None,
    )
    return [None if t is None else t.requires_grad_() for t in tensors]


def values(inputs, backend, layout, g):
    y = diagonal_circulant_matmul(*inputs, 0.7, layout, backend)
    return y, *torch.autograd.grad(y, [t for t in inputs if t is not None], g.to(y.dtype))


def check(shape, layout, dtype, parts, error, outliers=False):
    inputs = operands(shape, *parts, dtype)
    if outliers:  # large channels, as in real models
        inputs[0].detach()[:, 5] *= 50
        inputs[0].detach()[:, -3] *= 30
    short_out = shape[4] if parts[1] or parts[2] else 0
    g = randn(shape[5], shape[0] * shape[2] - short_out, dtype=dtype)
    exact = [None if t is None else t.detach().cpu().double().requires_grad_() for t in inputs]
    truth = values(exact, "reference", layout, g.cpu())
    for value, true in zip(values(inputs, "leaf", layout, g), truth, strict=True):
        assert error(value.cpu(), true) <= PROMISED[dtype]


@pytest.mark.parametrize("layout", ["column", "row"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", PROMISED, ids=str)
@pytest.mark.parametrize("everything", [False, True])
def test_value_and_gradients(shape, layout, dtype, everything, poisoned, error, launched):
    if shape[2] > 200 and (dtype != torch.float32 or not everything):
        pytest.skip("the interpreter, and the compiler, are slow: large blocks in float32, with all parts")
    if shape[2] == 8 and dtype != torch.float32:
        pytest.skip("the errors of eight numbers do not average")
    assert coarse_size(shape[2]) == SHAPES[shape]
    check(shape, layout, dtype, (everything,) * 3, error)
    assert set(launched) >= {"leaf_matrices", "transform", "inverse", "kernel_gradient"}
    assert ("inverse_and_sum" in launched) == everything


@pytest.mark.parametrize("layout", ["column", "row"])
@pytest.mark.parametrize("shape", [(1, 1, 80, 0, 0, 12), (2, 2, 64, 0, 0, 12), (2, 1, 128, 0, 0, 8)], ids=str)
@pytest.mark.parametrize("dtype", PROMISED, ids=str)
def test_outlier_channels(shape, layout, dtype, error):
    check(shape, layout, dtype, (False, False, True), error, outliers=True)


def test_offsets_of_64_bits(error, monkeypatch):
    monkeypatch.setattr(leaf_triton, "LARGE", 1)
    check((2, 1, 16, 3, 2, 4), "row", torch.float32, (True, True, True), error)
    check((2, 1, 16, 0, 0, 4), "row", torch.float32, (False, False, True), error)


@pytest.mark.parametrize("layout", ["column", "row"])
@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_every_combination_of_diagonals_and_base(parts, layout, error):
    check((2, 1, 80, 3, 2, 4), layout, torch.float32, parts, error)


def test_product_and_kernel_gradient_without_diagonals(error, launched):
    x, g, w = randn(2, 3, 48), randn(2, 3, 72), randn(3, 2, 24)
    for layout in ("column", "row"):
        values = block_circular_matmul(x, w, layout, "leaf"), block_circular_kernel_grad(g, x, 24, layout, "leaf")
        true = block_circular_matmul(x, w, layout, "rfft"), block_circular_kernel_grad(g, x, 24, layout, "rfft")
        assert all(error(a, b) < 1e-6 for a, b in zip(values, true, strict=True))
    once = ["leaf_matrices", "transform", "inverse"], ["transform", "transform", "kernel_gradient"]
    assert launched == [*once[0], *once[1]] * 2


@pytest.mark.parametrize("shape", [(2, 1, 7, 0, 0, 3), (1, 1, 66, 0, 0, 3), (1, 1, 32, 0, 0, 0)], ids=str)
def test_sizes_without_a_kernel_and_no_tokens_are_left_to_others(shape, launched):
    m, n, b, _, _, tokens = shape
    inputs = [t.requires_grad_() for t in (randn(tokens, n * b), randn(m, n, b))]
    g = randn(tokens, m * b)
    truth = [t.detach().cpu().double().requires_grad_() for t in inputs]
    ours, true = (
        values([*inputs, None, None, None], "leaf", "row", g),
        values([*truth, None, None, None], "rfft", "row", g.cpu()),
    )
    for a, b_ in zip(ours, true, strict=True):
        torch.testing.assert_close(a.cpu().double(), b_, rtol=1e-4, atol=1e-4)
    assert not launched


def test_float64_is_left_to_torch(launched):
    inputs = [t.detach().double().requires_grad_() for t in operands((1, 1, 24, 0, 0, 3), True, True, True)]
    assert torch.autograd.gradcheck(lambda *t: diagonal_circulant_matmul(*t, 0.5, "row", "leaf"), inputs)
    assert not launched


def test_strided_and_expanded_inputs_and_deterministic_gradients():
    _, w, a, o, base = operands((1, 1, 16, 0, 0, 6), True, True, True)
    for x in (randn(16, 6).T, randn(16).expand(6, 16), randn(12, 16)[::2]):
        leaf = x.detach().requires_grad_()
        y = diagonal_circulant_matmul(leaf, w, a, o, base, 1.0, "row", "leaf")
        torch.testing.assert_close(y, diagonal_circulant_matmul(x, w, a, o, base, 1.0, "row", "rfft"))
        once, again = (torch.autograd.grad(y.sum(), (leaf, w, a, o), retain_graph=True) for _ in range(2))
        assert all(torch.equal(p, q) for p, q in zip(once, again, strict=True))


def test_strided_kernels_and_diagonals():
    x, *factors, _ = operands((2, 2, 16, 3, 1, 5), True, True, False)
    strided = [torch.stack((t, -t), -1).detach()[..., 0] for t in factors]
    y = diagonal_circulant_matmul(x, *strided, layout="row", backend="leaf")
    torch.testing.assert_close(
        y, diagonal_circulant_matmul(x, *factors, layout="row", backend="rfft"), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("dtype", PROMISED, ids=str)
def test_parameters_and_base_of_other_dtypes(dtype, error):
    """The operator promises the dtype of the base output, and gradients in the dtypes of what they belong to."""
    x, w, base = randn(3, 64, dtype=dtype), randn(2, 2, 32).bfloat16(), randn(3, 64)
    inputs = [t.requires_grad_() for t in (x, w)]
    y = diagonal_circulant_matmul(*inputs, base=base, scale=2.0, backend="leaf")
    assert y.dtype == torch.float32
    gradients = torch.autograd.grad(y, inputs, base)
    assert [t.dtype for t in gradients] == [dtype, torch.bfloat16]
    exact = [t.detach().double().requires_grad_() for t in inputs]
    true = diagonal_circulant_matmul(*exact, base=base.double(), scale=2.0, backend="reference")
    assert error(y, true) <= PROMISED[dtype]
    assert all(
        error(a, b) < 1e-2 for a, b in zip(gradients, torch.autograd.grad(true, exact, base.double()), strict=True)
    )


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("dtype", PROMISED, ids=str)
def test_one_function_with_the_frozen_product(dtype, everything, error, launched):
    """The adapter's product and input gradient are added in place to those of the frozen layer."""
    x, w, first, last, bias = operands((1, 2, 64, 5, 1, 3), everything, everything, False)
    weight, bias = randn(63, 123) / 11, randn(63)
    x, weight, bias = (t.detach().to(dtype).requires_grad_() for t in (x, weight, bias))
    given = [x, weight, bias, w, first, last]
    exact = [None if t is None else t.detach().cpu().double().requires_grad_() for t in given]
    g, results = randn(3, 63, dtype=dtype), []
    for tensors, backend in ((given, "leaf"), (exact, "reference")):
        y = adapted_linear(*tensors[:4], 0.7, "row", *tensors[4:], backend)
        gradients = torch.autograd.grad(y, [t for t in tensors if t is not None], g.to(y))
        results.append((y, *gradients))
    for value, true in zip(*results, strict=True):
        assert error(value.cpu(), true) <= PROMISED[dtype]
    assert {"transform", "inverse"} <= set(launched) and ("inverse_and_sum" in launched) == everything


def test_a_kernel_that_fails_names_itself_and_torch_takes_over(monkeypatch):
    inputs = operands((1, 1, 24, 0, 0, 3), True, True, True)
    expected = torch.empty(3, 24, device=DEVICE)
    leaf_torch.diagonal_matmul(
        *(t.detach() for t in inputs[:2]), "row", *(t.detach() for t in inputs[2:]), expected, 1.0
    )
    monkeypatch.setattr(leaf_triton.KERNELS, "failed", False)
    monkeypatch.setattr(leaf_tiles, "power_of_two", lambda n: 33)  # not a tile that Triton has
    with pytest.warns(
        UserWarning,
        match="kernel 'leaf_matrices' with m=1, n=1, R=24, RP=33, e=1, .*torch computes the products of backend 'leaf'",
    ):
        y = diagonal_circulant_matmul(*inputs, 1.0, "row", "leaf")
    assert torch.equal(y, expected)
    assert torch.equal(diagonal_circulant_matmul(*inputs, 1.0, "row", "leaf"), expected)  # without a second warning
