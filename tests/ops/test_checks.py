"""Errors of the operators: each names the value and says what was expected."""

import pytest
import torch

import circpeft
from circpeft.ops import block_circular_kernel_grad


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x, w: circpeft.circulant(x, layout="colum"), ValueError, ["'colum'", "'column'"]),
        (lambda x, w: circpeft.block_circulant(w, layout="rows"), ValueError, ["'rows'", "'row'"]),
        (lambda x, w: circpeft.circulant(torch.tensor(1.0)), ValueError, ["b >= 1", "()"]),
        (lambda x, w: circpeft.circulant(torch.empty(3, 0)), ValueError, ["b >= 1", "(3, 0)"]),
        (lambda x, w: circpeft.block_circulant(w[0]), ValueError, ["(m, n, b)", "(3, 4)"]),
        (lambda x, w: circpeft.block_circulant(w[:0]), ValueError, ["(0, 3, 4)"]),
        (lambda x, w: circpeft.block_circular_matmul(x[..., 1:], w), ValueError, ["(5, 11)", "3*4 = 12"]),
        (lambda x, w: circpeft.block_circular_matmul(x[0, 0], w), ValueError, ["()", "12"]),
        (lambda x, w: circpeft.block_circular_matmul(x, w[0]), ValueError, ["(m, n, b)", "(3, 4)"]),
        (lambda x, w: circpeft.block_circular_matmul(x, w, layout="Row"), ValueError, ["'Row'", "'row'"]),
        (lambda x, w: circpeft.block_circular_matmul(x, w, backend="fft"), ValueError, ["'fft'", "'rfft'", "auto"]),
        (lambda x, w: circpeft.block_circular_matmul(x.int(), w), TypeError, ["x", "int32"]),
        (lambda x, w: circpeft.block_circular_matmul(x, w.cfloat()), TypeError, ["w", "complex64"]),
        (lambda x, w: circpeft.block_circular_matmul(x, w.to("meta")), ValueError, ["cpu", "meta"]),
        (lambda x, w: circpeft.block_circular_matmul(x.to(torch.float8_e4m3fn), w), TypeError, ["x", "float8_e4m3fn"]),
        (lambda x, w: block_circular_kernel_grad(x.long(), x.long(), 4), TypeError, ["g", "int64"]),
        (lambda x, w: block_circular_kernel_grad(x, x.cfloat(), 4), TypeError, ["x", "complex64"]),
        (lambda x, w: block_circular_kernel_grad(x[0, 0], x[0, 0], 4), ValueError, ["g: ()", "b=4"]),
        (lambda x, w: block_circular_kernel_grad(x[:, :0], x, 4), ValueError, ["(5, 0)", "n*b"]),
        (lambda x, w: block_circular_kernel_grad(x, x, 5), ValueError, ["(5, 12)", "b=5"]),
        (lambda x, w: block_circular_kernel_grad(x, x, 0), ValueError, ["b=0"]),
        (lambda x, w: block_circular_kernel_grad(x, x[1:], 4), ValueError, ["(4, 12)", "equal batch shapes"]),
        (lambda x, w: block_circular_kernel_grad(x.to("meta"), x, 4), ValueError, ["x is on cpu and g on meta"]),
        (lambda x, w: circpeft.available_backends("gpu0"), RuntimeError, ["gpu0"]),
    ],
)
def test_errors_name_the_value_and_the_expectation(call, error, words):
    with pytest.raises(error) as raised:
        call(torch.randn(5, 12), torch.randn(2, 3, 4))
    for word in words:
        assert word in str(raised.value)
