"""One operator in several forms: a custom op, for compilers, counters and tensor subclasses; plain autograd elsewhere.

The dispatcher's way around a custom op written in Python takes longer than the product of a short batch itself.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch
from torch._ops import _len_torch_dispatch_stack_pre_dispatch
from torch.nn import Parameter

# What the operators run, for those who look inside (a FLOP counter).
IMPLEMENTATIONS: dict[Any, Callable] = {}


def operator(
    name: str,
    compute: Callable,
    fake: Callable,
    context: Callable | None = None,
    gradients: Callable | None = None,
) -> Callable:
    """Register ``compute`` as ``torch.ops.circpeft.<name>``, and return what calls it in the fitting form.

    Args: ``fake``: what it returns for fake tensors; ``context, gradients``: what autograd keeps, and the backward
    pass, as `torch.library.custom_op` takes them; None for an operator that is called in backward passes alone.
    """
    compute = _no_view(compute)
    op = torch.library.custom_op(f"circpeft::{name}", compute, mutates_args=())
    op.register_fake(fake)
    packet = getattr(torch.ops.circpeft, name)
    IMPLEMENTATIONS[packet] = compute
    if gradients is None:
        return lambda *arguments: packet(*arguments) if _watched(arguments) else compute(*arguments)
    op.register_autograd(gradients, setup_context=context)

    class Eager(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> Tensor:
            output = compute(*arguments)
            context(ctx, arguments, output)
            return output

        backward = staticmethod(gradients)

    class Transformed(torch.autograd.Function):  # as torch.func.grad wants it; it takes longer, and no custom op at all
        forward, setup_context, backward = staticmethod(compute), staticmethod(context), staticmethod(gradients)

    def call(*arguments: Any) -> Tensor:
        if _watched(arguments):
            return packet(*arguments)
        return (Eager if _functorch.peek_interpreter_stack() is None else Transformed).apply(*arguments)

    return call


def _no_view(compute: Callable) -> Callable:
    """The same, its output no view (of memory of its own): autograd lets nobody change such a view in place."""

    @wraps(compute)
    def computed(*arguments: Any) -> Any:
        output = compute(*arguments)
        if isinstance(output, Tensor) and output._is_view():
            return torch.ops.aten._unsafe_view(output, output.shape)
        return output

    return computed


def is_batched(tensor: Tensor) -> bool:
    """Whether a tensor stands for a batch of them, in torch.func's way or in that of ``is_grads_batched``."""
    return _functorch.is_batchedtensor(tensor) or _functorch.is_legacy_batchedtensor(tensor)


def _watched(arguments: tuple) -> bool:
    """Whether someone has to see the operator: a compiler, a tracer, a dispatch mode, a tensor subclass, vmap."""
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state():
        return True
    if _len_torch_dispatch_stack_pre_dispatch():
        return True
    transform = _functorch.peek_interpreter_stack()
    if transform is not None and transform.key() != _functorch.TransformType.Grad:
        return True
    return any(
        type(t) not in (Tensor, Parameter) or t.is_meta or is_batched(t) for t in arguments if isinstance(t, Tensor)
    )


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Inside, products are computed in the dtype of their operands: autocast would take them to half precision."""
    return torch.autocast(device.type, enabled=False) if torch.is_autocast_enabled(device.type) else nullcontext()
