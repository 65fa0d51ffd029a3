"""The rule of "auto", the backends that can be forced, and when an adapted layer folds."""

import re

import pytest
import torch

from circpeft import available_backends, block_circular_matmul, costs, use_backend
from circpeft.ops import dispatch
from circpeft.ops.dispatch import NARROW, SMALL_BLOCK, Layer, folds, layer_way, resolve_backend
from tests.versions import needs

CPU = torch.device("cpu")


def test_auto_chooses_by_block_size():
    assert resolve_backend("auto", SMALL_BLOCK - 1, CPU) == "reference"
    assert resolve_backend("auto", SMALL_BLOCK, CPU) == "rfft"
    assert resolve_backend("reference", 4096, CPU) == "reference"


def test_use_backend_ends_with_its_block_and_after_an_error():
    with use_backend("reference"):
        assert resolve_backend("auto", 768, CPU) == "reference" and resolve_backend("rfft", 768, CPU) == "rfft"
        with use_backend("auto"):
            assert resolve_backend("auto", 768, CPU) == "rfft"
    with pytest.raises(RuntimeError), use_backend("reference"):
        raise RuntimeError
    assert resolve_backend("auto", 768, CPU) == "rfft"


def test_errors_name_an_unknown_backend_and_the_nearest():
    with pytest.raises(ValueError, match="unknown backend 'ftt'.*rfft"), use_backend("ftt"):
        pass
    with pytest.raises(
        ValueError, match=f"unknown backend 'fold'.*choices: auto, {', '.join(available_backends('cpu'))}"
    ):
        block_circular_matmul(torch.ones(2), torch.ones(1, 1, 2), backend="fold")


def test_the_environment_variable_forces_a_backend(run_python, monkeypatch):
    monkeypatch.setenv("CIRCPEFT_BACKEND", "leaf")
    code = "from circpeft.ops.dispatch import resolve_backend; print(resolve_backend('auto', 768, None))"
    assert run_python(code).strip() == "leaf"
    monkeypatch.setenv("CIRCPEFT_BACKEND", "fft")
    message = run_python("try:\n    import circpeft.ops\nexcept ValueError as error:\n    print(error)")
    assert "'fft' in CIRCPEFT_BACKEND" in message and "rfft" in message


@pytest.mark.parametrize("name", ["dft", "triton"])
def test_errors_name_what_replaced_a_former_backend(name, run_python, monkeypatch):
    replaced = r"was replaced by 'leaf'; choices: auto, rfft, leaf, "
    with pytest.raises(ValueError, match=f"^backend '{name}' in use_backend {replaced}"), use_backend(name):
        pass
    with pytest.raises(ValueError, match=f"^backend '{name}' {replaced}"):
        block_circular_matmul(torch.ones(2), torch.ones(1, 1, 2), backend=name)
    with pytest.raises(ValueError, match=f"^c3a: backend '{name}' was replaced by 'leaf'; choices: rfft, leaf, "):
        costs.parameters("c3a", 8, 8, backend=name)
    monkeypatch.setenv("CIRCPEFT_BACKEND", name)
    message = run_python("try:\n    import circpeft.ops\nexcept ValueError as error:\n    print(error)")
    assert re.match(f"backend '{name}' in CIRCPEFT_BACKEND {replaced}", message)


