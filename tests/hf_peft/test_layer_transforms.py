"""Derivatives of adapted models by torch.func: values of a model that has ΔW in its dense weights."""

import pytest
import torch
from peft import get_peft_model, inject_adapter_in_model
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jvp, stack_module_state, vmap

from circpeft import available_backends, use_backend

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("error:There is a performance drop")]
OPTIONS = [{"block_size": 4}, {"block_size": 8}]
every_option = pytest.mark.parametrize("options", OPTIONS, ids=str)
every_backend = pytest.mark.parametrize("backend", ["auto", *available_backends("cpu"), "fold"])


def adapted(method, **options):
    net = nn.Sequential(nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 2))
    return inject_adapter_in_model(method(target_modules=["0"], **options), net).double()


def trained(net):
    return {name: p.detach().clone() for name, p in net.named_parameters() if p.requires_grad}


def dense(net, parameters, x):
    """Compute the adapted model with dense weights."""
    first, _, last = net
    factors = {name.removeprefix("0."): p for name, p in parameters.items()}

    def change(adapter):
        own = {name.split(f"{adapter}.", 1)[1]: p for name, p in factors.items() if f"_adapters.{adapter}." in name}
        return functional_call(Delta(first.adapters[adapter]), {f"adapter.{k}": p for k, p in own.items()}, ())

    weight = first.base_layer.weight + sum(change(name) for name in first.active_adapters)
    return last(torch.tanh(nn.functional.linear(x, weight, first.base_layer.bias)))


class Delta(nn.Module):
    def __init__(self, adapter):
        super().__init__()
        self.adapter = adapter

    def forward(self):
        return self.adapter.delta_weight()


def pair(net):
    """Return the model and its dense form as functions of the trained parameters and the input."""
    return lambda p, x: functional_call(net, p, (x,)), lambda p, x: dense(net, p, x)


def energy(f):
    return lambda p, x: f(p, x).square().sum()


TRANSFORMS = {
    "per-sample gradients": lambda f, p, dp, x: vmap(grad(lambda p, x: energy(f)(p, x[None])), (None, 0))(p, x),
    "chunks, last dimension": lambda f, p, dp, x: vmap(grad(energy(f)), (None, -1), chunk_size=2)(p, x.movedim(0, -1)),
    "jvp": lambda f, p, dp, x: jvp(f, (p, x), (dp, x.cos()))[1],
    "hessian-vector product": lambda f, p, dp, x: jvp(lambda p: grad(energy(f))(p, x), (p,), (dp,))[1],
    "tangents per sample": lambda f, p, dp, x: vmap(lambda x: jvp(lambda p: f(p, x), (p,), (dp,))[1])(x),
    "Laplacian of the input": lambda f, p, dp, x: vmap(hessian(lambda x: energy(f)(p, x)))(x[:2]),
    "jacfwd of grad": lambda f, p, dp, x: jacfwd(lambda x: grad(energy(f))(p, x))(x[:1]),
}


@every_backend
@every_option
@pytest.mark.parametrize("adapters", [1, 2])
def test_transforms_of_an_adapted_layer(method, backend, options, adapters):
    net = adapted(method, **options)
    if adapters == 2:
        net[0].add_adapter("second", method(**options))
        net[0].set_adapter(["default", "second"])
        net.double()
    f, g = pair(net)
    p = trained(net)
    assert len({name.split(".")[2] for name in p}) == adapters
    dp = {name: torch.randn_like(t) for name, t in p.items()}
    with use_backend(backend):
        for name, transform in TRANSFORMS.items():
            x = torch.randn(3, 16, dtype=torch.float64)
            torch.testing.assert_close(
                transform(f, p, dp, x), transform(g, p, dp, x), msg=lambda m, n=name: f"{n}: {m}"
            )


def test_an_ensemble_of_adapters(method):
    nets = [adapted(method, block_size=8) for _ in range(3)]
    parameters, buffers = stack_module_state(nets)
    x = torch.randn(5, 16, dtype=torch.float64)
    for backend in ("auto", "fold"):
        with use_backend(backend):
            values = vmap(lambda p, b: functional_call(nets[0], (p, b), (x,)))(parameters, buffers)
            torch.testing.assert_close(values, torch.stack([net(x) for net in nets]))


def test_dropout_follows_the_randomness_of_vmap(method):
    net = adapted(method, block_size=8, dropout=0.5).train()
    p, x = trained(net), torch.randn(16, dtype=torch.float64).expand(4, 1, 16)

    def gradients(**options):
        return vmap(grad(lambda p, x: functional_call(net, p, (x,)).sum()), (None, 0), **options)(p, x)

    with pytest.raises(RuntimeError, match="randomness"):
        gradients()
    for randomness, equal in (("same", True), ("different", False)):
        for g in gradients(randomness=randomness).values():
            assert all(torch.equal(g[0], other) for other in g[1:]) == equal


def test_a_peft_model_and_dual_numbers(method, tiny):
    model = get_peft_model(tiny.mlp(torch.float64), method(target_modules=["0"], block_size=4)).double()
    p, x = trained(model), torch.randn(3, 8, dtype=torch.float64)
    got = vmap(grad(lambda p, x: functional_call(model, p, (x[None],)).square().sum()), (None, 0))(p, x)
    for k, one in enumerate(x):
        model.zero_grad()
        model(one[None]).square().sum().backward()
        for name, of in model.named_parameters():
            if of.requires_grad:
                torch.testing.assert_close(got[name][k], of.grad)
    dx, step = torch.randn_like(x), 1e-6
    with torch.autograd.forward_ad.dual_level():
        y = model(torch.autograd.forward_ad.make_dual(x, dx))
        tangent = torch.autograd.forward_ad.unpack_dual(y).tangent
    difference = (model(x + step * dx) - model(x - step * dx)) / (2 * step)
    torch.testing.assert_close(tangent, difference, rtol=1e-6, atol=1e-8)
