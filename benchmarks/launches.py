"""Count what an adapted layer adds to the frozen one on a GPU: kernel launches and bytes moved. No GPU is needed.

    .venv/bin/python benchmarks/launches.py    # prints the counts, and writes some into docs/gpu.md

Tensors have a shape and no values. Every operation of torch that computes or copies is one launch, which reads its
operands and writes its results once. A real launch may move less, where a cache still holds an operand, or more, where
it reads one twice. Triton kernels are counted in the same way. Bytes are in MB of 1e6 bytes.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from gpu_cases import OURS, Size, Way, all_ways, forced, model_of, replaced
from gpu_timing import recorded
from page_parts import Part
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from circpeft.ops.backends import rfft
from circpeft.ops.operator import needs_custom_op
from circpeft.ops.triton_launch import Kernels

SIZES = [
    Size(2048, 4096, 4096, 128, "bfloat16"),
    Size(2048, 4096, 4096, 4096, "bfloat16"),
    Size(8192, 3072, 3072, 64, "float32"),
    Size(8192, 768, 768, 768, "float32"),
]
# Block size -> the ways that the page shows, with their names there.
SHOWN = {
    128: {
        "lora r=32": "LoRA r=32",
        "peft c3a": "C3A b=128 in PEFT",
        "c3a rfft": "C3A b=128, `rfft`",
        "c3a leaf": "C3A b=128, `leaf`",
    },
    4096: {"cdvft rfft": "CDVFT p=4096, `rfft`", "cdvft leaf": "CDVFT p=4096, `leaf`"},
}
PAGE = Part("launches", "docs/gpu.md")


@dataclass(frozen=True)
class Count:
    """Launches of the forward pass and of the backward pass, and the bytes that both read and write."""

    forward: int
    backward: int
    bytes: int

    def __sub__(self, other: "Count") -> "Count":
        return Count(self.forward - other.forward, self.backward - other.backward, self.bytes - other.bytes)


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
    overwritten = overwritten or kwargs.get("beta") == 0  # of a product that could be added to its first argument
    return _bytes(args[1:] if overwritten else args, read) + _bytes(out)


class Launches(TorchDispatchMode):
    """A context that counts launches, and the bytes that they move.

    Attributes: ``launches``, a list of ``(name, bytes)`` in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches: list[tuple[str, int]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        with self:
            out = func.decompose(*args, **kwargs)
        if out is not NotImplemented:
            return out
        out = func(*args, **kwargs)
        moved = _moved(func, args, kwargs, out)
        if moved is not None:
            self.launches.append((func._overloadpacket.__name__, moved))
        return out

    @contextmanager
    def as_on_a_gpu(self) -> Iterator[None]:
        """Compute as for plain tensors on a GPU, all tokens at once, and count the Triton kernels without running them.

        This class would make the products visible operators; the form for plain tensors moves fewer bytes.
        """

        def launch(kernels: Kernels, kernel: str, grid: tuple, *arguments: Any, **sizes: Any) -> None:
            moved = _bytes(arguments)
            if sizes.get("accumulate") or sizes.get("has_base") and arguments[1] is arguments[2]:
                moved += _bytes(arguments[1])  # the result is added to what is there, which is read as well
            self.launches.append((kernel, moved))

        with (
            mock.patch.object(Kernels, "launch", launch),
            mock.patch.object(Kernels, "are_usable", lambda kernels, device: True),
            # torch cannot be asked for the autocast of tensors without values
            mock.patch.object(torch, "is_autocast_enabled", lambda device_type=None: False),
            replaced(needs_custom_op, lambda arguments: False),
            mock.patch.dict(rfft.CHUNK_ELEMENTS, meta=rfft.CHUNK_ELEMENTS["cuda"]),
        ):
            yield


def counted(run: Callable[[], Any]) -> tuple[list[tuple[str, int]], Any]:
    """Return the launches of a call, and its result."""
    with Launches() as counter, counter.as_on_a_gpu():
        result = run()
    return counter.launches, result


def count_of(model: nn.Module, x: Tensor) -> Count:
    """Return the count of a forward and backward pass."""
    model.zero_grad()
    x.grad = None
    forward, y = counted(lambda: model(x))
    backward, _ = counted(lambda: y.backward(torch.empty_like(y)))
    return Count(len(forward), len(backward), sum(moved for _, moved in forward + backward))


def beyond_frozen(
    size: Size, ways: dict[str, Way] | None = None, failed: dict[str, str] | None = None
) -> dict[str, Count]:
    """Return what each way to compute a layer adds to the frozen layer; without "auto", which depends on the device.

    Args:
        size: of the layer.
        ways: by default, all (`gpu_cases.all_ways`).
        failed: takes the errors of ways that cannot be counted. Without it, an error is raised.
    """
    ways, device, built, counts = ways or all_ways(size), torch.device("meta"), {}, {}
    x = size.inputs(device)
    for name in (n for n in ways if n not in OURS):
        with nullcontext() if failed is None else recorded(failed, name), forced(ways[name]):
            model = model_of(ways[name], size, device, built)
            count_of(model, x)  # makes tables that later calls have
            counts[name] = count_of(model, x)
    return {name: count - counts["frozen"] for name, count in counts.items() if name != "frozen"}


def page_text() -> str:
    """Return the table of docs/gpu.md."""
    lines = ["| method | launches forward + backward | MB read and written |", "|---|---|---|"]
    for b, shown in SHOWN.items():
        counts = beyond_frozen(Size(2048, 4096, 4096, b, "bfloat16"))
        for name, label in shown.items():
            count = counts[name]
            lines.append(f"| {label} | {count.forward} + {count.backward} | {count.bytes / 1e6:.0f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    argparse.ArgumentParser(description="Count launches and bytes of adapted layers.").parse_args()
    for size in SIZES:
        print(f"{size}: launches forward + backward, MB")
        for name, count in beyond_frozen(size).items():
            print(f"  {name:18s} {count.forward:3d} + {count.backward:3d}  {count.bytes / 1e6:8.0f}")
    PAGE.write(page_text())


if __name__ == "__main__":
    main()
