"""Exact counts against real modules: FLOPs operation by operation, parameters, and saved and moved bytes."""

from contextlib import ExitStack
from functools import partial
from unittest.mock import patch

import pytest
import torch
from peft import BOFTConfig, FourierFTConfig, IA3Config, LoraConfig, VeraConfig, get_peft_model
from peft.tuners.boft import layer as boft_layer
from torch import nn

from circpeft import C3AConfig, CDVFTConfig, available_backends, costs, inject, merge, use_backend
from circpeft.profiling import FlopCounter, count_flops, count_saved_bytes

pytestmark = pytest.mark.filterwarnings(
    "ignore:Failed to load the CUDA extension", "ignore:Setting boft_n_butterfly_factor"
)
TOKENS = 24  # within one chunk of the rfft backend


class Frozen(nn.Module):
    """A frozen linear layer with a name that PEFT can target."""

    def __init__(self, d_in, d_out, bias=False):
        super().__init__()
        self.layer = nn.Linear(d_in, d_out, bias=bias).requires_grad_(False)

    def forward(self, x):
        return self.layer(x)


class LaMDA(nn.Module):
    """A layer ``W0 x + B S A x``: A is frozen, S is trained, and B is trained until it is frozen."""

    def __init__(self, d_in, d_out, r, frozen):
        super().__init__()
        self.base = Frozen(d_in, d_out)
        self.a = nn.Linear(d_in, r, bias=False).requires_grad_(False)
        self.s = nn.Linear(r, r, bias=False)
        self.b = nn.Linear(r, d_out, bias=False).requires_grad_(not frozen)

    def forward(self, x):
        return self.base(x) + self.b(self.s(self.a(x)))

    def merge_and_unload(self):
        return self.base.layer.weight + self.b.weight @ (self.s.weight @ self.a.weight)


def peft_model(config, d_in, d_out, **options):
    return get_peft_model(Frozen(d_in, d_out), config(target_modules=["layer"], **options))


def lora(d_in, d_out, r):
    return peft_model(LoraConfig, d_in, d_out, r=r)


def dora(d_in, d_out, r):
    return peft_model(LoraConfig, d_in, d_out, r=r, use_dora=True)


def vera(d_in, d_out, r):
    model = peft_model(VeraConfig, d_in, d_out, r=r, d_initial=0.1)
    layer = model.base_model.model.layer
    for name in ("vera_A", "vera_B"):  # as buffers they do not count as saved bytes
        model.register_buffer(f"own_{name}", getattr(layer, name)["default"])
    return model


def fourierft(d_in, d_out, n_frequency):
    model = peft_model(FourierFTConfig, d_in, d_out, n_frequency=n_frequency, scaling=1.0)
    model.register_buffer("own_indices", model.base_model.model.layer.indices["default"])
    return model


def ia3(d_in, d_out, feedforward):
    return peft_model(IA3Config, d_in, d_out, feedforward_modules=["layer"] if feedforward else [])


class BlockDiagonals:
    """The block-diagonal matrix of each butterfly factor. PEFT builds several with its compiled CUDA extension only."""

    @staticmethod
    def apply(blocks):
        return torch.stack([torch.block_diag(*factor) for factor in blocks])


def boft(d_in, d_out, block_size, n_butterfly_factor=1):
    options = {"boft_block_size": block_size, "boft_n_butterfly_factor": n_butterfly_factor}
    model = peft_model(BOFTConfig, d_in, d_out, **options)
    model.register_buffer("own_permutations", model.base_model.model.layer.boft_P)
    return model


def ours(config, d_in, d_out, backend, **options):
    return inject(Frozen(d_in, d_out), config(target_modules=["layer"], init_weights=False, **options))


def full(d_in, d_out, bias):
    model = Frozen(d_in, d_out, bias)
    return model.requires_grad_(True)


def bitfit(d_in, d_out):
    model = Frozen(d_in, d_out, bias=True)
    model.layer.bias.requires_grad_(True)
    return model


