"""The block-circulant product: values and derivatives, for every backend, layout, shape and dtype."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from circpeft import available_backends, block_circulant, block_circular_matmul

pytestmark = pytest.mark.usefixtures("one_thread")
BACKENDS = available_backends("cpu")
LAYOUTS = ["column", "row"]
# (m, n, b, batch): b is 1, 2, odd, prime or even; square, wide and tall grids; zero, one or two batch dimensions.
SHAPES = [
    (1, 1, 1, ()),
    (2, 3, 1, (3,)),
    (1, 1, 2, (2, 3)),
    (2, 1, 2, ()),
    (1, 1, 3, (3,)),
    (3, 1, 4, ()),
    (2, 3, 4, (2,)),
    (1, 2, 5, (2, 1)),
    (2, 2, 6, ()),
    (3, 2, 7, (2,)),
    (1, 3, 9, ()),
    (1, 1, 13, (2,)),
    (1, 1, 16, (2,)),
    (2, 1, 3, (0,)),
]
every_backend = pytest.mark.parametrize("backend", BACKENDS)
both_layouts = pytest.mark.parametrize("layout", LAYOUTS)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def operands(shape, dtype=torch.float64, requires_grad=True):
    m, n, b, batch = shape
    x = torch.randn(*batch, n * b, dtype=dtype, requires_grad=requires_grad)
    return x, torch.randn(m, n, b, dtype=dtype, requires_grad=requires_grad)


def product_by_loops(x, w, layout):
    m, n, b = w.shape
    y = torch.zeros(*x.shape[:-1], m * b, dtype=x.dtype)
    for i in range(m):
        for j in range(n):
            for p in range(b):
                for q in range(b):
                    entry = w[i, j, (p - q) % b] if layout == "column" else w[i, j, (q - p) % b]
                    y[..., i * b + p] += entry * x[..., j * b + q]
    return y


def test_the_promised_backends_are_available():
    assert {"reference", "rfft"} <= set(BACKENDS)


@every_backend
@both_layouts
@shapes
def test_value_equals_the_definition(shape, layout, backend):
    x, w = operands(shape, requires_grad=False)
    y = block_circular_matmul(x, w, layout, backend)
    assert y.shape == (*x.shape[:-1], shape[0] * shape[2]) and y.dtype == x.dtype
    torch.testing.assert_close(y, product_by_loops(x, w, layout), rtol=1e-12, atol=1e-12)


@every_backend
@both_layouts
@shapes
def test_gradcheck(shape, layout, backend):
    def product(x, w):
        return block_circular_matmul(x, w, layout, backend)

    inputs = operands(shape)
    assert torch.autograd.gradcheck(product, inputs)
    assert torch.autograd.gradgradcheck(product, inputs)


@every_backend
@both_layouts
@shapes
def test_gradient_of_one_input_only(shape, layout, backend):
    x, w = operands(shape)
    dense_x, dense_w = torch.autograd.grad((x @ block_circulant(w, layout).T).square().sum(), (x, w))
    dx = torch.autograd.grad(block_circular_matmul(x, w.detach(), layout, backend).square().sum(), x)[0]
    dw = torch.autograd.grad(block_circular_matmul(x.detach(), w, layout, backend).square().sum(), w)[0]
    torch.testing.assert_close(dx, dense_x)
    torch.testing.assert_close(dw, dense_w)


PROMISED = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 5e-3}


@every_backend
@both_layouts
@pytest.mark.parametrize("dtype", PROMISED, ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 768), (6, 6, 128), (1, 2, 384), (2, 1, 383)], ids=str)
def test_error_at_model_sizes_is_within_the_promise(shape, dtype, layout, backend, error):
    m, n, b = shape
    x = torch.randn(3, 2, n * b).to(dtype).requires_grad_()
    w = (torch.randn(shape) / b).to(torch.promote_types(dtype, torch.float32)).requires_grad_()
    g = torch.randn(3, 2, m * b).to(dtype)
    x[..., :2].detach().mul_(50)  # outlier channels, as in real models
    exact = [t.detach().double().requires_grad_() for t in (x, w)]
    truth = exact[0] @ block_circulant(exact[1], layout).T
    truths = (truth, *torch.autograd.grad(truth, exact, g.double()))
    y = block_circular_matmul(x, w, layout, backend)
    values = (y, *torch.autograd.grad(y, (x, w), g))
    assert [value.dtype for value in values] == [dtype, dtype, w.dtype]
    for value, true in zip(values, truths, strict=True):
        assert error(value, true) <= PROMISED[dtype]


@given(
    m=st.integers(1, 4),
    n=st.integers(1, 4),
    b=st.integers(1, 40),
    batch=st.lists(st.integers(0, 3), max_size=3),
    layout=st.sampled_from(LAYOUTS),
    backend=st.sampled_from(["auto", *BACKENDS]),
)
def test_any_shape_agrees_with_the_dense_product(m, n, b, batch, layout, backend):
    x, w = operands((m, n, b, batch))
    g = torch.randn(*batch, m * b, dtype=x.dtype)
    y, dense = block_circular_matmul(x, w, layout, backend), x @ block_circulant(w, layout).T
    torch.testing.assert_close(y, dense)
    grads, truths = torch.autograd.grad(y, (x, w), g), torch.autograd.grad(dense, (x, w), g)
    torch.testing.assert_close(grads, truths)


@every_backend
@both_layouts
def test_non_contiguous_inputs(layout, backend):
    x, w = torch.randn(12, 5, dtype=torch.float64).T, torch.randn(4, 6, 2, dtype=torch.float64).permute(2, 1, 0)[:, ::2]
    x.requires_grad_(), w.requires_grad_()
    assert not x.is_contiguous() and not w.is_contiguous()
    y, dense = block_circular_matmul(x, w, layout, backend), x @ block_circulant(w, layout).T
    torch.testing.assert_close(y, dense)
    # the gradient of sum() is expanded, with strides of zero
    torch.testing.assert_close(torch.autograd.grad(y.sum(), (x, w)), torch.autograd.grad(dense.sum(), (x, w)))
