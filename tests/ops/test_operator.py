"""The two forms of an operator, plain autograd and the custom op: when each is used, and that they agree."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from circpeft.ops import adapted_linear, block_circular_matmul, diagonal_circulant_matmul

CALLS = {
    "block_circular_matmul": lambda x, w, weight: block_circular_matmul(x, w, "row", "rfft"),
    "diagonal_matmul": lambda x, w, weight: diagonal_circulant_matmul(x, w, scale=0.5, layout="row", backend="rfft"),
    "adapted_matmul": lambda x, w, weight: adapted_linear(x, weight, None, w, 0.5, "row"),
}
every_operator = pytest.mark.parametrize("name", CALLS)


class OperatorNames(TorchDispatchMode):
    """A mode that collects the names of the operators that run inside."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func._overloadpacket.__name__)
        return func(*args, **kwargs or {})


@pytest.fixture
def inputs():
    shapes = (5, 12), (2, 3, 4), (8, 12)
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def gradients(y, inputs):
    return torch.autograd.grad(y.square().sum(), inputs, allow_unused=True)


@every_operator
def test_plain_autograd_equals_the_custom_op(name, inputs):
    y = CALLS[name](*inputs)
    assert type(y.grad_fn).__name__ == "EagerBackward"
    with OperatorNames() as seen:
        same = CALLS[name](*inputs)
    assert name in seen.names and type(same.grad_fn).__name__ != "EagerBackward" and torch.equal(y, same)
    for a, b in zip(gradients(y, inputs), gradients(same, inputs), strict=True):
        assert a is b is None or torch.equal(a, b)


@every_operator
def test_a_dispatch_mode_sees_the_operators_of_the_backward_pass(name, inputs):
    y = CALLS[name](*inputs)
    with OperatorNames() as seen:
        gradients(y, inputs)
    assert seen.names & {"block_circular_kernel_grad", "diagonal_matmul_backward"}


@every_operator
def test_second_derivatives(name, inputs):
    assert torch.autograd.gradgradcheck(lambda *t: CALLS[name](*t), inputs)


@every_operator
def test_torch_func_transforms_and_batched_gradients(name, inputs):
    x, w, weight = (t.detach() for t in inputs)
    leaf = w.clone().requires_grad_()
    y = CALLS[name](x, leaf, weight)
    one = torch.randn_like(y)
    truth = torch.autograd.grad(y, leaf, one, retain_graph=True)[0]

    def of_kernel(w):
        return CALLS[name](x, w, weight)

    torch.testing.assert_close(torch.func.grad(lambda w: (of_kernel(w) * one).sum())(w), truth)
    torch.testing.assert_close(torch.func.vjp(of_kernel, w)[1](one)[0], truth)
    jacobian = torch.stack([torch.autograd.grad(y.flatten()[k], leaf, retain_graph=True)[0] for k in range(y.numel())])
    jacobian = jacobian.view(*y.shape, *w.shape)
    torch.testing.assert_close(torch.func.jacrev(of_kernel)(w), jacobian)
    torch.testing.assert_close(torch.autograd.functional.jacobian(of_kernel, w, vectorize=True), jacobian)
    several = torch.randn(3, *y.shape, dtype=y.dtype)
    batched = torch.autograd.grad(y, leaf, several, is_grads_batched=True)[0]
    torch.testing.assert_close(batched, torch.einsum("gto,tomnb->gmnb", several, jacobian))


@every_operator
def test_vmap_over_inputs_or_kernels_and_functionalize(name, inputs):
    x, w, weight = (t.detach() for t in inputs)
    ws = torch.randn(3, *w.shape, dtype=w.dtype)
    over_kernels = torch.func.vmap(lambda w: CALLS[name](x, w, weight))(ws)
    torch.testing.assert_close(over_kernels, torch.stack([CALLS[name](x, w, weight) for w in ws]))
    over_inputs = torch.func.vmap(lambda x: CALLS[name](x, w, weight))(x)
    torch.testing.assert_close(over_inputs, CALLS[name](x, w, weight))
    torch.testing.assert_close(torch.func.functionalize(lambda x: CALLS[name](x, w, weight))(x), over_inputs)


@every_operator
@pytest.mark.parametrize("batch", [(), (5,), (2, 5), (0,)], ids=str)
def test_the_output_may_be_changed_in_place(name, batch, inputs):
    x = torch.randn(*batch, 12, dtype=torch.float64)
    y = CALLS[name](x, *inputs[1:])
    truth = torch.autograd.grad(CALLS[name](x, *inputs[1:]).relu().sum(), inputs[1])[0]
    torch.testing.assert_close(torch.autograd.grad(y.relu_().sum(), inputs[1])[0], truth)


@every_operator
def test_torchs_flop_counter_counts_the_operators(name, inputs):
    with FlopCounterMode(display=False) as counter:
        gradients(CALLS[name](*inputs), inputs)
    assert counter.get_total_flops() > 0


@every_operator
def test_meta_tensors_and_tensor_subclasses(name, inputs):
    class Subclass(torch.Tensor):
        pass

    x, w, weight = inputs
    y = CALLS[name](x, w, weight)
    assert CALLS[name](*(t.to("meta") for t in inputs)).shape == y.shape
    assert torch.equal(CALLS[name](x.detach().as_subclass(Subclass), w, weight), y)


def test_traces_contain_the_operator():
    w = torch.randn(2, 3, 4)
    traced = torch.jit.trace(lambda x: block_circular_matmul(x, w, "row", "rfft"), torch.randn(5, 12))
    assert "circpeft::block_circular_matmul" in str(traced.graph)
    graph = make_fx(lambda x: block_circular_matmul(x, w, "row", "rfft"), pre_dispatch=True)(torch.randn(5, 12)).code
    assert "circpeft.block_circular_matmul" in graph