BUILDERS = {
    "full": full,
    "head": Frozen,
    "bitfit": bitfit,
    "ia3": ia3,
    "lora": lora,
    "dora": dora,
    "vera": vera,
    "fourierft": fourierft,
    "boft": boft,
    "lamda": LaMDA,
    "c3a": partial(ours, C3AConfig),
    "cdvft": partial(ours, CDVFTConfig),
}
CASES = [
    ("full", {"bias": False}),
    ("full", {"bias": True}),
    ("head", {}),
    ("bitfit", {}),
    ("ia3", {"feedforward": False}),
    ("ia3", {"feedforward": True}),
    ("lora", {"r": 4}),
    ("dora", {"r": 4}),
    ("vera", {"r": 40}),
    ("fourierft", {"n_frequency": 50}),
    ("boft", {"block_size": 4}),
    ("boft", {"block_size": 8}),
    ("boft", {"block_size": 4, "n_butterfly_factor": 2}),
    ("boft", {"block_size": 4, "n_butterfly_factor": 3}),
    ("lamda", {"r": 6, "frozen": False}),
    ("lamda", {"r": 6, "frozen": True}),
    *[
        ("c3a", {"block_size": b, "backend": backend})
        for b in (1, 2, 8, 16, "auto")
        for backend in available_backends()
    ],
    *[
        ("cdvft", {"block_size": b, "num_factors": k, "backend": backend})
        for b, k in ((16, 3), (10, 3), (7, 5), ("auto", 3))
        for backend in available_backends()
    ],
]
SHAPES = [(32, 32), (48, 32), (32, 64)]


@pytest.fixture
def build():
    """Return a function that builds a method on one layer, computed by the backend in its hyperparameters."""
    with ExitStack() as forced:

        def build_method(method, d_in, d_out, hyperparameters):
            forced.enter_context(use_backend(hyperparameters.get("backend", "rfft")))
            if hyperparameters.get("n_butterfly_factor", 1) > 1:
                extension = {"get_fbd_cuda": lambda: True, "FastBlockDiag": BlockDiagonals}
                forced.enter_context(patch.multiple(boft_layer, **extension))
            torch.manual_seed(0)
            return BUILDERS[method](d_in, d_out, **hyperparameters)

        yield build_method


def inputs(d_in):
    return torch.randn(TOKENS, d_in, requires_grad=True)


def frozen_flops(d_in, d_out):
    return count_flops(Frozen(d_in, d_out), inputs(d_in))


@pytest.mark.parametrize(("d_in", "d_out"), SHAPES)
@pytest.mark.parametrize(("method", "hyperparameters"), CASES, ids=str)
def test_flops_equal_the_counts_of_the_module(build, method, hyperparameters, d_in, d_out):
    counted = count_flops(build(method, d_in, d_out, hyperparameters), inputs(d_in))
    base = frozen_flops(d_in, d_out)
    for direction in ("forward", "backward"):
        expected = costs.flops(method, d_in, d_out, tokens=TOKENS, direction=direction, **hyperparameters)
        # Transforms whose size is not a power of two have fractional FLOPs, which the backends round.
        assert abs(getattr(counted, direction) - getattr(base, direction) - expected) <= 4, direction
    both = costs.flops(method, d_in, d_out, tokens=TOKENS, direction="both", **hyperparameters)
    assert abs(counted - base - both) <= 8


@pytest.mark.parametrize(("d_in", "d_out"), SHAPES)
@pytest.mark.parametrize(("method", "hyperparameters"), CASES, ids=str)
def test_parameters_equal_those_of_the_module(build, method, hyperparameters, d_in, d_out):
    model = build(method, d_in, d_out, hyperparameters)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert costs.parameters(method, d_in, d_out, **hyperparameters) == trained


@pytest.mark.parametrize(("d_in", "d_out"), SHAPES)
@pytest.mark.parametrize(("method", "hyperparameters"), CASES, ids=str)
def test_saved_bytes_equal_the_counts_of_the_module(build, method, hyperparameters, d_in, d_out):
    x = inputs(d_in)
    counted = count_saved_bytes(build(method, d_in, d_out, hyperparameters), x)
    assert counted == costs.saved_bytes(method, d_in, d_out, TOKENS, **hyperparameters)


@pytest.mark.parametrize(("method", "hyperparameters"), CASES, ids=str)
def test_a_forward_pass_moves_at_least_the_least_bytes(build, method, hyperparameters):
    with FlopCounter() as adapted, torch.no_grad():
        build(method, 32, 64, hyperparameters)(inputs(32))
    with FlopCounter() as base, torch.no_grad():
        Frozen(32, 64)(inputs(32))
    # The counter leaves out copies, and "dense" copies the kernel's entries into the matrix.
    is_dense = hyperparameters.get("backend") == "dense"
    copied = 4 * (32 * 64 + costs.parameters(method, 32, 64, **hyperparameters)) if is_dense else 0
    assert adapted.bytes - base.bytes + copied >= costs.moved_bytes(method, 32, 64, TOKENS, **hyperparameters)


