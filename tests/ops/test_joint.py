"""An adapted linear layer as one function: values, derivatives of every order, what it saves, and its errors."""

import itertools

import pytest
import torch
from torch.nn.functional import linear
from torch.utils._python_dispatch import TorchDispatchMode

from circpeft import adapted_linear, block_circulant, use_backend
from circpeft.ops import precision
from circpeft.ops.backends import BACKENDS
from circpeft.ops.watching import watched_ways

pytestmark = pytest.mark.usefixtures("one_thread")
WAYS = ["auto", "fold", *BACKENDS]
every_way = pytest.mark.parametrize("way", WAYS)
both_layouts = pytest.mark.parametrize("layout", ["column", "row"])
# (m, n, b, inputs short of whole blocks, outputs short, batch)
GRIDS = [
    (1, 1, 1, 0, 0, ()),
    (2, 3, 4, 1, 2, (2, 3)),
    (1, 2, 5, 2, 0, (3,)),
    (2, 1, 8, 3, 1, (1, 2)),
    (3, 1, 7, 0, 2, (0,)),
]
PARTS = [(False, False), (True, False), (False, True), (True, True)]


class Counter(TorchDispatchMode):
    """A mode under which operators must be visible."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **kwargs or {})


def operands(grid, with_in=False, with_out=False, dtype=torch.float64):
    m, n, b, short_in, short_out, batch = grid
    d_in, d_out = n * b - short_in, m * b - short_out
    sizes = (
        (*batch, d_in),
        (d_out, d_in),
        (d_out,),
        (m, n, b),
        (d_in,) if with_in else None,
        (d_out,) if with_out else None,
    )
    return [None if size is None else torch.randn(size, dtype=dtype, requires_grad=True) for size in sizes]


def dense(x, weight, bias, w, first, last, scale, layout):
    delta = scale * block_circulant(w, layout)[: len(weight), : weight.shape[1]]
    delta = delta if first is None else delta * first
    delta = delta if last is None else delta * last[:, None]
    return linear(x, weight + delta, bias)


def computed(inputs, layout, way, scale=0.5):
    x, weight, bias, w, first, last = inputs
    return adapted_linear(x, weight, bias, w, scale, layout, first, last, way)


def function_of_present(inputs, layout, way):
    """Return the layer as a function of those inputs that are not None, and these."""

    def of_present(*given):
        values = iter(given)
        return computed([None if t is None else next(values) for t in inputs], layout, way)

    return of_present, [t for t in inputs if t is not None]


@every_way
@both_layouts
@pytest.mark.parametrize("parts", PARTS, ids=str)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_value_and_first_derivatives(grid, parts, layout, way):
    inputs = operands(grid, *parts)
    of_present, present = function_of_present(inputs, layout, way)
    torch.testing.assert_close(of_present(*present), dense(*inputs, 0.5, layout))
    assert torch.autograd.gradcheck(of_present, present)


def second(way: str, layout: str, parts: tuple):
    """Return the parameters of a test that takes about a second: make test has all parts, in one layout."""
    quick = all(parts) and (layout == "row" or way == "auto")
    return pytest.param(way, layout, parts, marks=[] if quick else pytest.mark.full)


SECOND = [second(*case) for case in itertools.product(WAYS, ["column", "row"], PARTS)]


@pytest.mark.parametrize(("way", "layout", "parts"), SECOND, ids=str)
def test_second_derivatives(way, layout, parts):
    inputs = operands(GRIDS[1], *parts)
    of_present, present = function_of_present(inputs, layout, way)
    assert torch.autograd.gradgradcheck(of_present, present)


@every_way
@both_layouts
@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_what_a_counter_sees_has_the_same_values_and_gradients(parts, layout, way):
    inputs = operands((2, 3, 8, 0, 0, (5,)), *parts)
    present = [t for t in inputs if t is not None]
    y = computed(inputs, layout, way)
    g = torch.randn_like(y)
    with Counter(), watched_ways() as ways:
        visible = computed(inputs, layout, way)
    with Counter():
        gradients = torch.autograd.grad(visible, present, g)
    assert ways == {"fold" if way == "auto" else way}
    torch.testing.assert_close((visible, *gradients), (y, *torch.autograd.grad(y, present, g)))
    with Counter():
        again = torch.autograd.grad(computed(inputs, layout, way), present, g)
    torch.testing.assert_close(gradients, again)


@every_way
def test_compiled_batched_and_forward_mode(way):
    inputs = operands((2, 3, 8, 1, 2, (5,)), True, True)
    y = computed(inputs, "row", way)
    compiled = torch.compile(computed, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(inputs, "row", way), y)
    g = torch.randn(3, *y.shape, dtype=y.dtype)
    batched = torch.autograd.grad(y, inputs, g, is_grads_batched=True, retain_graph=True)
    each = [torch.autograd.grad(y, inputs, part, retain_graph=True) for part in g]
    torch.testing.assert_close(batched, tuple(torch.stack(parts) for parts in zip(*each, strict=True)))
    tangents = tuple(torch.randn_like(t) for t in inputs)
    _, tangent = torch.func.jvp(lambda *given: computed(given, "row", way), tuple(inputs), tangents)
    _, true = torch.func.jvp(lambda *given: dense(*given, 0.5, "row"), tuple(inputs), tangents)
    torch.testing.assert_close(tangent, true)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("auto", "reference")])
def test_saves_only_its_arguments(way):
    inputs = operands((2, 2, 24, 0, 0, (4,)), True, True)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        computed(inputs, "row", way)
    assert saved and {t.data_ptr() for t in saved} <= {t.data_ptr() for t in inputs}


@every_way
@pytest.mark.parametrize("batch", [(), (7,), (3, 5)], ids=str)
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_zero_change_gives_the_bits_of_the_frozen_layer(batch, with_bias, way):
    x, weight, bias, w, first, last = operands((2, 3, 16, 0, 0, batch), True, True, torch.float32)
    bias = bias if with_bias else None
    y = adapted_linear(x, weight, bias, w * 0, 2.0, "row", first, last, way)
    assert torch.equal(y, linear(x, weight, bias))


@pytest.mark.parametrize("way", ["auto", *BACKENDS])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_within_the_promise(way, dtype, error):
    inputs = operands((2, 2, 128, 0, 0, (64,)), True, True, torch.float32)
    x, weight, bias = (t.detach().to(dtype).requires_grad_() for t in inputs[:3])
    given = [x, weight, bias, *inputs[3:]]
    exact = [t.detach().double().requires_grad_() for t in given]
    y, truth = computed(given, "row", way), dense(*exact, 0.5, "row")
    g = torch.randn_like(truth).to(dtype)
    gradients, true = torch.autograd.grad(y, given, g), torch.autograd.grad(truth, exact, g.double())
    for value, of_truth, operand in zip((y, *gradients), (truth, *true), (x, *given), strict=True):
        assert value.dtype == operand.dtype
        assert error(value, of_truth) < {torch.bfloat16: 5e-3, torch.float16: 1e-3}[dtype]


@pytest.mark.parametrize("way", ["auto", *BACKENDS])
@pytest.mark.parametrize("fast", [True, False])
def test_autocast(way, fast, error, monkeypatch):
    """On a GPU both products are in half precision; on a CPU only the frozen one is."""
    monkeypatch.setattr(precision, "FAST_IN_HALF", {"cpu"} if fast else set())
    inputs = operands((2, 2, 128, 0, 0, (64,)), True, True, torch.float32)
    exact = [t.detach().double().requires_grad_() for t in inputs]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = computed(inputs, "row", way)
        half = linear(*inputs[:3])
    truth = dense(*exact, 0.5, "row")
    assert y.dtype == half.dtype == torch.bfloat16 and error(y, truth) < 5e-3
    g = torch.randn_like(y)
    gradients, true = torch.autograd.grad(y, inputs, g), torch.autograd.grad(truth, exact, g.double())
    for value, of_truth in zip(gradients, true, strict=True):
        assert value.dtype == torch.float32 and error(value, of_truth) < 5e-3


@every_way
@pytest.mark.parametrize("batch", [(), (5,), (2, 5)], ids=str)
def test_the_output_may_be_changed_in_place(way, batch):
    inputs = operands((2, 3, 8, 0, 0, batch), True, True)
    true = torch.autograd.grad(computed(inputs, "row", way).relu().sum(), inputs)
    torch.testing.assert_close(torch.autograd.grad(computed(inputs, "row", way).relu_().sum(), inputs), true)


def test_only_needed_gradients_are_computed():
    x, weight, bias, w, first, last = operands((2, 2, 16, 0, 0, (4,)), True, True)
    for wanted in ((x,), (w,), (first,), (last, bias), (weight,)):
        given = [t.detach() for t in (x, weight, bias, w, first, last)]
        chosen = [
            given[i].requires_grad_()
            for i, t in enumerate((x, weight, bias, w, first, last))
            if any(t is v for v in wanted)
        ]
        gradients = torch.autograd.grad(computed(given, "row", "rfft").sum(), chosen)
        true = torch.autograd.grad(dense(*given, 0.5, "row").sum(), chosen)
        torch.testing.assert_close(gradients, true)


def test_errors_name_what_does_not_fit():
    x, weight, bias, w, first, last = operands((2, 3, 4, 0, 0, (5,)), True, True)
    with pytest.raises(ValueError, match=r"weight of shape \(12, 8\) does not fit w .*\(8, 12\)"):
        adapted_linear(x, weight.T, bias, w, backend="rfft")
    with pytest.raises(ValueError, match=r"x of shape \(5, 11\) does not fit: the last dimension must be 12"):
        adapted_linear(x[:, 1:], weight, bias, w, backend="auto")
    with pytest.raises(ValueError, match=r"bias of shape \(7,\) does not fit: expected \(8,\)"):
        adapted_linear(x, weight, bias[1:], w, backend="auto")
    with pytest.raises(ValueError, match=r"diagonal_in of shape \(8,\) does not fit"):
        adapted_linear(x, weight, bias, w, diagonal_in=last, backend="auto")
    with pytest.raises(ValueError, match="one dtype and one device, got x torch.float32 on cpu, weight torch.float64"):
        adapted_linear(x.float(), weight, bias, w, backend="auto")
    with pytest.raises(ValueError, match="one dtype and one device, .*diagonal_out torch.float32"):
        adapted_linear(x, weight, bias, w, diagonal_out=last.float())
    with pytest.raises(ValueError, match="unknown backend 'rfft2'.*rfft"):
        adapted_linear(x, weight, bias, w, backend="rfft2")
    with pytest.raises(ValueError, match="unknown layout 'rows'.*row"):
        adapted_linear(x, weight, bias, w, layout="rows", backend="rfft")


def test_a_forced_backend_counts_from_the_next_call():
    x, weight, bias, w, _, _ = inputs = operands((1, 1, 32, 0, 0, (4,)))
    names = []
    for forced in ("rfft", "leaf", "fold", "reference", "auto"):
        with use_backend(forced), watched_ways() as ways:
            torch.testing.assert_close(computed(inputs, "row", "auto"), dense(*inputs, 0.5, "row"))
        names.append(ways)
    assert names == [{"rfft"}, {"leaf"}, {"fold"}, {"reference"}, {"fold"}]
