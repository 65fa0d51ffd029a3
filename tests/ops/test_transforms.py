"""Derivatives of every kind: transforms of torch.func, and forward mode, give what they give for a dense product."""

import itertools

import pytest
import torch
from torch.autograd import forward_ad, functional
from torch.func import functionalize, grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from circpeft import available_backends
from circpeft.ops import adapted_linear, block_circulant, diagonal_circulant_matmul
from circpeft.ops import block_circular_kernel_grad as kernel_grad
from circpeft.ops import block_circular_matmul as matmul
from circpeft.ops.backends import get_backend
from tests.versions import needs

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("error:There is a performance drop")]
BACKENDS = available_backends("cpu")
# (m, n, b, batch): a prime b with a wide grid, one block without a batch, a tall grid, an even b with few blocks
SHAPES = {"wide": (2, 3, 5, (2,)), "single": (1, 1, 7, ()), "tall": (3, 1, 4, (1, 2)), "even": (1, 2, 8, (3,))}
both_layouts = pytest.mark.parametrize("layout", ["column", "row"])


def dense(w, layout):
    """Build the block-circulant matrix from rolled kernels."""
    (m, n, b), columns = w.shape, torch.stack([w.roll(j, -1) for j in range(w.shape[-1])], -1)
    blocks = columns if layout == "column" else columns.mT
    return blocks.transpose(1, 2).reshape(m * b, n * b)


def apply(matrix, x):
    """Multiply rows by a matrix; torch's older vmap has no forward mode for a vector times a matrix."""
    return (x[..., None, :] @ matrix.T)[..., 0, :]


def dense_kernel_grad(g, x, b, layout):
    m, n = g.shape[-1] // b, x.shape[-1] // b
    blocks = torch.einsum("tmp,tnq->mnpq", g.reshape(-1, m, b), x.reshape(-1, n, b))
    blocks = blocks if layout == "column" else blocks.mT
    return torch.stack([blocks.roll(-s, -2).diagonal(dim1=-2, dim2=-1).sum(-1) for s in range(b)], -1)


def product(shape, layout, backend):
    m, n, b, batch = shape
    return (
        [(*batch, n * b), (m, n, b)],
        lambda x, w: matmul(x, w, layout, backend),
        lambda x, w: apply(dense(w, layout), x),
    )


def kernel_gradient(shape, layout, backend):
    m, n, b, batch = shape
    return (
        [(*batch, m * b), (*batch, n * b)],
        lambda g, x: kernel_grad(g, x, b, layout, backend),
        lambda g, x: dense_kernel_grad(g, x, b, layout),
    )


def diagonals(shape, layout, backend):
    m, n, b, batch = shape
    d_in, d_out = n * b - 1, m * b - 2  # the last blocks are incomplete
    return (
        [(*batch, d_in), (m, n, b), (d_in,), (d_out,), (*batch, d_out)],
        lambda x, w, first, last, base: diagonal_circulant_matmul(x, w, first, last, base, 0.7, layout, backend),
        lambda x, w, first, last, base: base + 0.7 * last * apply(dense(w, layout)[:d_out, :d_in], first * x),
    )


def folded(shape, layout, backend):
    m, n, b, batch = shape
    return (
        [(*batch, n * b), (m * b, n * b), (m * b,), (m, n, b)],
        lambda x, weight, bias, w: adapted_linear(x, weight, bias, w, 0.7, layout),
        lambda x, weight, bias, w: apply(weight + 0.7 * dense(w, layout), x) + bias,
    )


def matrix(shape, layout, backend):
    return [shape[:3]], lambda w: block_circulant(w, layout), lambda w: dense(w, layout)


