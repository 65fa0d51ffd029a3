"""Every backend, adapted layers, merging and autocast on a GPU, against float64 on the CPU."""

import copy

import pytest
import torch
from torch import nn

from circpeft import C3AConfig, CDVFTConfig, inject, use_backend
from circpeft.ops import diagonal_circulant_matmul
from circpeft.ops.backends import BACKENDS

if not torch.cuda.is_available():
    pytest.skip("needs a GPU", allow_module_level=True)
PROMISED = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 5e-3}
# (m, n, b, inputs short of whole blocks, outputs short, batch)
SHAPES = [
    (1, 1, 7, 0, 0, (3,)),
    (3, 2, 8, 3, 5, (2, 3)),
    (1, 1, 127, 0, 0, (5,)),
    (2, 3, 64, 0, 1, (1,)),
    (5, 4, 48, 0, 0, (64,)),
    (1, 1, 768, 0, 0, (33,)),
]
every_backend = pytest.mark.parametrize("backend", BACKENDS)


def operands(shape, dtype, device="cuda"):
    m, n, b, short_in, short_out, batch = shape
    d_in, d_out = n * b - short_in, m * b - short_out
    inner = dtype if dtype == torch.float64 else torch.float32
    tensors = (
        torch.randn(*batch, d_in).to(dtype),
        (torch.randn(m, n, b) / b**0.5).to(inner),
        torch.randn(d_in).to(inner),
        torch.randn(d_out).to(inner),
        torch.randn(*batch, d_out).to(dtype),
    )
    return [t.to(device).requires_grad_() for t in tensors]


def values(inputs, backend, layout, g):
    y = diagonal_circulant_matmul(*inputs, 0.7, layout, backend)
    return y, *torch.autograd.grad(y, inputs, g.to(y.dtype))


@every_backend
@pytest.mark.parametrize("layout", ["column", "row"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", PROMISED, ids=str)
def test_value_and_gradients(backend, layout, shape, dtype, error):
    inputs = operands(shape, dtype)
    g = torch.randn_like(inputs[4])
    exact = [t.detach().cpu().double().requires_grad_() for t in inputs]
    truth = values(exact, "reference", layout, g.cpu())
    for value, true in zip(values(inputs, backend, layout, g), truth, strict=True):
        assert value.is_cuda and error(value.cpu(), true) <= PROMISED[dtype]


@every_backend
@pytest.mark.parametrize("shape", [(2, 3, 4, 1, 2, (2, 2)), (1, 1, 7, 0, 0, (3,))], ids=str)
def test_gradcheck(backend, shape):
    inputs = operands(shape, torch.float64)
    assert torch.autograd.gradcheck(lambda *t: diagonal_circulant_matmul(*t, 0.5, "row", backend), inputs)


def layer(config, width=(48, 96)):
    torch.manual_seed(0)
    frozen = nn.Sequential(nn.Linear(*width))
    options = {"target_modules": ["0"], "init_weights": False, "alpha": 1.0 if config is CDVFTConfig else 20.0}
    return inject(frozen, config(block_size=24, **options))


def output_and_gradients(model, x, backend):
    x = x.detach().requires_grad_()
    with use_backend(backend):
        y = model(x)
        return y, *torch.autograd.grad(y.square().sum(), [x, *(p for p in model.parameters() if p.requires_grad)])


@pytest.mark.parametrize("config", [C3AConfig, CDVFTConfig])
@pytest.mark.parametrize("backend", ["auto", "fold", *BACKENDS])
def test_an_adapted_layer_and_its_merged_weight(config, backend, error):
    model, x = layer(config), torch.randn(64, 48)
    truth = output_and_gradients(copy.deepcopy(model).double(), x.double(), "reference")
    model = model.cuda()
    for value, true in zip(output_and_gradients(model, x.cuda(), backend), truth, strict=True):
        assert error(value.cpu(), true) < 1e-5
    model[0].merge()
    assert error(model[0].base_layer(x.cuda()).cpu(), truth[0]) < 1e-5
    model[0].unmerge()
    assert error(model(x.cuda()).cpu(), truth[0]) < 1e-5


@pytest.mark.parametrize("config", [C3AConfig, CDVFTConfig])
@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
def test_under_autocast(config, backend, error):
    model, x = layer(config).cuda(), torch.randn(64, 48, device="cuda")
    truth = output_and_gradients(model, x, "reference")
    with torch.autocast("cuda", dtype=torch.bfloat16):
        values = output_and_gradients(model, x, backend)
    assert values[0].dtype == torch.bfloat16 and all(p.dtype == torch.float32 for p in values[1:])
    for value, true in zip(values, truth, strict=True):
        assert error(value, true) < 0.02


@pytest.mark.parametrize("config", [C3AConfig, CDVFTConfig])
def test_compiled(config, error):
    model, x = layer(config).cuda(), torch.randn(64, 48, device="cuda")
    truth = output_and_gradients(model, x, "rfft")
    for value, true in zip(output_and_gradients(torch.compile(model, fullgraph=True), x, "rfft"), truth, strict=True):
        assert error(value, true) < 1e-5