def test_folds_only_where_it_is_exact_and_faster():
    many, few, weight = torch.randn(8, 64, 256), torch.randn(1, 256), torch.nn.Parameter(torch.randn(256, 256))
    assert folds(many, weight) and not folds(few, weight)
    some = torch.randn(103, 256)  # 0.4 per row of the weight: enough for many blocks, with their expensive transforms
    assert folds(some, weight, blocks=64) and not folds(some, weight, blocks=4)
    assert not folds(many, weight, has_diagonals=True)
    assert not folds(many.bfloat16(), weight.bfloat16()) and not folds(many.double(), weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not folds(many, weight)
    with use_backend("rfft"):
        assert not folds(many, weight)
    with use_backend("fold"):
        assert folds(few, weight) and not folds(few.half(), weight.half())


def test_the_thresholds_of_folding_are_exact():
    weight = torch.nn.Parameter(torch.empty(256, 256))
    assert [folds(torch.empty(t, 256), weight, blocks=16) for t in (127, 128)] == [False, True]  # half a token per row
    assert [folds(torch.empty(t, 256), weight, blocks=17) for t in (89, 90)] == [False, True]  # 0.35


def test_a_tiny_weight_folds_for_any_number_of_tokens():
    weight, larger = (torch.nn.Parameter(torch.empty(rows, 128)) for rows in (128, 129))
    x = torch.randn(1, 128)
    assert folds(x, weight, has_diagonals=True) and not folds(x, larger)


def of_gpu(dtype, width, b=64, tokens=2048, tf32=False, w_dtype=torch.float32, d_out=None):
    """Return the way of a layer on a GPU that does not have to be there."""
    size = torch.Size([d_out or width, width])
    kernels = torch.Size([d // b for d in size] + [b])
    return layer_way(Layer(tokens, "cuda", (dtype, dtype, w_dtype), size, kernels, False, "auto", False, tf32))


def test_the_rule_on_a_gpu(monkeypatch):
    for half in (torch.bfloat16, torch.float16):
        assert of_gpu(half, 768) == of_gpu(half, NARROW, b=4) == "dense"
        assert of_gpu(half, 4096) == of_gpu(half, NARROW, d_out=4096) == of_gpu(half, 4096, tokens=1) == "leaf"
    assert of_gpu(torch.float32, 768) == of_gpu(torch.float32, 768, tokens=1) == "fold"
    assert of_gpu(torch.float32, 4096) == of_gpu(torch.float32, 768, w_dtype=torch.float64) == "rfft"
    assert of_gpu(torch.float32, 4096, b=4) == "reference"
    assert of_gpu(torch.float64, 4096, w_dtype=torch.float64) == "rfft"
    monkeypatch.setattr(dispatch, "tf32_allowed", lambda: True)
    assert of_gpu(torch.float32, 768, tf32=True) == "dense" and of_gpu(torch.float32, 4096, tf32=True) == "leaf"
    with use_backend("rfft"):
        assert resolve_backend("auto", 64, torch.device("cuda"), torch.bfloat16, 4096) == "rfft"
    assert resolve_backend("auto", 64, torch.device("cuda"), torch.bfloat16, 4096) == "leaf"


class GpuInput:
    """A substitute for an input on a GPU, with the attributes that `folds` reads."""

    dtype = torch.float32

    def __init__(self, *shape: int, device: str = "cuda") -> None:
        self.shape, self.device = torch.Size(shape), torch.device(device)

    def numel(self) -> int:
        return self.shape.numel()


def test_folds_narrow_layers_on_a_gpu():
    weight, wide = (torch.nn.Parameter(torch.empty(width, 768, device="meta")) for width in (768, 3072))
    assert folds(GpuInput(48, 256, 768), weight) and folds(GpuInput(1, 768), weight, has_diagonals=True)
    assert not folds(GpuInput(48, 256, 768), wide) and not folds(GpuInput(48, 256, 768), weight.bfloat16())
    with use_backend("fold"):
        assert folds(GpuInput(2, 768), wide)


def test_layers_on_other_devices_fold_only_if_that_is_asked_for():
    weight = torch.nn.Parameter(torch.empty(64, 64, device="meta"))
    for device in ("xpu", "meta"):  # torch cannot be asked for the autocast of the second
        assert not folds(GpuInput(512, 64, device=device), weight)
    with use_backend("rfft"):
        assert not folds(GpuInput(512, 64, device="meta"), weight)
    with use_backend("fold"):
        assert folds(GpuInput(512, 64, device="xpu"), weight)


@pytest.mark.parametrize(
    "setting",
    [
        "set_float32_matmul_precision('high')",
        pytest.param("backends.fp32_precision = 'tf32'", marks=needs("torch", "2.9", "the setting is new")),
        "backends.cuda.nothing = 0",
    ],
)
def test_with_tf32_allowed_no_layer_folds_and_leaf_uses_tf32(run_python, setting):
    # In a new process, because after the newer setting has been used, the older getters always fail.
    code = f"""
import torch
torch.{setting}
from types import SimpleNamespace
from circpeft.ops import folds
from circpeft.ops.backends import leaf_triton
x = SimpleNamespace(device=torch.device("cuda"), dtype=torch.float32, shape=(12288, 768), numel=lambda: 12288 * 768)
print(folds(x, torch.nn.Parameter(torch.empty(768, 768, device="meta"))), leaf_triton._precision(torch.float32))
"""
    assert run_python(code).strip() == ("True tf32x3" if setting.endswith("= 0") else "False tf32")
