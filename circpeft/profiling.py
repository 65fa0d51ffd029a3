"""What a model really does: FLOPs by operator, bytes of the operands, and bytes saved for the backward pass."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from .ops.operator import IMPLEMENTATIONS

aten = torch.ops.aten
ADDITIONS = {aten.add, aten.add_, aten.sub, aten.sub_, aten.rsub}
PRODUCTS = {aten.mul, aten.mul_, aten.div, aten.div_}
FUSED = {aten.addcmul, aten.addcmul_}
SUMS = {aten.sum, aten.mean}
SCATTERS = {aten.scatter_add, aten.scatter_add_, aten.index_add, aten.index_add_}
TRANSFORMS = {aten._fft_r2c: 2.5, aten._fft_c2r: 2.5, aten._fft_c2c: 5.0}


def _pointwise(packet: Any, args: tuple, out: Tensor) -> int:
    """A real product or sum is one operation; complex ones are six and two, a complex times a real number two."""
    operands = [a for a in args if isinstance(a, Tensor) and a.dim() > 0] or [out]
    complex_operands = sum(a.is_complex() for a in operands[:2])
    if packet in ADDITIONS:
        return out.numel() * (2 if out.is_complex() else 1)
    product = {0: 1, 1: 2, 2: 6}[complex_operands if len(operands) > 1 else 2 * complex_operands]
    return out.numel() * product


def _solve(args: tuple) -> float:
    n = args[0].shape[-1]
    return args[0].numel() // (n * n) * (2 / 3 * n**3) + 2 * n * args[1].numel()


def _flops(packet: Any, args: tuple, kwargs: dict, out: Any) -> float:
    if packet in TRANSFORMS:
        whole = out if packet == aten._fft_c2r else args[0]
        points = math.prod(whole.shape[dim] for dim in args[1])
        return TRANSFORMS[packet] * whole.numel() * math.log2(points) if points > 1 else 0.0
    if packet in flop_registry:
        scale = 4 if isinstance(out, Tensor) and out.is_complex() else 1  # a complex multiply-add is eight
        return scale * flop_registry[packet](*args, **kwargs, out_val=out)
    if packet == aten._linalg_solve_ex:
        return _solve(args)
    if packet == aten.linalg_lu_solve:
        return 2 * args[0].shape[-1] * args[2].numel()
    if not isinstance(out, Tensor) or not (out.is_floating_point() or out.is_complex()):
        return 0.0
    if packet in ADDITIONS | PRODUCTS:
        return _pointwise(packet, args, out)
    if packet in FUSED:
        return out.numel() * (8 if out.is_complex() else 2)
    if packet in SUMS:
        return args[0].numel() * (2 if out.is_complex() else 1)
    if packet in SCATTERS:
        return args[3].numel()
    return 0.0


class FlopCounter(TorchDispatchMode):
    """Counts the FLOPs of everything that runs inside, forward and backward.

    Counted are matrix products, convolutions and attention (by torch's formulas; complex ones four times), Fourier
    transforms (``5 n log2 n``, half for real ones), sums, products and quotients of floating-point numbers, and linear
    solves. Not counted are other functions of single entries (exp, GELU), comparisons, copies and index arithmetic.
    This package's operators are counted by what their backends run, not by a formula.

    Attributes: ``total``, ``by_operator`` (name -> FLOPs), ``bytes`` (operands read and results written by the counted
    operations, as if each went to memory).

    >>> with FlopCounter() as counter:
    ...     _ = torch.randn(3, 4) @ torch.randn(4, 5)
    >>> counter.total, counter.by_operator
    (120, {'mm': 120.0})
    """

    def __init__(self) -> None:
        super().__init__()
        self.by_operator: dict[str, float] = {}
        self.bytes = 0

    @property
    def total(self) -> int:
        return round(sum(self.by_operator.values()))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, packet = kwargs or {}, func._overloadpacket
        if packet in IMPLEMENTATIONS:
            with self:
                return IMPLEMENTATIONS[packet](*args, **kwargs)
        if packet not in flop_registry and func is not torch.ops.prim.device.default:
            with self:  # below autograd composite operators arrive whole
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        flops = _flops(packet, args, {k: v for k, v in kwargs.items() if k != "out"}, out)
        if flops:
            name = packet.__name__
            self.by_operator[name] = self.by_operator.get(name, 0.0) + float(flops)
            tensors = [t for t in tree_leaves((args, out)) if isinstance(t, Tensor)]
            self.bytes += sum(t.numel() * t.element_size() for t in tensors)
        return out


class Flops(int):
    """A measured number of FLOPs: the total as an int, with ``forward``, ``backward`` and ``by_operator`` beside it."""

    forward: int
    backward: int
    by_operator: dict[str, int]


def _outputs(value: Any) -> list[Tensor]:
    loss = getattr(value, "loss", None)
    leaves = [loss] if isinstance(loss, Tensor) else tree_leaves(dict(value) if hasattr(value, "keys") else value)
    return [t for t in leaves if isinstance(t, Tensor) and t.requires_grad]


def _wanted(model: nn.Module, inputs: Iterable[Any]) -> list[Tensor]:
    return [t for t in [*model.parameters(), *inputs] if isinstance(t, Tensor) and t.requires_grad]


def count_flops(model: nn.Module, *inputs: Any, backward: bool = True, **named: Any) -> Flops:
    """FLOPs of one real forward and backward pass, counted operation by operation; see `FlopCounter`.

    The backward pass starts from the loss, where the output has one, or from ones in place of the outputs' gradients,
    and goes to every parameter and input that requires a gradient. Gradients and random state are left as they were.

    Args:
        backward: False counts the forward pass alone, without gradients.

    Returns: the total as an int, with ``.forward``, ``.backward`` and ``.by_operator``.

    Raises: whatever the model raises; nothing that requires a gradient leaves ``.backward`` at 0.

    >>> count = count_flops(nn.Linear(4, 5, bias=False), torch.randn(3, 4))
    >>> int(count), count.forward, count.backward
    (240, 120, 120)
    """
    with torch.random.fork_rng(), torch.set_grad_enabled(backward):
        with FlopCounter() as there:
            output = model(*inputs, **named)
        with FlopCounter() as back:
            outputs, wanted = _outputs(output), _wanted(model, tree_leaves((inputs, named)))
            if backward and outputs and wanted:
                torch.autograd.grad(outputs, wanted, [torch.ones_like(t) for t in outputs], allow_unused=True)
    names = sorted({*there.by_operator, *back.by_operator})
    count = Flops(there.total + back.total)
    count.forward, count.backward = there.total, back.total
    count.by_operator = {n: round(there.by_operator.get(n, 0) + back.by_operator.get(n, 0)) for n in names}
    return count


class _Kept:
    """A tensor that autograd keeps: gone when the graph is."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def count_saved_bytes(model: nn.Module, *inputs: Any, **named: Any) -> int:
    """Bytes of the tensors that one forward pass keeps for its backward pass, each storage once.

    The model's own parameters and buffers are not counted: they are there anyhow.

    >>> count_saved_bytes(nn.Linear(4, 5), torch.randn(3, 4))  # the input, for the weight's gradient
    48
    """
    own = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    kept: WeakSet[_Kept] = WeakSet()  # what the graph lets go of before the end is not counted

    def pack(tensor: Tensor) -> _Kept:
        held = _Kept(tensor)
        kept.add(held)
        return held

    with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(pack, lambda held: held.tensor):
        output = model(*inputs, **named)
    storages = {held.tensor.untyped_storage().data_ptr(): held.tensor.untyped_storage() for held in kept}
    total = sum(storage.nbytes() for address, storage in storages.items() if address not in own)
    del output
    return total
