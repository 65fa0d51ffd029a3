"""Count what an adapted layer adds to the frozen one on a GPU: kernel launches and bytes moved. No GPU is needed.

    .venv/bin/python benchmarks/launches.py

Tensors have a shape and no values. Every operation of torch that computes or copies is one launch, which reads its
operands and writes its results once. A real launch may move less, where a cache still holds an operand, or more, where
it reads one twice. Triton kernels are counted in the same way. Bytes are in MB of 1e6 bytes.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from circpeft import use_backend
from circpeft.benchmarking import Case, layer_cases
from circpeft.ops import diagonal, product
from circpeft.ops.backends import rfft
from circpeft.ops.operator import IMPLEMENTATIONS
from circpeft.ops.triton_launch import Kernels

# (tokens, width, block size, dtype)
SIZES = [
    (2048, 4096, 128, torch.bfloat16),
    (2048, 4096, 4096, torch.bfloat16),
    (8192, 3072, 64, torch.float32),
    (8192, 768, 768, torch.float32),
]
NAMES = ("lora r=32", "peft c3a", "c3a rfft", "c3a leaf", "cdvft rfft", "cdvft leaf")


def _bytes(*values: Any) -> int:
    """Return the bytes of all tensors, each counted once; numbers that an expanded tensor repeats do not count."""
    tensors = {id(t): t for t in tree_leaves(values) if isinstance(t, Tensor)}.values()
    sizes = ((d if stride else 1 for d, stride in zip(t.shape, t.stride(), strict=True)) for t in tensors)
    return sum(torch.Size(size).numel() * t.element_size() for size, t in zip(sizes, tensors, strict=True))


def _moved(func: torch._ops.OpOverload, args: tuple, kwargs: dict, out: Any) -> int | None:
    """Return the bytes that an operation reads and writes; None if it launches nothing, as a view or an allocation."""
    aliases = [r.alias_info for r in func._schema.returns]
    is_view = any(alias is not None and not alias.is_write for alias in aliases)
    if (
        is_view
        or "empty" in func.__name__
        or func in (torch.ops.aten._unsafe_view.default, torch.ops.aten.detach.default)
    ):
        return None
    read = {k: v for k, v in kwargs.items() if k != "out"}
    overwritten = func._overloadpacket in (torch.ops.aten.copy_, torch.ops.aten.zero_, torch.ops.aten.fill_)
    return _bytes(args[1:] if overwritten else args, read) + _bytes(out)


class Launches(TorchDispatchMode):
    """A context that counts launches, and the bytes that they move.

    Attributes: ``launches``, a list of ``(name, bytes)`` in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches: list[tuple[str, int]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, packet = kwargs or {}, func._overloadpacket
        with self:
            if packet in IMPLEMENTATIONS:
                return IMPLEMENTATIONS[packet](*args, **kwargs)
            out = func.decompose(*args, **kwargs)
        if out is not NotImplemented:
            return out
        out = func(*args, **kwargs)
        moved = _moved(func, args, kwargs, out)
        if moved is not None:
            self.launches.append((packet.__name__, moved))
        return out

    @contextmanager
    def as_on_a_gpu(self) -> Iterator[None]:
        """Count the Triton kernels instead of running them, and compute all tokens at once."""

        def launch(kernels: Kernels, kernel: str, grid: tuple, *arguments: Any, **sizes: Any) -> None:
            self.launches.append((kernel, _bytes(arguments)))

        with (
            mock.patch.object(Kernels, "launch", launch),
            mock.patch.object(Kernels, "are_usable", lambda kernels, device: True),
            # torch cannot be asked for the autocast of tensors without values
            mock.patch.object(diagonal, "without_autocast", lambda device: nullcontext()),
            mock.patch.object(product, "without_autocast", lambda device: nullcontext()),
            mock.patch.dict(rfft.CHUNK_ELEMENTS, meta=rfft.CHUNK_ELEMENTS["cuda"]),
        ):
            yield


def counted(run: Callable[[], Any]) -> tuple[list[tuple[str, int]], Any]:
    """Return the launches of a call, and its result."""
    with Launches() as counter, counter.as_on_a_gpu():
        result = run()
    return counter.launches, result


def launches_of(case: Case) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Return the launches of the forward pass and those of the backward pass."""
    case.model.zero_grad()
    case.x.grad = None
    with use_backend(case.backend):
        forward, y = counted(lambda: case.model(case.x))
        backward, _ = counted(lambda: y.backward(torch.empty_like(y)))
    return forward, backward


def beyond_frozen(
    tokens: int, width: int, b: int, dtype: torch.dtype, names: tuple[str, ...] = NAMES
) -> dict[str, tuple[int, int, float]]:
    """Return launches forward and backward, and the MB of both, that each case adds to the frozen layer.

    Args:
        names: cases of `circpeft.benchmarking.layer_cases`.
    """
    cases = layer_cases(tokens, width, width, b, dtype, "meta", r=32)
    frozen = launches_of(cases["frozen"])
    rows = {}
    for name in names:
        launches_of(cases[name])  # makes tables that later calls have
        passes = launches_of(cases[name])
        forward, backward = (len(p) - len(f) for p, f in zip(passes, frozen, strict=True))
        moved = sum(b for _, b in chain(*passes)) - sum(b for _, b in chain(*frozen))
        rows[name] = forward, backward, moved / 1e6
    return rows


def main() -> None:
    argparse.ArgumentParser(description="Count launches and bytes of adapted layers.").parse_args()
    for tokens, width, b, dtype in SIZES:
        print(f"{tokens} tokens, {width} to {width}, b={b}, {dtype}: launches forward + backward, MB")
        for name, (forward, backward, moved) in beyond_frozen(tokens, width, b, dtype).items():
            print(f"  {name:18s} {forward:3d} + {backward:3d}  {moved:8.0f}")


if __name__ == "__main__":
    main()
