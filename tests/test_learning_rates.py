"""The formulas of circpeft.learning_rates against actual matrices after one step of Adam."""

import math

import pytest
import torch
from torch import nn

from circpeft import C3A, CDVFT
from circpeft.learning_rates import lora_step, paper_to_lora_factor, scale_of_change, step_of_change

RATE = 1e-3
SHAPES = [(64, 64, 64), (64, 64, 8), (128, 64, 32), (64, 256, 16)]
pytestmark = pytest.mark.usefixtures("one_thread")


def adapter(method: str, d_in: int, d_out: int, b: int, alpha: float | str) -> nn.Module:
    kind = C3A if method == "c3a" else CDVFT
    return kind(d_in, d_out, block_size=b, alpha=alpha)


def stepped(module: nn.Module, signs: list[torch.Tensor] | None = None, inputs: int = 1) -> torch.Tensor:
    """The change of ΔW in one real step of Adam, for gradients of a random loss or of the given signs."""
    optimizer = torch.optim.Adam(module.parameters(), lr=RATE)
    if signs is None:
        x, g = torch.randn(inputs, module.d_in), torch.randn(inputs, module.d_out)
        (module(x) * g).sum().backward()
    else:
        for parameter, sign in zip(module.parameters(), signs, strict=True):
            parameter.grad = sign
    optimizer.step()
    return module.delta_weight().detach()


@pytest.mark.parametrize("alpha", ["lora", "paper", 3.0])
@pytest.mark.parametrize("method", ["c3a", "cdvft"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_step_of_adam_moves_the_weight_as_the_formulas_say(method, shape, alpha):
    d_in, d_out, b = shape
    expected = step_of_change(method, d_in, d_out, b, alpha, RATE)
    random = stepped(adapter(method, *shape, alpha), inputs=200)
    assert random.abs().min() == pytest.approx(expected.entry, rel=1e-3)
    assert random.abs().max() == pytest.approx(expected.entry, rel=1e-3)
    assert torch.linalg.matrix_norm(random, 2) == pytest.approx(expected.norm, rel=0.35)
    module = adapter(method, *shape, alpha)
    kernel = next(p for name, p in module.named_parameters() if "kernel" in name)
    coherent = stepped(module, [(p is kernel) * torch.ones_like(p) for p in module.parameters()])
    assert torch.linalg.matrix_norm(coherent, 2) == pytest.approx(expected.coherent_norm, rel=1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_smaller_blocks_follow_the_gradient_of_one_input_more_closely(shape):
    d_in, d_out, b = shape
    shares = []
    for _ in range(40):
        module, x, g = adapter("c3a", *shape, "lora"), torch.randn(d_in), torch.randn(d_out)
        optimizer = torch.optim.Adam(module.parameters(), lr=RATE, maximize=True)
        (module(x) @ g).backward()
        optimizer.step()
        shares.append(float((module(x) @ g / (g @ g)).detach()))
    assert sum(shares) / 40 == pytest.approx(step_of_change("c3a", *shape, rate=RATE).along_gradient, rel=0.1)


@pytest.mark.parametrize(("d_in", "d_out", "r", "alpha"), [(384, 384, 8, 8), (128, 512, 4, 16), (512, 128, 16, 8)])
def test_a_step_of_lora_moves_the_weight_as_the_formulas_say(d_in, d_out, r, alpha):
    expected = lora_step(d_in, d_out, r, alpha, RATE)
    a = torch.empty(r, d_in)
    nn.init.kaiming_uniform_(a, a=math.sqrt(5))  # PEFT's start
    random = alpha / r * RATE * torch.randn(d_out, r).sign() @ a
    assert random.square().mean().sqrt() == pytest.approx(expected.entry, rel=0.1)
    assert torch.linalg.matrix_norm(random, 2) == pytest.approx(expected.norm, rel=0.35)
    shares, norms = [], []
    for _ in range(40):
        nn.init.kaiming_uniform_(a, a=math.sqrt(5))
        x, g = torch.randn(d_in), torch.randn(d_out)
        one_input = alpha / r * RATE * torch.outer(g, a @ x).sign() @ a
        norms.append(float(torch.linalg.matrix_norm(one_input, 2)))
        shares.append(float(g @ one_input @ x / (g @ g)))
    assert sum(norms) / 40 == pytest.approx(expected.coherent_norm, rel=0.1)
    assert sum(shares) / 40 == pytest.approx(expected.along_gradient, rel=0.1)


def test_rates_of_both_scales_move_the_weight_alike():
    for d_in, d_out, b in SHAPES:
        paper = step_of_change("c3a", d_in, d_out, b, "paper", 0.3)
        lora = step_of_change("c3a", d_in, d_out, b, "lora", 0.3 * paper_to_lora_factor(d_in, d_out, b))
        assert paper == pytest.approx(lora)


def test_the_share_of_the_gradient_does_not_depend_on_the_block_size_with_lora():
    shares = {b: step_of_change("c3a", 64, 64, b, rate=RATE).along_gradient for b in (1, 8, 64)}
    assert shares[1] == pytest.approx(shares[8]) == pytest.approx(shares[64])
    paper = {b: step_of_change("c3a", 64, 64, b, "paper", RATE).along_gradient for b in (16, 64)}
    assert paper[16] == pytest.approx(2 * paper[64])


def test_the_scale_is_that_of_the_adapters():
    for d_in, d_out, b in SHAPES:
        for alpha in ("lora", "paper", -2.0):
            module = C3A(d_in, d_out, block_size=b, alpha=alpha)
            assert scale_of_change("c3a", d_in, d_out, b, alpha) == pytest.approx(module.alpha / d_in)
            assert (
                scale_of_change("cdvft", d_in, d_out, b, alpha) == CDVFT(d_in, d_out, block_size=b, alpha=alpha).alpha
            )
        assert scale_of_change("c3a-peft", d_in, d_out, b) == 1 / d_in


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scale_of_change("c3b", 8, 8, 8), "has no scale of ΔW; did you mean 'c3a'"),
        (lambda: step_of_change("c3a", 8, 8, 8, "loras"), "did you mean 'lora'"),
        (lambda: step_of_change("c3a", 8, 0, 8), "d_out must be a positive integer, got 0"),
        (lambda: paper_to_lora_factor(8, 8, True), "b must be a positive integer, got True"),
        (lambda: lora_step(8, 8, r=0), "r must be a positive integer, got 0"),
        *((lambda rate=rate: lora_step(8, 8, rate=rate), "above 0") for rate in (0, -1, math.inf, math.nan, "1", True)),
    ],
)
def test_wrong_values_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
