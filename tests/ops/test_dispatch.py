"""The rule of "auto", the backends that can be forced, and when an adapted layer folds."""

import re

import pytest
import torch

from circpeft import available_backends, block_circular_matmul, costs, use_backend
from circpeft.ops.dispatch import SMALL_BLOCK, folds, resolve_backend

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
    many, few, weight = torch.randn(8, 64, 32), torch.randn(1, 32), torch.nn.Parameter(torch.randn(32, 32))
    assert folds(many, weight) and not folds(few, weight)
    some = torch.randn(13, 32)  # 0.4 per row of the weight: enough for many blocks, with their expensive transforms
    assert folds(some, weight, blocks=64) and not folds(some, weight, blocks=4)
    assert not folds(many.bfloat16(), weight.bfloat16()) and not folds(many.double(), weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not folds(many, weight)
    with use_backend("rfft"):
        assert not folds(many, weight)
    with use_backend("fold"):
        assert folds(few, weight) and not folds(few.half(), weight.half())


class GpuInput:
    """A substitute for an input on a GPU, with the attributes that `folds` reads."""

    device, dtype = torch.device("cuda"), torch.float32

    def __init__(self, *shape: int) -> None:
        self.shape = torch.Size(shape)

    def numel(self) -> int:
        return self.shape.numel()


def test_folds_on_a_gpu_with_as_many_tokens_and_as_small_a_weight_as_measured():
    weight = torch.nn.Parameter(torch.empty(768, 768, device="meta"))
    large = torch.nn.Parameter(torch.empty(3072, 768, device="meta"))
    assert folds(GpuInput(48, 256, 768), weight) and not folds(GpuInput(47, 256, 768), weight)
    assert not folds(GpuInput(48, 256, 768), large) and not folds(GpuInput(48, 256, 768), weight.bfloat16())
    with use_backend("fold"):
        assert folds(GpuInput(2, 768), large)


@pytest.mark.parametrize(
    "setting", ["set_float32_matmul_precision('high')", "backends.fp32_precision = 'tf32'", "backends.cuda.nothing = 0"]
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
