"""The Triton kernels of backend "leaf" compile for GPUs that are not there: no spills, and wide reads and writes.

`make test` runs this with Triton from a folder of its own, and without its interpreter.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
import torch

from circpeft.ops.backends import leaf_triton
from circpeft.ops.triton_launch import Kernels

if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("interpreted kernels are not compiled", allow_module_level=True)
triton = pytest.importorskip("triton")
compiler = pytest.importorskip("triton.compiler")
backends = pytest.importorskip("triton.backends.compiler")
PTXAS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
if not PTXAS.exists():
    pytest.skip("this Triton has no ptxas", allow_module_level=True)

TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16"}
# (d_in, d_out, b, dtype): leaves of one and of several numbers, a transform whose size is not a power of two,
# incomplete blocks
LAYERS = [
    (4096, 4096, 128, torch.bfloat16),
    (4096, 4096, 4096, torch.bfloat16),
    (768, 3072, 768, torch.float32),
    (768, 768, 48, torch.float16),
    (4096, 1024, 768, torch.bfloat16),
]
# They read and write every number of the activations once. The others are for numbers of the kernels only, a hundredth
# of these or less. Their shifts leave them single numbers in float32, beside each other in neighbouring threads.
OF_ACTIVATIONS = {"transform", "inverse", "inverse_and_sum"}
KERNELS = {*OF_ACTIVATIONS, "leaf_matrices", "kernel_gradient"}


@pytest.fixture
def launched(monkeypatch):
    """Record launches instead of making them: the names, arguments and constants of kernels."""
    launches = []
    monkeypatch.setattr(
        Kernels, "launch", lambda kernels, name, grid, *a, **constants: launches.append((name, a, constants))
    )
    monkeypatch.setattr(Kernels, "are_usable", lambda kernels, device: True)
    return launches


def run(d_in, d_out, b, dtype):
    """Launch every kernel of a layer with diagonals and of one without, on tensors that have no values."""
    m, n = -(-d_out // b), -(-d_in // b)
    x, g, dx, y = (torch.empty(8, d, dtype=dtype, device="meta") for d in (d_in, d_out, d_in, d_out))
    w, first, last = (torch.empty(size, device="meta") for size in ((m, n, b), (d_in,), (d_out,)))
    for diagonals in ((None, None), (first, last)):
        leaf_triton.diagonal_matmul(x, w, "row", *diagonals, g, y, 0.5)
        leaf_triton.diagonal_matmul_backward(g, x, w, "row", *diagonals, dx, 0.5, False)


def compiled(name, arguments, constants, capability):
    """Return the code of a kernel for a GPU, and what the assembler says about it."""
    kernel = getattr(__import__("circpeft.ops.backends.leaf_kernels", fromlist=[name]), name)
    constants = dict(constants)
    options = {"num_warps": constants.pop("num_warps")}
    signature = dict.fromkeys(constants, "constexpr")
    divisible = {}
    for i, (parameter, value) in enumerate(zip(kernel.arg_names, arguments, strict=False)):
        is_tensor = isinstance(value, torch.Tensor)
        signature[parameter] = TYPES[value.dtype] if is_tensor else "fp32" if isinstance(value, float) else "i32"
        if is_tensor or isinstance(value, int) and value % 16 == 0:
            divisible[(i,)] = [["tt.divisibility", 16]]
    source = compiler.ASTSource(
        fn=kernel,
        signature={parameter: signature[parameter] for parameter in kernel.arg_names},
        constexprs={(kernel.arg_names.index(parameter),): value for parameter, value in constants.items()},
        attrs=divisible,
    )
    target = backends.GPUTarget("cuda", capability, 32)
    return compiler.compile(source, target=target, options=options).asm["ptx"]


def assembled(ptx, capability, folder):
    """Return the bytes of registers that the assembler spills."""
    (folder / "kernel.ptx").write_text(ptx)
    architecture = f"sm_{capability}{'a' if capability == 90 else ''}"
    command = [PTXAS, "-v", f"--gpu-name={architecture}", folder / "kernel.ptx", "-o", "/dev/null"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    spills = re.findall(r"(\d+) bytes spill", said)
    assert len(spills) == 2, said
    return sum(map(int, spills))


def widths(ptx):
    """Return the bytes of every read and write of global memory."""
    accesses = re.findall(r"(?:ld|st)\.global(?:\.(?!v\d|b\d)[\w:]+)*(?:\.v(\d))?\.b(\d+)", ptx)
    assert len(accesses) == len(re.findall(r"\b(?:ld|st)\.global", ptx)) > 0
    return [int(count or 1) * int(bits) // 8 for count, bits in accesses]


@pytest.mark.parametrize("capability", [90, 80])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_kernels_compile_without_spills_and_with_wide_accesses(layer, capability, launched, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    run(*layer)
    assert {name for name, *_ in launched} == KERNELS
    seen = set()
    for name, arguments, constants in launched:
        if (name, str(constants)) in seen:
            continue
        seen.add((name, str(constants)))
        ptx = compiled(name, arguments, constants, capability)
        assert assembled(ptx, capability, tmp_path) == 0, (name, constants)
        assert min(widths(ptx)) >= (8 if name in OF_ACTIVATIONS else 4), (name, constants)
        assert "mma" in ptx, (name, constants)  # tensor cores
