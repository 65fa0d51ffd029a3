"""Launches of Triton kernels. If Triton is missing, too old or broken, there is one warning, and torch computes."""

import os
import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

OLDEST = (3, 4)
_unusable: list[str] = []  # why Triton itself cannot be used


class KernelFailed(Exception):
    """Triton could not run a kernel."""


class TritonUnusable(KernelFailed):
    """Triton is missing or too old."""


@cache
def _check_triton() -> None:
    try:
        triton = import_module("triton")
    except ImportError as problem:
        raise TritonUnusable(f"Triton cannot be imported ({problem})") from problem
    if tuple(int(part) for part in triton.__version__.split(".")[:2]) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise TritonUnusable(f"Triton {triton.__version__} is too old; circpeft needs {needed} or later")


@cache
def _is_interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def _on_device_of(arguments: tuple[Any, ...]) -> AbstractContextManager[Any]:
    """Return a context in which Triton launches on the GPU of the tensors, which may not be the current one."""
    device = next(t.device for t in arguments if isinstance(t, Tensor))
    if device.type != "cuda" or device.index == torch.cuda.current_device():
        return nullcontext()
    return torch.cuda.device(device)


class Kernels:
    """The Triton kernels of one module, which is imported at the first launch.

    Args:
        module: the module's name.
        results: what the kernels compute, for the warning that torch computes it.
    """

    def __init__(self, module: str, results: str) -> None:
        self.module, self.results = module, results
        self.failed = False

    def are_usable(self, device: torch.device) -> bool:
        """Return whether to try the kernels: on a GPU, or in Triton's interpreter, and if they have not failed yet."""
        return (device.type == "cuda" or _is_interpreted()) and not self.failed and not _unusable

    def launch(self, kernel: str, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
        """Run a kernel.

        Raises: KernelFailed, with the kernel and its constants, if Triton is missing or too old, or fails.
        """
        _check_triton()
        try:
            with _on_device_of(arguments):
                getattr(self._imported(), kernel)[grid](*arguments, **constants)
        except Exception as problem:  # an installation or a compiler may fail in any way
            sizes = ", ".join(f"{name}={value}" for name, value in constants.items())
            raise KernelFailed(
                f"The Triton kernel {kernel!r} with {sizes} failed ({type(problem).__name__}: {problem})"
            ) from problem

    def _imported(self) -> ModuleType:
        return import_module(self.module)

    def give_up(self, problem: KernelFailed) -> None:
        """Warn that the kernels are not used from now on; nor are any others if Triton itself cannot be used."""
        self.failed = True
        results = self.results
        if isinstance(problem, TritonUnusable):
            _unusable.append(str(problem))
            results = "everything"
        warnings.warn(f"{problem}. From now on, torch computes {results} without Triton.", stacklevel=2)
