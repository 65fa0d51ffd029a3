"""Half precision: kernels and gradients stay in float32 and right, under autocast and on half-precision weights."""

import pytest
import torch

from circpeft import inject

TARGETS = {"bert": ["query", "value", "dense"], "gpt2": ["c_attn", "c_proj", "c_fc"]}
# Relative L2 error of all gradients together, compared with a float32 model: a few roundings of the activations.
TOLERANCE = {torch.bfloat16: 5e-2, torch.float16: 5e-3}
every = pytest.mark.parametrize("name", TARGETS)
halves = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


def adapted(tiny, method, name, dtype=torch.float32):
    torch.manual_seed(5)  # the same adapter for every dtype of the base
    config = method(target_modules=TARGETS[name])
    return inject(getattr(tiny, name)(dtype), config)  # get_peft_model casts to float32 by itself


def loss(model, ids):
    return model(ids).logits.float().square().mean()


def kernels(model):
    return {n: p for n, p in model.named_parameters() if p.requires_grad}


def backward(model, value):
    model.zero_grad()
    value.backward()
    assert {p.dtype for p in kernels(model).values()} == {p.grad.dtype for p in kernels(model).values()}
    return {n: p.grad.clone() for n, p in kernels(model).items()}


def flat(gradients):
    assert all(g.dtype == torch.float32 and g.count_nonzero() for g in gradients.values())
    return torch.cat([g.flatten() for g in gradients.values()])


@every
@halves
def test_gradients_under_autocast(tiny, method, name, dtype, error):
    model = adapted(tiny, method, name)
    expected = backward(model, loss(model, tiny.ids))
    with torch.autocast("cpu", dtype=dtype):
        assert model(tiny.ids).logits.dtype == dtype, "autocast must act, or the test proves nothing"
        value = loss(model, tiny.ids)
    assert 0 < error(flat(backward(model, value)), flat(expected)) < TOLERANCE[dtype]


@every
@halves
def test_float32_kernels_on_half_precision_weights(tiny, method, name, dtype, error):
    model, half = adapted(tiny, method, name), adapted(tiny, method, name, dtype)
    expected = backward(model, loss(model, tiny.ids))
    base = {n: p.detach().clone() for n, p in half.named_parameters() if not p.requires_grad}
    assert {p.dtype for p in base.values()} == {dtype}
    assert 0 < error(flat(backward(half, loss(half, tiny.ids))), flat(expected)) < TOLERANCE[dtype]
    # The first step of Adam changes every kernel by the rate, here one that half-precision kernels would lose.
    start = {n: p.detach().clone() for n, p in kernels(half).items()}
    torch.optim.Adam(kernels(half).values(), lr=1e-5).step()
    moved = torch.cat([(p - start[n]).flatten() for n, p in kernels(half).items()])
    step = torch.cat([p.grad.flatten().sign() * -1e-5 for p in kernels(half).values()])
    assert error(moved, step) < 0.1
    assert all(torch.equal(p, base[n]) for n, p in half.named_parameters() if n in base)


@halves
def test_a_gradient_scaler_is_not_needed_and_does_not_change_the_result(tiny, method, dtype, error):
    """The scaler rejects float16 gradients. These gradients are float32, also on float16 weights."""
    model = adapted(tiny, method, "bert", dtype)
    expected = backward(model, loss(model, tiny.ids))
    optimizer, scaler = torch.optim.SGD(kernels(model).values(), lr=1e-2), torch.amp.GradScaler("cpu", init_scale=64.0)
    backward(model, scaler.scale(loss(model, tiny.ids)))
    scaler.unscale_(optimizer)
    assert error(flat({n: p.grad for n, p in kernels(model).items()}), flat(expected)) < TOLERANCE[dtype]
    start = {n: p.detach().clone() for n, p in kernels(model).items()}
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 64.0 and not any(torch.equal(p, start[n]) for n, p in kernels(model).items())
