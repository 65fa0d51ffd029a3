"""Measured costs of a model: FLOPs per operator, bytes of the operands, and bytes saved for the backward pass."""

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
MULTIPLY_ADDS = {aten.addcmul, aten.addcmul_}
SUMS = {aten.sum, aten.mean}
SCATTERS = {aten.scatter_add, aten.scatter_add_, aten.index_add, aten.index_add_}
TRANSFORMS = {aten._fft_r2c: 2.5, aten._fft_c2r: 2.5, aten._fft_c2c: 5.0}


def _pointwise(packet: Any, args: tuple, out: Tensor) -> int:
    """Count 1 per real sum or product, 2 per complex sum, 6 per complex product, 2 per complex times real product."""
    operands = [a for a in args if isinstance(a, Tensor) and a.dim() > 0] or [out]
    complex_operands = sum(a.is_complex() for a in operands[:2])
    if packet in ADDITIONS:
        return out.numel() * (2 if out.is_complex() else 1)
    product = {0: 1, 1: 2, 2: 6}[complex_operands if len(operands) > 1 else 2 * complex_operands]
    return out.numel() * product


def _solve(args: tuple) -> float:
    """Count an LU decomposition of each matrix, and two triangular solves."""
    n = args[0].shape[-1]
    return args[0].numel() // (n * n) * (2 / 3 * n**3) + 2 * n * args[1].numel()


def _flops(packet: Any, args: tuple, kwargs: dict, out: Any) -> float:
    """Return the FLOPs of one operation; 0 for operations that are not counted."""
    if packet in TRANSFORMS:
        full_side = out if packet == aten._fft_c2r else args[0]  # the side with all points, not half of a spectrum
        points = math.prod(full_side.shape[dim] for dim in args[1])
        return TRANSFORMS[packet] * full_side.numel() * math.log2(points) if points > 1 else 0.0
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
    if packet in MULTIPLY_ADDS:
        return out.numel() * (8 if out.is_complex() else 2)
    if packet in SUMS:
        return args[0].numel() * (2 if out.is_complex() else 1)
    if packet in SCATTERS:
        return args[3].numel()
    return 0.0


class FlopCounter(TorchDispatchMode):
    """A context that counts the FLOPs of everything that runs inside, forward and backward.

    Counted are matrix products, convolutions and attention (by torch's formulas, times four if complex), Fourier
    transforms (``5 n log2 n``, half of that for real ones), sums, products and quotients of floating-point numbers, and
    linear solves. Not counted are other elementwise functions (exp, GELU), comparisons, copies and index arithmetic.
    The operators of this package are counted by the operations that their backends run, not by a formula.

    Attributes: ``total``, ``by_operator`` (name -> FLOPs), ``bytes`` (operands and results of the counted operations,
    as if each were read from or written to memory).

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
        """Return the FLOPs of all operators."""
        return round(sum(self.by_operator.values()))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, packet = kwargs or {}, func._overloadpacket
        if packet in IMPLEMENTATIONS:
            with self:
                return IMPLEMENTATIONS[packet](*args, **kwargs)
        if packet not in flop_registry and func is not torch.ops.prim.device.default:
            with self:  # composite operators are not yet decomposed below autograd
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
    """Measured FLOPs: the total as an int, with the attributes ``forward``, ``backward`` and ``by_operator``."""

    forward: int
    backward: int
    by_operator: dict[str, int]


def _outputs(value: Any) -> list[Tensor]:
    """Return the tensors that a backward pass starts from: the loss if the output has one, else all outputs."""
    loss = getattr(value, "loss", None)
    leaves = [loss] if isinstance(loss, Tensor) else tree_leaves(dict(value) if hasattr(value, "keys") else value)
    return [t for t in leaves if isinstance(t, Tensor) and t.requires_grad]


def _differentiated(model: nn.Module, inputs: Iterable[Any]) -> list[Tensor]:
    """Return the parameters and inputs that require a gradient."""
    return [t for t in [*model.parameters(), *inputs] if isinstance(t, Tensor) and t.requires_grad]


def count_flops(model: nn.Module, *inputs: Any, backward: bool = True, **named: Any) -> Flops:
    """Run one forward and backward pass and return its FLOPs, counted operation by operation (see `FlopCounter`).

    The backward pass starts from the loss if the output has one, and else from gradients of one for all outputs. It
    goes to every parameter and input that requires a gradient; if none does, ``.backward`` is 0. The ``.grad`` of
    parameters and the random state do not change.

    Args:
        model: any module.
        inputs, named: its arguments.
        backward: False counts only the forward pass, without gradients.

    Returns: the total as an int, with ``.forward``, ``.backward`` and ``.by_operator``.

    Raises: the errors that the model raises.

    >>> count = count_flops(nn.Linear(4, 5, bias=False), torch.randn(3, 4))
    >>> int(count), count.forward, count.backward
    (240, 120, 120)
    """
    with torch.random.fork_rng(), torch.set_grad_enabled(backward):
        with FlopCounter() as forward_counter:
            output = model(*inputs, **named)
        with FlopCounter() as backward_counter:
            outputs, differentiated = _outputs(output), _differentiated(model, tree_leaves((inputs, named)))
            if backward and outputs and differentiated:
                torch.autograd.grad(outputs, differentiated, [torch.ones_like(t) for t in outputs], allow_unused=True)
    count = Flops(forward_counter.total + backward_counter.total)
    count.forward, count.backward = forward_counter.total, backward_counter.total
    counts = forward_counter.by_operator, backward_counter.by_operator
    count.by_operator = {name: round(sum(c.get(name, 0) for c in counts)) for name in sorted({*counts[0], *counts[1]})}
    return count


class _SavedTensor:
    """A holder of a tensor that autograd saves; it is deleted together with the graph."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def count_saved_bytes(model: nn.Module, *inputs: Any, **named: Any) -> int:
    """Run one forward pass and return the bytes of the tensors that it saves for the backward pass.

    Each storage is counted once. Parameters and buffers of the model are not counted, because they exist in any case.

    >>> count_saved_bytes(nn.Linear(4, 5), torch.randn(3, 4))  # the input, for the weight's gradient
    48
    """
    of_model = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    saved: WeakSet[_SavedTensor] = WeakSet()  # so that tensors which the graph releases before the end are not counted

    def pack(tensor: Tensor) -> _SavedTensor:
        holder = _SavedTensor(tensor)
        saved.add(holder)
        return holder

    with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(pack, lambda holder: holder.tensor):
        output = model(*inputs, **named)
    storages = {holder.tensor.untyped_storage().data_ptr(): holder.tensor.untyped_storage() for holder in saved}
    total = sum(storage.nbytes() for address, storage in storages.items() if address not in of_model)
    del output  # the graph has to live until here
    return total
