"""Fixtures for tests of Triton kernels: rounding in the interpreter, and compiling for GPUs that are not there."""

import importlib
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from circpeft.ops.triton_launch import OLDEST, Kernels

MAKEFILE = Path(__file__).parents[2] / "Makefile"
TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16"}


@pytest.fixture
def rounded(monkeypatch):
    """Let the interpreter round to bfloat16, as a GPU does; by itself it truncates."""
    if os.environ.get("TRITON_INTERPRET") != "1":
        return
    interpreter = importlib.import_module("triton.runtime.interpreter")
    convert = interpreter._convert_float

    def rounding(values, from_dtype, to_dtype, mode):
        if (from_dtype.name, to_dtype.name) != ("fp32", "bf16"):
            return convert(values, from_dtype, to_dtype, mode)
        bits = np.ascontiguousarray(values).view(np.uint32)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)

    monkeypatch.setattr(interpreter, "_convert_float", rounding)


@dataclass
class CompiledKernel:
    """A kernel's constants and code, the bytes of registers that it spills, and those of each access to memory."""

    name: str
    constants: dict
    ptx: str = field(repr=False)
    spilled: int

    @property
    def reads(self):
        return self._widths("ld")

    @property
    def writes(self):
        return self._widths("st")

    def _widths(self, access):
        pattern = rf"\b{access}\.global(?:\.(?!v\d|b\d)[\w:]+)*(?:\.v(\d))?\.b(\d+)"
        found = re.findall(pattern, self.ptx)
        assert len(found) == len(re.findall(rf"\b{access}\.global", self.ptx)) > 0
        return [int(count or 1) * int(bits) // 8 for count, bits in found]


def _ptx(kernel, arguments, constants, capability):
    """Return the code of a kernel for a GPU."""
    compiler, backends = (importlib.import_module(f"triton.{name}") for name in ("compiler", "backends.compiler"))
    constants = dict(constants)
    options = {option: constants.pop(option) for option in ("num_warps", "enable_fp_fusion") if option in constants}
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
    return compiler.compile(source, target=backends.GPUTarget("cuda", capability, 32), options=options).asm["ptx"]


def _spilled(assembler, ptx, capability, folder):
    """Return the bytes of registers that the assembler spills."""
    (folder / "kernel.ptx").write_text(ptx)
    architecture = f"sm_{capability}{'a' if capability == 90 else ''}"
    command = [assembler, "-v", f"--gpu-name={architecture}", folder / "kernel.ptx", "-o", "/dev/null"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    spills = re.findall(r"(\d+) bytes spill", said)
    assert len(spills) == 2, said
    return sum(map(int, spills))


@pytest.fixture
def is_pinned_triton():
    """Tell whether this is the Triton of `make test`. With others, some kernels spill a few bytes of registers."""
    return f"triton=={pytest.importorskip('triton').__version__}" in MAKEFILE.read_text(encoding="utf-8").split()


@pytest.fixture
def compiled_kernels(tmp_path, monkeypatch):
    """Return a function that compiles the kernels which a call launches, without launching them."""
    if os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("interpreted kernels are not compiled")
    triton = pytest.importorskip("triton")
    if tuple(int(part) for part in triton.__version__.split(".")[:2]) < OLDEST:
        pytest.skip(f"Triton {triton.__version__} is too old: these kernels need {'.'.join(map(str, OLDEST))} or later")
    assembler = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
    if not assembler.exists():
        pytest.skip("this Triton has no ptxas")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))

    def compiled(call, capability):
        launches = {}

        def launch(kernels, name, grid, *arguments, **constants):
            kernel = getattr(importlib.import_module(kernels.module), name)
            dtypes = [t.dtype for t in arguments if isinstance(t, torch.Tensor)]
            launches[name, str(constants), str(dtypes)] = kernel, arguments, constants

        with monkeypatch.context() as patch:
            patch.setattr(Kernels, "launch", launch)
            patch.setattr(Kernels, "are_usable", lambda kernels, device: True)
            call()
        found = []
        for (name, *_), (kernel, arguments, constants) in launches.items():
            ptx = _ptx(kernel, arguments, constants, capability)
            found.append(CompiledKernel(name, constants, ptx, _spilled(assembler, ptx, capability, tmp_path)))
        return found

    return compiled
