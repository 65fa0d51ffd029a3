"""The adapted convolution: outputs and gradients against a dense weight, second derivatives, and what is saved."""

import pytest
import torch
from torch.nn.functional import conv2d

from circpeft import block_circulant
from circpeft.ops.convolution import Window, adapted_conv2d

# channels, outputs, block size, window, images; with diagonals or not, with a weight or not
CASES = {
    "odd": (3, 5, 1, Window((3, 3), padding=(1, 1)), 2, False, True),
    "prime": (7, 11, 7, Window((1, 1)), 1, True, True),
    "rectangular": (4, 6, 2, Window((3, 1), (2, 1), (1, 0), (1, 2)), 3, False, False),
    "padded blocks": (3, 5, 4, Window((1, 2), dilation=(1, 2)), 2, True, False),
    "groups": (4, 6, 2, Window((2, 2), (2, 1), groups=2), 2, True, True),
    "depthwise": (3, 6, 3, Window((3, 3), padding=(2, 2), groups=3), 1, False, True),
}


def arguments(channels, d_out, b, window, images, diagonals, weight, dtype=torch.float64):
    def tensor(*shape):
        return torch.randn(*shape, dtype=dtype, requires_grad=True)

    inner = channels // window.groups
    d_in = inner * window.size[0] * window.size[1]
    return (
        tensor(images, channels, 5, 4),
        tensor(d_out, inner, *window.size) if weight else None,
        tensor(d_out) if weight else None,
        tensor(-(-d_out // b), -(-d_in // b), b),
        tensor(d_in) if diagonals else None,
        tensor(d_out) if diagonals else None,
    )


def adapted(x, weight, bias, w, first, last, window, layout):
    return adapted_conv2d(x, weight, bias, w, window, 0.7, layout, first, last)


def dense(x, weight, bias, w, first, last, window, layout):
    d_out = w.shape[0] * w.shape[2] if last is None else len(last)
    d_out = d_out if weight is None else len(weight)
    channels = x.shape[1] // window.groups
    delta = 0.7 * block_circulant(w, layout)[:d_out, : channels * window.size[0] * window.size[1]]
    delta = delta if first is None else delta * first
    delta = delta if last is None else last[:, None] * delta
    delta = delta.view(d_out, channels, *window.size)
    return conv2d(x, delta if weight is None else weight + delta, bias, *window[1:])


@pytest.mark.parametrize("layout", ["row", "column"])
@pytest.mark.parametrize("case", CASES)
def test_outputs_and_all_gradients_are_those_of_the_dense_weight(case, layout):
    tensors, window = arguments(*CASES[case]), CASES[case][3]
    wanted = [t for t in tensors if t is not None]
    y, truth = (function(*tensors, window, layout) for function in (adapted, dense))
    torch.testing.assert_close(y, truth)
    g = torch.randn_like(y)
    for gradient, true_gradient in zip(*(torch.autograd.grad(out, wanted, g) for out in (y, truth)), strict=True):
        torch.testing.assert_close(gradient, true_gradient)


@pytest.mark.parametrize("case", ["rectangular", "groups"])
def test_gradcheck_and_gradgradcheck(case):
    channels, d_out, b, window, *rest = CASES[case]
    tensors = arguments(channels, d_out, b, window, *rest)
    present = [i for i, t in enumerate(tensors) if t is not None]

    def function(*given):
        filled = [None] * 6
        for i, t in zip(present, given, strict=True):
            filled[i] = t
        return adapted(*filled, window, "row")

    inputs = [tensors[i] for i in present]
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


def test_a_kernel_that_the_input_depends_on_has_the_right_second_derivative():
    x, _, _, w, *_ = arguments(*CASES["rectangular"])
    window = CASES["rectangular"][3]

    def second(function):
        y = function(x * w.sum(), None, None, w, None, None, window, "row")
        (first,) = torch.autograd.grad(y.square().sum(), w, create_graph=True)
        return torch.autograd.grad(first.square().sum(), w)[0]

    torch.testing.assert_close(second(adapted), second(dense))


def test_only_the_arguments_are_saved_for_the_backward_pass():
    tensors, window = arguments(*CASES["groups"]), CASES["groups"][3]
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        adapted(*tensors, window, "row")
    assert {t.data_ptr() for t in saved} <= {t.data_ptr() for t in tensors if t is not None}


def test_transforms_of_torch_func():
    tensors, window = arguments(*CASES["groups"]), CASES["groups"][3]
    x, weight, bias, w, first, last = (None if t is None else t.detach() for t in tensors)

    def loss(function):
        return lambda w, x: function(x[None], weight, bias, w, first, last, window, "row").square().sum()

    per_sample, truth = (
        torch.func.vmap(torch.func.grad(loss(function)), (None, 0))(w, x) for function in (adapted, dense)
    )
    torch.testing.assert_close(per_sample, truth)
    tangent = torch.randn_like(w)
    forward, truth = (
        torch.func.jvp(lambda w, f=function: loss(f)(w, x[0]), (w,), (tangent,))[1] for function in (adapted, dense)
    )
    torch.testing.assert_close(forward, truth)


def test_bfloat16_is_as_exact_as_its_rounding(error):
    tensors, window = arguments(*CASES["prime"][:-1], False), CASES["prime"][3]
    x, _, _, *factors = (None if t is None else t.detach() for t in tensors)
    half = x.bfloat16()
    y = adapted(half, None, None, *(f.float() for f in factors), window, "row")
    assert y.dtype == torch.bfloat16
    assert error(y, dense(half.double(), None, None, *factors, window, "row")) < 5e-3