OPERATORS = {f.__name__: f for f in (product, kernel_gradient, diagonals, folded, matrix)}
SHAPES_OF = {"column": ("wide", "tall"), "row": ("single", "even")}
CASES = [(name, b) for name in OPERATORS for b in (BACKENDS if name not in ("folded", "matrix") else ["auto"])]
every_operator = pytest.mark.parametrize(("operator", "backend"), CASES)
# The rules for derivatives are the same for all backends. These transforms use each rule; on other backends than the
# first, make test runs only these, in one layout.
ON_EVERY_BACKEND = ("jvp", "vjp", "jacrev", "hessian", "jvp of vjp", "vmap of jvp", "vmap of grad", "three derivatives")


def every_transform(names):
    """Return a mark that runs a test for every transform, operator, backend and layout."""
    cases = []
    for name, (operator, backend), layout in itertools.product(names, CASES, ("column", "row")):
        quick = backend in (BACKENDS[0], "auto") or (name in ON_EVERY_BACKEND and layout == "row")
        cases.append(pytest.param(name, operator, backend, layout, marks=[] if quick else pytest.mark.full))
    return pytest.mark.parametrize(("name", "operator", "backend", "layout"), cases)


def random(sizes, *batch):
    return tuple(torch.randn(*batch, *size, dtype=torch.float64) for size in sizes)


def every(sizes):
    return tuple(range(len(sizes)))


def energy(f):
    return lambda *t: (f(*t).sin() * f(*t)).sum()


def dual(f, inputs, tangents, requires_grad=False):
    with forward_ad.dual_level():
        leaves = [t.clone().requires_grad_(requires_grad) for t in inputs]
        y = f(*(forward_ad.make_dual(t, d) for t, d in zip(leaves, tangents, strict=True)))
        return forward_ad.unpack_dual(y).tangent, leaves


def reverse_over_dual(f, inputs, tangents):
    tangent, leaves = dual(f, inputs, tangents, requires_grad=True)
    return torch.autograd.grad(tangent.square().sum(), leaves, allow_unused=True)


def dual_over_reverse(f, inputs, tangents):
    """Return the tangents of gradients that have no graph themselves, such as those of ``backward()``."""
    with forward_ad.dual_level():
        leaves = [t.clone().requires_grad_() for t in inputs]
        duals = [forward_ad.make_dual(t, d) for t, d in zip(leaves, tangents, strict=True)]
        gradients = torch.autograd.grad(f(*duals).square().sum(), duals)
        return [forward_ad.unpack_dual(g).tangent for g in gradients]


# name -> transform(f, sizes, randoms), where randoms are (inputs, tangents) of the given sizes
FIRST = {
    "jvp": lambda f, s, x, dx: jvp(f, x, dx),
    "jvp of one": lambda f, s, x, dx: jvp(lambda t: f(t, *x[1:]), x[:1], dx[:1]),
    "linearize": lambda f, s, x, dx: linearize(f, *x)[1](*dx),
    "dual numbers": lambda f, s, x, dx: dual(f, x, dx)[0],
    "functional.jvp": lambda f, s, x, dx: functional.jvp(f, x, dx),
    "vjp": lambda f, s, x, dx: vjp(f, *x)[1](f(*dx)),
    "vjp without grad": lambda f, s, x, dx: torch.no_grad()(vjp(f, *x)[1])(f(*dx)),
    "jacfwd": lambda f, s, x, dx: jacfwd(f, every(s))(*x),
    "jacrev": lambda f, s, x, dx: jacrev(f, every(s), chunk_size=3)(*x),
    "functional.jacobian": lambda f, s, x, dx: functional.jacobian(f, x, vectorize=True, strategy="forward-mode"),
    "functionalize": lambda f, s, x, dx: functionalize(grad(energy(f), every(s)))(*x),
}
SECOND = {
    "hessian": lambda f, s, x, dx: hessian(energy(f), every(s))(*x),
    "functional.hessian": lambda f, s, x, dx: functional.hessian(energy(f), x),
    "forward-mode hessian": lambda f, s, x, dx: functional.hessian(
        energy(f), x, vectorize=True, outer_jacobian_strategy="forward-mode"
    ),
    "grad of grad": lambda f, s, x, dx: grad(lambda *t: grad(energy(f))(*t).square().sum(), every(s))(*x),
    "jvp of jvp": lambda f, s, x, dx: jvp(lambda *t: jvp(f, t, dx)[1], x, dx),
    "jvp of vjp": lambda f, s, x, dx: jvp(lambda *t: vjp(f, *t)[1](f(*dx)), x, dx),
    "reverse over dual": lambda f, s, x, dx: reverse_over_dual(f, x, dx),
    "dual over reverse": lambda f, s, x, dx: dual_over_reverse(f, x, dx),
}