# Numbers of the method that are read once, those of a dense matrix that is written and read, and numbers per token.
MOVED = [
    ("full", {}, 0, 0, 0),
    ("bitfit", {}, 0, 0, 0),
    ("ia3", {"feedforward": False}, 64, 0, 2 * 64),
    ("ia3", {"feedforward": True}, 32, 0, 2 * 32),
    ("lora", {"r": 4}, 4 * (32 + 64), 0, 32 + 2 * 64),
    ("vera", {"r": 40}, 40 + 64 + 40 * (32 + 64), 0, 32 + 2 * 64),
    ("fourierft", {"n_frequency": 50}, 50, 32 * 64, 32 + 2 * 64),
    ("boft", {"block_size": 4}, 32 * 4 + 64, 32 * 32, 32 + 2 * 64),
    ("lamda", {"r": 6, "frozen": False}, 36 + 6 * 64 + 6 * 32, 0, 32 + 2 * 64),
    ("lamda", {"r": 6, "frozen": True}, 36 + 6 * 64 + 6 * 32, 0, 32 + 2 * 64),
    ("c3a", {"block_size": 8, "backend": "rfft"}, 32 * 64 // 8, 0, 32 + 2 * 64),
    ("c3a", {"block_size": 8, "backend": "dense"}, 32 * 64 // 8, 32 * 64, 32 + 2 * 64),
]


@pytest.mark.parametrize(("method", "hyperparameters", "read", "dense", "per_token"), MOVED, ids=str)
def test_the_least_bytes_are_what_has_to_be_read_and_written(method, hyperparameters, read, dense, per_token):
    expected = 4 * (read + 2 * dense) + 2 * 10 * per_token  # ten tokens in half precision
    assert costs.moved_bytes(method, 32, 64, tokens=10, dtype_bytes=2, **hyperparameters) == expected


MERGES = [
    ("full", {"bias": False}),
    ("head", {}),
    ("bitfit", {}),
    ("lora", {"r": 4}),
    ("dora", {"r": 4}),
    ("vera", {"r": 40}),
    ("fourierft", {"n_frequency": 50}),
    ("ia3", {"feedforward": False}),
    ("ia3", {"feedforward": True}),
    ("boft", {"block_size": 4}),
    ("boft", {"block_size": 8, "n_butterfly_factor": 2}),
    ("lamda", {"r": 6, "frozen": True}),
    ("c3a", {"block_size": 8, "backend": "rfft"}),
    ("cdvft", {"block_size": 16, "num_factors": 3, "backend": "rfft"}),
    ("cdvft", {"block_size": 10, "num_factors": 5, "backend": "rfft"}),
]


@pytest.mark.parametrize(("method", "hyperparameters"), MERGES, ids=str)
def test_merge_flops_equal_the_counts_of_the_module(build, method, hyperparameters):
    model = build(method, 32, 64, hyperparameters)
    with FlopCounter() as counter:
        if "backend" in hyperparameters:
            merge(model)
        elif hasattr(model, "merge_and_unload"):  # without an adapter nothing is merged
            model.merge_and_unload()
    # The Cayley transforms of BOFT have fractional FLOPs.
    assert abs(counter.total - costs.merge_flops(method, 32, 64, **hyperparameters)) <= 0.5


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("block_size", ["auto", 8], ids=["scale 1", "scale 1/2"])
def test_counts_of_a_single_diagonal_equal_those_of_the_module(build, block_size, backend):
    h, x = {"num_factors": 1, "block_size": block_size, "backend": backend}, inputs(32)
    model, base = build("cdvft", 32, 32, h), frozen_flops(32, 32)
    counted = count_flops(model, x)
    for direction in ("forward", "backward"):
        expected = costs.flops("cdvft", 32, 32, tokens=TOKENS, direction=direction, **h)
        assert getattr(counted, direction) - getattr(base, direction) == expected
    assert count_saved_bytes(model, x) == costs.saved_bytes("cdvft", 32, 32, TOKENS, **h)
    assert costs.parameters("cdvft", 32, 32, **h) == 32
    with FlopCounter() as counter:
        merge(model)
    assert counter.total == costs.merge_flops("cdvft", 32, 32, **h)
