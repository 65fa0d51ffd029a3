"""Gradients with ``create_graph=True`` are those without it, for every operator, backend, layout and argument.

The backward passes have two forms: a fast one, and one that can be differentiated again. `gradcheck` sees only the
first, and `gradgradcheck` compares the second with differences of itself, so a wrong sign in it passes both.
"""

import pytest
import torch

from circpeft.ops import (
    adapted_linear,
    available_backends,
    block_circular_kernel_grad,
    block_circular_matmul,
    diagonal_backward,
    diagonal_circulant_matmul,
    use_backend,
)

pytestmark = pytest.mark.usefixtures("one_thread")
BACKENDS = available_backends()
# Batch, rows and columns of blocks, block size, and the inputs and outputs that the last blocks lack. b = 16 and b = 24
# suit the leaf; the others are odd, prime or 1.
SHAPES = [
    ((3,), 2, 3, 5, 0, 0),
    ((2, 2), 1, 2, 7, 3, 2),
    ((4,), 3, 1, 4, 1, 0),
    ((), 1, 1, 1, 0, 0),
    ((0,), 2, 1, 3, 0, 1),
    ((2,), 1, 2, 16, 5, 0),
    ((3,), 2, 1, 24, 0, 7),
]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
both_layouts = pytest.mark.parametrize("layout", ["column", "row"])
every_backend = pytest.mark.parametrize("backend", BACKENDS)


def arguments(shape, *names):
    batch, m, n, b, short_in, short_out = shape
    d_in, d_out = n * b - short_in, m * b - short_out
    sizes = {
        "x": (*batch, d_in),
        "w": (m, n, b),
        "diagonal_in": (d_in,),
        "diagonal_out": (d_out,),
        "base": (*batch, d_out),
        "weight": (d_out, d_in),
        "bias": (d_out,),
        "blocks_in": (*batch, n * b),
        "blocks_out": (*batch, m * b),
    }
    return [torch.randn(sizes[name], dtype=torch.float64, requires_grad=True) for name in names]


def both_gradients(function, inputs):
    """Return the gradients of a scalar of the result: without, and with a graph of their own."""
    y = function(*inputs)
    g = torch.randn_like(y)
    plain = torch.autograd.grad(function(*inputs), inputs, g)
    with_graph = torch.autograd.grad(y, inputs, g, create_graph=True)
    return plain, with_graph


def assert_same_gradients(function, inputs):
    torch.testing.assert_close(*both_gradients(function, inputs))
    for k, one in enumerate(inputs):  # each by itself: what is not needed is not computed

        def of_one(value, k=k):
            fixed = [t.detach() for t in inputs]
            return function(*fixed[:k], value, *fixed[k + 1 :])

        torch.testing.assert_close(*both_gradients(of_one, [one]))


@every_shape
@both_layouts
@every_backend
def test_the_product_and_its_kernel_gradient(shape, layout, backend):
    b = shape[3]
    assert_same_gradients(lambda x, w: block_circular_matmul(x, w, layout, backend), arguments(shape, "blocks_in", "w"))
    assert_same_gradients(
        lambda g, x: block_circular_kernel_grad(g, x, b, layout, backend),
        arguments(shape, "blocks_out", "blocks_in"),
    )


@every_shape
@both_layouts
@every_backend
def test_the_product_with_diagonals(shape, layout, backend):
    inputs = arguments(shape, "x", "w", "diagonal_in", "diagonal_out", "base")
    assert_same_gradients(lambda *given: diagonal_circulant_matmul(*given, 0.3, layout, backend), inputs)


@every_shape
@both_layouts
@pytest.mark.parametrize("backend", ["auto", "fold", *BACKENDS])
def test_the_adapted_layer(shape, layout, backend):
    x, weight, bias, w, *diagonals = arguments(shape, "x", "weight", "bias", "w", "diagonal_in", "diagonal_out")
    assert_same_gradients(
        lambda x, weight, bias, w: adapted_linear(x, weight, bias, w, 0.3, layout, backend=backend),
        [x, weight, bias, w],
    )
    assert_same_gradients(
        lambda *given: adapted_linear(*given[:4], 0.3, layout, *given[4:], backend), [x, weight, bias, w, *diagonals]
    )


@every_backend
def test_a_wrong_sign_in_the_gradients_with_a_graph_is_noticed(backend, monkeypatch):
    right = diagonal_backward.differentiable_gradients

    def wrong(*given):
        dx, dw, *rest = right(*given)
        return [dx, None if dw is None else -dw, *rest]

    monkeypatch.setattr(diagonal_backward, "differentiable_gradients", wrong)
    inputs = arguments(SHAPES[0], "x", "w", "diagonal_in", "diagonal_out")

    def product(*given):
        with use_backend(backend):
            return diagonal_circulant_matmul(*given, layout="row")

    plain, with_graph = both_gradients(product, inputs)
    if backend == "reference":  # differentiated step by step: there is only one form
        torch.testing.assert_close(plain, with_graph)
    else:
        torch.testing.assert_close(plain[1], -with_graph[1])