def check(f, g, transform, *arguments):
    torch.testing.assert_close(transform(f, *arguments), transform(g, *arguments))


@every_transform(FIRST)
def test_first_derivatives(name, operator, layout, backend):
    if name == "linearize" and backend not in (BACKENDS[0], "auto"):
        pytest.skip("linearize is jvp, traced; tracing is slow")
    for shape in SHAPES_OF[layout] if name in ("jvp", "vjp") else SHAPES_OF[layout][1:]:
        sizes, f, g = OPERATORS[operator](SHAPES[shape], layout, backend)
        check(f, g, FIRST[name], sizes, random(sizes), random(sizes))


@every_transform(SECOND)
def test_second_derivatives(name, operator, layout, backend):
    if "hessian" in name and name != "hessian" and backend not in (BACKENDS[0], "auto"):
        pytest.skip("torch's older functions take derivatives of one entry after the other, which is slow")
    sizes, f, g = OPERATORS[operator](SHAPES[SHAPES_OF[layout][0]], layout, backend)
    if operator == "matrix":
        if name == "forward-mode hessian":
            pytest.skip("torch's older vmap has no rule for the derivative of an index")
        f, g = (lambda w, h=h: h(w) * w.sum() for h in (f, g))  # a linear map has no second derivative
    check(f, g, SECOND[name], sizes, random(sizes), random(sizes))


def cubed_tangent(f, tangents):
    return lambda *t: jvp(f, t, tuple(d[0] for d in tangents))[1].pow(3).sum()


# The transforms get f, sizes, and (inputs, tangents) with three further inputs each in the first dimension.
BATCHED = {
    "vmap of jvp": lambda f, s, x, dx: vmap(lambda x, dx: jvp(f, x, dx)[1])(x, dx),
    "jvp of vmap": lambda f, s, x, dx: jvp(vmap(f), x, dx)[1],
    "vmap of grad": lambda f, s, x, dx: vmap(grad(energy(f), every(s)))(*x),
    "grad of vmap": lambda f, s, x, dx: grad(energy(vmap(f)), every(s))(*x),
    "vmap of vjp": lambda f, s, x, dx: vmap(lambda *t: vjp(f, *t)[1](f(*t)))(*x),
    "vmap of jacrev": lambda f, s, x, dx: vmap(jacrev(f, every(s)), chunk_size=2)(*x),
    "vmap of jacfwd": lambda f, s, x, dx: vmap(jacfwd(f, every(s)))(*x),
    "per-sample gradients of the second input": lambda f, s, x, dx: vmap(
        grad(energy(f), len(s) - 1), (0, *(None for _ in s[1:]))
    )(x[0], *(t[0] for t in x[1:])),
    "jacrev of jacfwd": lambda f, s, x, dx: jacrev(jacfwd(f))(*(t[0] for t in x)),
    "three derivatives": lambda f, s, x, dx: jacfwd(grad(cubed_tangent(f, dx)))(*(t[0] for t in x)),
    "nested vmap": lambda f, s, x, dx: vmap(vmap(f), (1, *(0 for _ in s[1:])))(
        *(torch.stack((t, 2 * t, 3 * t)) for t in x)
    ),
    "make_fx of vmap of grad": lambda f, s, x, dx: make_fx(vmap(grad(energy(f), every(s))), tracing_mode="fake")(*x)(
        *x
    ),
    "functionalize": lambda f, s, x, dx: functionalize(vmap(f))(*x),
}


