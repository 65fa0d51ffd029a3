"""Folding an adapted linear layer: values and derivatives of the dense sum, and saving only the arguments."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import circpeft.ops.fold
from circpeft import adapted_linear, block_circulant
from circpeft.ops.triton_launch import Kernels

pytestmark = pytest.mark.usefixtures("one_thread")
both_layouts = pytest.mark.parametrize("layout", ["column", "row"])
SHAPES = [(1, 1, 1, ()), (2, 3, 4, (2, 3)), (1, 2, 5, (3,)), (3, 1, 7, (0,)), (1, 1, 13, (2,)), (2, 2, 16, (1, 2))]


def arguments(m, n, b, batch, dtype=torch.float64):
    sizes = ((*batch, n * b), (m * b, n * b), (m * b,), (m, n, b))
    return [torch.randn(size, dtype=dtype, requires_grad=True) for size in sizes]


@both_layouts
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_first_and_second_derivatives(shape, layout):
    def product(x, weight, bias, w):
        return adapted_linear(x, weight, bias, w, 0.5, layout)

    x, weight, bias, w = inputs = arguments(*shape)
    torch.testing.assert_close(product(*inputs), x @ (weight + 0.5 * block_circulant(w, layout)).T + bias)
    assert torch.autograd.gradcheck(product, inputs) and torch.autograd.gradgradcheck(product, inputs)


@both_layouts
@pytest.mark.parametrize("shape", [(1, 1, 768), (3, 2, 128), (1, 2, 383)], ids=str)
def test_error_at_model_sizes_is_within_the_promise(shape, layout, error):
    x, weight, bias, w = arguments(*shape, (40,), torch.float32)
    exact = [t.detach().double().requires_grad_() for t in (x, weight, bias, w)]
    truth = exact[0] @ (exact[1] + block_circulant(exact[3], layout)).T + exact[2]
    g = torch.randn_like(truth)
    y = adapted_linear(x, weight, bias, w, layout=layout)
    values = (y, *torch.autograd.grad(y, (x, weight, bias, w), g.float()))
    for value, true in zip(values, (truth, *torch.autograd.grad(truth, exact, g)), strict=True):
        assert error(value, true) < 1e-5


def test_saves_only_its_arguments_and_not_the_sum():
    x, weight, bias, w = arguments(2, 2, 24, (4,))
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        adapted_linear(x, weight.detach(), None, w)
    assert {t.untyped_storage().data_ptr() for t in saved} <= {t.untyped_storage().data_ptr() for t in (x, weight, w)}


@both_layouts
def test_opcheck_and_compiled_as_one_graph(layout):
    x, weight, bias, w = arguments(2, 3, 4, (5,), torch.float32)
    torch.library.opcheck(torch.ops.circpeft.adapted_matmul, (x, weight, bias, w, None, None, 0.5, layout, False))
    compiled = torch.compile(adapted_linear, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(
        compiled(x, weight, bias, w, 2.0, layout), adapted_linear(x, weight, bias, w, 2.0, layout)
    )


def test_errors_name_what_does_not_fit():
    x, weight, bias, w = arguments(2, 3, 4, (5,))
    with pytest.raises(ValueError, match=r"weight of shape \(12, 8\) does not fit .*\(8, 12\)"):
        adapted_linear(x, weight.T, bias, w)
    with pytest.raises(ValueError, match="one dtype and one device, got x torch.float32"):
        adapted_linear(x.float(), weight, bias, w)


@pytest.mark.parametrize("batch", [(), (7,), (3, 5)], ids=str)
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_zero_change_gives_the_bits_of_the_frozen_layer(batch, with_bias):
    x, weight, bias, w = arguments(2, 3, 16, batch, torch.float32)
    bias = bias if with_bias else None
    assert torch.equal(adapted_linear(x, weight, bias, w * 0), torch.nn.functional.linear(x, weight, bias))


@both_layouts
@pytest.mark.parametrize("shape", [*SHAPES, (3, 2, 40, (4,)), (40, 3, 2, (2, 2))], ids=str)
@pytest.mark.parametrize("numbers", [1, 60, 300])
@pytest.mark.parametrize("with_bias", [True, False])
def test_in_bands_equals_at_once(shape, layout, numbers, with_bias, monkeypatch, poisoned):
    x, weight, bias, w = arguments(*shape)
    inputs = (x, weight, bias if with_bias else None, w, 0.5, layout)
    wanted = [t for t in inputs[:4] if t is not None]
    y = adapted_linear(*inputs)
    g = torch.randn_like(y)
    at_once = y, *torch.autograd.grad(y, wanted, g)
    monkeypatch.setattr(circpeft.ops.fold, "BAND_NUMBERS", numbers)
    bands = adapted_linear(*inputs)
    torch.testing.assert_close((bands, *torch.autograd.grad(bands, wanted, g)), at_once)


class Products(TorchDispatchMode):
    """Count matrix products, and record the size of the largest tensor that is made for them."""

    def __init__(self, *arguments):
        super().__init__()
        self.given, self.number, self.largest = {t.untyped_storage().data_ptr() for t in arguments}, 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.number += func._overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm)
        if isinstance(out, torch.Tensor) and out.untyped_storage().data_ptr() not in self.given:
            self.largest = max(self.largest, out.untyped_storage().nbytes() // out.element_size())
        return out


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("numbers", "in_bands"), [(400, False), (200, False), (199, True), (100, True)])
def test_a_weight_larger_than_two_bands_is_never_copied_as_a_whole(numbers, in_bands, transposed, monkeypatch):
    monkeypatch.setattr(circpeft.ops.fold, "BAND_NUMBERS", numbers)
    x, weight, _, w = (t.detach() for t in arguments(2, 2, 10, (3,)))
    with Products(x, weight, w) as seen:
        circpeft.ops.fold._compute(x, weight, None, w, None, None, 0.5, "row", transposed)
    assert (seen.number > 1, seen.largest < weight.numel()) == (in_bands, in_bands)


@pytest.mark.parametrize("changed", ["input diagonal", "output diagonal", "incomplete blocks"])
def test_only_whole_blocks_without_diagonals_are_summed_in_bands(changed, monkeypatch):
    monkeypatch.setattr(circpeft.ops.fold, "BAND_NUMBERS", 100)
    x, weight, _, w = (t.detach() for t in arguments(2, 2, 10, (3,)))
    first = torch.randn(20, dtype=x.dtype) if changed == "input diagonal" else None
    last = torch.randn(20, dtype=x.dtype) if changed == "output diagonal" else None
    weight = weight[:19] if changed == "incomplete blocks" else weight
    with Products(x, weight, w) as seen:
        y = circpeft.ops.fold._compute(x, weight, None, w, first, last, 0.5, "row", False)
    delta = 0.5 * block_circulant(w, "row")[: len(weight)]
    delta = delta if first is None else delta * first
    delta = delta if last is None else delta * last[:, None]
    torch.testing.assert_close(y, x @ (weight + delta).T)
    assert seen.number == 1


def test_on_a_gpu_the_sum_is_one_launch_at_any_size(monkeypatch):
    launched = []
    monkeypatch.setattr(Kernels, "launch", lambda kernels, name, *a, **o: launched.append(name))
    monkeypatch.setattr(Kernels, "are_usable", lambda kernels, device: True)
    x, weight, w = (torch.empty(size, device="meta") for size in ((4, 4096), (4096, 4096), (2, 2, 2048)))
    assert weight.numel() > 2 * circpeft.ops.fold.BAND_NUMBERS
    assert circpeft.ops.fold._compute(x, weight, None, w, None, None, 0.5, "row", False).shape == (4, 4096)
    assert launched == ["fill"]
