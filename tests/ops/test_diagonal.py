"""The operator of both methods, diagonal times block-circulant times diagonal, against the dense matrix."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from circpeft import available_backends, block_circulant
from circpeft.ops import diagonal_circulant_matmul
from circpeft.ops.backends import rfft

pytestmark = pytest.mark.usefixtures("one_thread")
BACKENDS = available_backends("cpu")
# (m, n, b, inputs short of whole blocks, outputs short, batch)
SHAPES = [
    (1, 1, 1, 0, 0, ()),
    (1, 2, 1, 0, 0, (2,)),
    (1, 1, 2, 1, 0, (2, 1)),
    (2, 1, 3, 0, 2, (3,)),
    (1, 1, 5, 0, 0, (2,)),
    (2, 3, 4, 1, 2, (1, 2)),
    (3, 1, 7, 6, 0, ()),
    (1, 3, 6, 0, 5, (2,)),
    (2, 2, 8, 3, 3, (2,)),
    (1, 6, 3, 2, 0, (1,)),
    (6, 1, 2, 0, 1, (2,)),
    (2, 2, 3, 0, 0, (0,)),
    (1, 1, 16, 0, 0, (2,)),
]
every_backend = pytest.mark.parametrize("backend", BACKENDS)
both_layouts = pytest.mark.parametrize("layout", ["column", "row"])
PARTS = list(product([False, True], repeat=3))
parts = pytest.mark.parametrize("with_in, with_out, with_base", PARTS)


def operands(shape, with_in, with_out, with_base, dtype=torch.float64, parameters=None):
    m, n, b, short_in, short_out, batch = shape
    d_in, d_out = n * b - short_in, m * b - (short_out if with_out or with_base else 0)
    parameter_dtype = parameters or dtype
    tensors = (
        torch.randn(*batch, d_in, dtype=dtype),
        torch.randn(m, n, b, dtype=parameter_dtype),
        torch.randn(d_in, dtype=parameter_dtype) if with_in else None,
        torch.randn(d_out, dtype=parameter_dtype) if with_out else None,
        torch.randn(*batch, d_out, dtype=dtype) if with_base else None,
    )
    return [None if t is None else t.requires_grad_() for t in tensors]


def dense(x, w, diagonal_in, diagonal_out, base, scale, layout):
    d_out = next((t.shape[-1] for t in (diagonal_out, base) if t is not None), w.shape[0] * w.shape[2])
    delta = scale * block_circulant(w, layout)[:d_out, : x.shape[-1]]
    delta = delta if diagonal_in is None else delta * diagonal_in
    delta = delta if diagonal_out is None else diagonal_out[:, None] * delta
    return x @ delta.T + (0 if base is None else base)


def given_parts(inputs):
    return [t for t in inputs if t is not None]


def without_none(function, inputs):
    """Return the function of only those tensors that are not None, as gradcheck needs it."""

    def of_given(*tensors):
        remaining = list(tensors)
        return function(*(None if t is None else remaining.pop(0) for t in inputs))

    return of_given


def with_marks(cases, quick):
    """Return the cases as parameters; those that are not quick run in make test-full."""
    return [pytest.param(*case, marks=[] if quick(*case) else pytest.mark.full) for case in cases]


# Other backends than rfft are composed of operators with their own tests, so that two combinations are enough. With
# rfft, make test has them all at a few shapes.
NONE, ALL = PARTS[0], PARTS[-1]
CASES = with_marks(
    [
        (shape, layout, backend, part)
        for shape, layout, backend in product(SHAPES, ["column", "row"], BACKENDS)
        for part in (PARTS if backend == "rfft" else [NONE, ALL])
    ],
    lambda shape, layout, backend, part: part in (NONE, ALL) or shape in SHAPES[2:5],
)


@pytest.mark.parametrize(("shape", "layout", "backend", "part"), CASES, ids=str)
def test_value_and_first_and_second_derivatives(shape, layout, backend, part):
    inputs = operands(shape, *part)

    def product_of(*tensors):
        return diagonal_circulant_matmul(*tensors, -0.7, layout, backend)

    torch.testing.assert_close(product_of(*inputs), dense(*inputs, -0.7, layout))
    checked = without_none(product_of, inputs)
    assert torch.autograd.gradcheck(checked, given_parts(inputs))
    if backend == "rfft":
        assert torch.autograd.gradgradcheck(checked, given_parts(inputs))


@every_backend
@parts
def test_gradient_of_one_input_only(backend, with_in, with_out, with_base):
    inputs = operands((2, 3, 5, 2, 1, (4,)), with_in, with_out, with_base)
    true = dense(*inputs, 2.0, "row")
    for wanted in given_parts(inputs):
        others_detached = [t if t is wanted or t is None else t.detach() for t in inputs]
        y = diagonal_circulant_matmul(*others_detached, 2.0, "row", backend)
        torch.testing.assert_close(
            torch.autograd.grad(y.square().sum(), wanted)[0],
            torch.autograd.grad(true.square().sum(), wanted, retain_graph=True)[0],
        )


def test_one_tensor_as_both_diagonals_gets_both_gradients():
    x, w, a, *_ = operands((1, 1, 5, 0, 0, (3,)), True, True, False)

    def both_orders(y):
        (first,) = torch.autograd.grad(y.square().sum(), a, create_graph=True)
        return first, *torch.autograd.grad(first.square().sum(), a)

    ours = both_orders(diagonal_circulant_matmul(x, w, a, a, layout="row"))
    torch.testing.assert_close(ours, both_orders(dense(x, w, a, a, None, 1.0, "row")))


PROMISED = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 5e-3}


@every_backend
@pytest.mark.parametrize("dtype", PROMISED, ids=str)
@pytest.mark.parametrize(
    "shape", [(1, 1, 768, 0, 0, (3, 2)), (2, 3, 127, 4, 5, (6,)), (4, 1, 192, 0, 0, (5,))], ids=str
)
@pytest.mark.parametrize("with_base", [True, False])
def test_error_at_model_sizes_is_within_the_promise(shape, dtype, backend, with_base, error):
    inputs = operands(shape, True, True, with_base, dtype, torch.promote_types(dtype, torch.float32))
    exact = [None if t is None else t.detach().double().requires_grad_() for t in inputs]
    truth = dense(*exact, 1 / 8, "column")
    g = torch.randn_like(truth).to(dtype)
    truths = truth, *torch.autograd.grad(truth, given_parts(exact), g.double())
    y = diagonal_circulant_matmul(*inputs, 1 / 8, "column", backend)
    values = y, *torch.autograd.grad(y, given_parts(inputs), g)
    assert [value.dtype for value in values[1:]] == [t.dtype for t in given_parts(inputs)] and y.dtype == dtype
    for value, true in zip(values, truths, strict=True):
        assert error(value, true) <= PROMISED[dtype]


@both_layouts
@parts
def test_chunks_write_every_entry_and_equal_one_call(layout, with_in, with_out, with_base, poisoned, monkeypatch):
    inputs = operands((2, 3, 8, 3, 5, (37,)), with_in, with_out, with_base)
    y = diagonal_circulant_matmul(*inputs, 1.5, layout, "rfft")
    g = torch.randn_like(y)
    at_once = y, *torch.autograd.grad(y, given_parts(inputs), g)
    monkeypatch.setitem(rfft.CHUNK_ELEMENTS, "cpu", 1)  # sixteen tokens a chunk
    y = diagonal_circulant_matmul(*inputs, 1.5, layout, "rfft")
    torch.testing.assert_close((y, *torch.autograd.grad(y, given_parts(inputs), g)), at_once)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_saves_only_its_arguments(dtype):
    inputs = operands((1, 1, 24, 0, 0, (4,)), True, True, True, dtype, torch.float32)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        diagonal_circulant_matmul(*inputs)
    assert {t.data_ptr() for t in saved} == {t.data_ptr() for t in inputs[:4]}  # not the base output


COMPILED = with_marks(
    product(PARTS, [torch.float32, torch.bfloat16]),
    lambda part, dtype: part == ALL or (part == NONE and dtype == torch.float32),
)


@pytest.mark.parametrize(("part", "dtype"), COMPILED, ids=str)
def test_opcheck_and_compiled_as_one_graph(part, dtype):
    inputs = operands((2, 3, 4, 1, 1, (2, 3)), *part, dtype, torch.float32)
    y = diagonal_circulant_matmul(*inputs, 0.5, "row", "rfft")
    torch.library.opcheck(torch.ops.circpeft.diagonal_matmul, (*inputs, 0.5, y.shape[-1], "row", "rfft"))

    def loss(*tensors):
        return diagonal_circulant_matmul(*tensors, 0.5, "row", "rfft").square().sum()

    torch._dynamo.reset()  # otherwise each combination of parts counts as a recompilation
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=True)
    torch.testing.assert_close(compiled(*inputs), loss(*inputs))
    grads = [torch.autograd.grad(f(*inputs), given_parts(inputs)) for f in (compiled, loss)]
    torch.testing.assert_close(*grads)


@every_backend
def test_deterministic_and_a_nan_stays_in_its_token(backend):
    inputs = operands((2, 2, 24, 0, 0, (40,)), True, True, True, torch.float32)
    g = torch.randn(40, 48)

    def once(x):
        leaf = x.detach().requires_grad_()
        y = diagonal_circulant_matmul(leaf, *inputs[1:], 1.0, "row", backend)
        return y, *torch.autograd.grad(y, (leaf, *inputs[1:]), g)

    assert all(torch.equal(a, b) for a, b in zip(once(inputs[0]), once(inputs[0]), strict=True))
    broken = inputs[0].detach().clone()
    broken[7, 3] = torch.nan
    y, dx, *_ = once(broken)
    assert y[7].isnan().all() and not y[torch.arange(40) != 7].isnan().any() and not dx.isnan().any()


@every_backend
def test_inputs_of_any_strides(backend):
    x, w, a, o, base = operands((2, 3, 4, 0, 0, (5,)), True, True, True)
    truth = dense(x, w, a, o, base, 1.0, "row")
    g = torch.ones_like(truth)
    truths = torch.autograd.grad(truth, (x, w, a, o, base), g)
    strided = [t.detach().mT.contiguous().mT if t.dim() > 1 else t.detach() for t in (x, w.transpose(0, 2), a, o, base)]
    strided = [t.requires_grad_() for t in strided]
    y = diagonal_circulant_matmul(strided[0], strided[1].transpose(0, 2), *strided[2:], 1.0, "row", backend)
    torch.testing.assert_close(y, truth)
    grads = list(torch.autograd.grad(y.sum(), strided))  # the gradient of sum() has strides of zero
    grads[1] = grads[1].transpose(0, 2)
    torch.testing.assert_close(grads, list(truths))
    # channels last, expanded, and every other row
    image = torch.randn(2, 12, 3, 3, dtype=torch.float64).to(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    for view in (image, x[0].expand(7, 12), torch.randn(8, 12, dtype=torch.float64)[::2]):
        torch.testing.assert_close(
            diagonal_circulant_matmul(view, w, a, o, None, 1.0, "row", backend), dense(view, w, a, o, None, 1.0, "row")
        )


@given(
    m=st.integers(1, 5),
    n=st.integers(1, 5),
    b=st.integers(1, 24),
    short=st.tuples(st.integers(0, 23), st.integers(0, 23)),
    batch=st.lists(st.integers(0, 3), max_size=3),
    layout=st.sampled_from(["column", "row"]),
    backend=st.sampled_from(["auto", *BACKENDS]),
    parts=st.sampled_from(PARTS),
)
def test_any_shape_agrees_with_the_dense_product(m, n, b, short, batch, layout, backend, parts):
    shape = (m, n, b, min(short[0], b - 1), min(short[1], b - 1), batch)
    inputs = operands(shape, *parts)
    y, truth = diagonal_circulant_matmul(*inputs, 0.3, layout, backend), dense(*inputs, 0.3, layout)
    torch.testing.assert_close(y, truth)
    g = torch.randn_like(truth)
    torch.testing.assert_close(*(torch.autograd.grad(of, given_parts(inputs), g) for of in (y, truth)))


def test_errors_name_what_does_not_fit():
    x, w, a, o, base = operands((2, 3, 4, 0, 0, (5,)), True, True, True)
    bad = {
        r"x of shape \(5, 8\) does not fit .*greater than 8 and at most n\*b = 12": (x[:, :8], w),
        r"diagonal_in of shape \(11,\) does not fit: expected \(12,\)": (x, w, a[:11]),
        r"sizes \[\(8,\), \(7,\)\] do not fit": (x, w, a, o, base[:, :7]),
        r"sizes \[\(4,\)\] do not fit .*greater than 4 and at most m\*b = 8": (x, w, a, o[:4]),
        r"base of shape \(4, 8\) does not fit: expected \(5, 8\)": (x, w, a, o, base[:4]),
    }
    for message, arguments in bad.items():
        with pytest.raises(ValueError, match=message):
            diagonal_circulant_matmul(*arguments)
    with pytest.raises(TypeError, match="diagonal_out must be real floating point .* got torch.int64"):
        diagonal_circulant_matmul(x, w, a, o.long())
    with pytest.raises(TypeError, match="x must be real floating point .* got torch.complex128"):
        diagonal_circulant_matmul(x + 0j, w)
    with pytest.raises(ValueError, match="x is on cpu and diagonal_in on meta"):
        diagonal_circulant_matmul(x, w, a.to("meta"))
    with pytest.raises(ValueError, match="unknown backend 'fft'"):
        diagonal_circulant_matmul(x, w, backend="fft")


def test_backends_get_kernels_and_diagonals_without_gaps_in_memory(monkeypatch):
    taken = []
    for name in ("diagonal_matmul", "diagonal_matmul_backward"):
        compute = getattr(rfft, name)
        monkeypatch.setattr(rfft, name, lambda *given, compute=compute: (taken.extend(given), compute(*given))[1])
    x, *factors, base = operands((2, 3, 4, 0, 0, (5,)), True, True, True)
    strided = [torch.stack((t, -t), -1).detach()[..., 0].requires_grad_() for t in factors]
    y = diagonal_circulant_matmul(x, *strided, base, 1.0, "row", "rfft")
    torch.autograd.grad(y.sum(), strided)
    found = [t for t in taken if isinstance(t, torch.Tensor) and t.shape in {f.shape for f in factors}]
    assert not any(t.is_contiguous() for t in strided) and all(t.is_contiguous() for t in found) and len(found) == 6