@every_transform(BATCHED)
def test_derivatives_of_batches(name, operator, layout, backend):
    sizes, f, g = OPERATORS[operator](SHAPES[SHAPES_OF[layout][0]], layout, backend)
    check(f, g, BATCHED[name], sizes, random(sizes, 3), random(sizes, 3))


@every_operator
@both_layouts
def test_vmap_over_any_of_the_inputs_and_dimensions(operator, layout, backend):
    for shape in SHAPES_OF[layout]:
        sizes, f, g = OPERATORS[operator](SHAPES[shape], layout, backend)
        for batched in itertools.product((False, True), repeat=len(sizes)):
            if any(batched):
                in_dims = tuple((0, -1)[i % 2] if is_batched else None for i, is_batched in enumerate(batched))
                several = zip(random(sizes, 3), in_dims, strict=True)
                inputs = [t[0] if dim is None else t.movedim(0, dim) for t, dim in several]
                check(f, g, lambda f, *t, dims=in_dims: vmap(f, dims, out_dims=-1)(*t), *inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@every_operator
def test_tangents_and_batched_gradients_have_the_dtype_of_their_values(operator, backend, dtype):
    sizes, f, g = OPERATORS[operator](SHAPES["even"], "row", backend)
    exact = [t.to(dtype).double() for t in (*random(sizes), *random(sizes))]
    rounded = [t.to(dtype) for t in exact]
    n, tolerance = len(sizes), {"rtol": 5e-2, "atol": 5e-2} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-4}
    for transform in (
        lambda f, *t: jvp(f, t[:n], t[n:]),
        lambda f, *t: vmap(grad(lambda *t: f(*t).sum(), tuple(range(n))))(*(s[None] for s in t[:n])),
    ):
        for value, true in zip(transform(f, *rounded), transform(g, *exact), strict=True):
            assert value.dtype == dtype
            torch.testing.assert_close(value.double(), true, **tolerance)


@pytest.mark.parametrize("backend", BACKENDS)
def test_under_autocast(backend):
    sizes, f, g = product(SHAPES["even"], "row", backend)
    x, dx = (tuple(t.float() for t in random(sizes, 3)) for _ in range(2))
    transform = BATCHED["vmap of jvp"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = transform(f, sizes, x, dx)
    torch.testing.assert_close(value, transform(g, sizes, x, dx))


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_batch_is_one_product_and_its_flops_are_counted(backend, batch):
    m, n, b = 2, 3, 8
    x, w, g = (torch.randn(size) for size in ((batch, 4, n * b), (m, n, b), (batch, 4, m * b)))
    module = get_backend(backend)
    for f, in_dims, inputs, flops in (
        (matmul, (0, None), (x, w), module.matmul_flops(batch * 4, m, n, b)),
        (matmul, (None, 0), (x[0], w.expand(batch, m, n, b)), module.matmul_flops(4, batch * m, n, b)),
        (kernel_grad, (0, None), (g, x[0]), module.kernel_grad_flops(4, batch * m, n, b)),
        (kernel_grad, (None, 0), (g[0], x), module.kernel_grad_flops(4, m, batch * n, b)),
    ):
        settings = (b, "row", backend) if f is kernel_grad else ("row", backend)
        with FlopCounterMode(display=False) as counter:
            vmap(lambda *t, f=f, rest=settings: f(*t, *rest), in_dims)(*inputs)
        assert counter.get_total_flops() == flops


def derivatives(x, w):
    return (
        vmap(grad(lambda w, x: matmul(x, w, "row", "rfft").square().sum()), (None, 0))(w, x),
        jvp(lambda w: diagonal_circulant_matmul(x, w, scale=0.5, backend="rfft"), (w,), (w.cos(),))[1],
    )


def jacobian(x, w):
    return jacrev(lambda w: adapted_linear(x, x.new_ones(8, 12), None, w))(w)


@pytest.mark.parametrize("compiler", ["aot_eager", pytest.param("inductor", marks=pytest.mark.full)])
@pytest.mark.parametrize(
    "f", [derivatives, pytest.param(jacobian, marks=needs("torch", "2.5", "older versions compile no jacrev"))]
)
def test_compiled_with_transforms_inside(f, compiler):
    x, w = random([(5, 12), (2, 3, 4)])
    compiled = torch.compile(f, fullgraph=True, backend=compiler)
    torch.testing.assert_close(compiled(x, w), f(x, w))


def test_compiled_inside_of_transforms_and_dual_numbers():
    sizes, f, g = product((2, 3, 4, (5,)), "row", "rfft")
    compiled = torch.compile(f, backend="aot_eager")
    for transform in (BATCHED["vmap of grad"], BATCHED["jvp of vmap"]):
        check(compiled, g, transform, sizes, random(sizes, 3), random(sizes, 3))
    check(compiled, g, FIRST["dual numbers"], sizes, random(sizes), random(sizes))


def test_an_exported_program_and_the_custom_op_itself():
    class Model(torch.nn.Module):
        def forward(self, x, w):
            return diagonal_circulant_matmul(x, w, scale=0.7, layout="row", backend="rfft")

    sizes, _, g = product((2, 3, 4, (5,)), "row", "rfft")
    exported = torch.export.export(Model(), random(sizes)).module()
    for name in ("jvp", "dual numbers", "jacrev"):
        check(exported, lambda x, w: 0.7 * g(x, w), FIRST[name], sizes, random(sizes), random(sizes))
    op = torch.ops.circpeft.block_circular_matmul
    check(lambda x, w: op(x, w, "row", "rfft"), g, FIRST["dual numbers"], sizes, random(sizes), random(sizes))
    check(lambda x, w: op(x, w, "row", "rfft"), g, BATCHED["vmap of grad"], sizes, random(sizes, 3), random(sizes, 3))


@pytest.mark.parametrize("name", ["diagonals", "folded", "product"])
def test_transforms_of_only_the_backward_pass(name):
    """The forward pass is not transformed; the gradients of its output are batched, or have tangents."""
    sizes, f, g = OPERATORS[name](SHAPES["even"], "row", "rfft")
    inputs = [t.requires_grad_() for t in random(sizes)]
    values = []
    for h in (f, g):
        y = h(*inputs)
        torch.manual_seed(0)
        v, dv = torch.randn(2, 3, *y.shape, dtype=y.dtype)
        with forward_ad.dual_level():
            duals = torch.autograd.grad(y, inputs, forward_ad.make_dual(v[0], dv[0]), retain_graph=True)
            tangents = [forward_ad.unpack_dual(t).tangent for t in duals]
        batch = vmap(lambda v, y=y: torch.autograd.grad(y, inputs, v, retain_graph=True))(v)
        values.append([t for t in (*tangents, *batch) if t is not None])
    torch.testing.assert_close(*values)
    assert len(values[0]) >= len(inputs) + 2


def test_a_batch_of_one_and_of_none_and_samples_without_tokens():
    sizes, f, g = product(SHAPES["even"], "row", "rfft")
    for in_dims in ((0, 0), (0, None), (None, 0)):
        several = list(zip(random(sizes, 1), in_dims, strict=True))
        check(f, g, lambda f, *t, dims=in_dims: vmap(f, dims)(*t), *(t[0] if dim is None else t for t, dim in several))
        assert vmap(f, in_dims)(*(t[0] if dim is None else t[:0] for t, dim in several)).shape[0] == 0
    x, w = random([(4, 0, 16), (1, 2, 8)])
    assert not vmap(grad(lambda w, x: matmul(x, w).sum()), (None, 0))(w, x).any()
