"""One operator in two forms: a custom op, for compilers, counters and tensor subclasses, and plain autograd elsewhere.

The dispatcher's way around a custom op written in Python takes longer than the product of a short batch itself.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
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
    op = torch.library.custom_op(f"circpeft::{name}", compute, mutates_args=())
    op.register_fake(fake)
    packet = getattr(torch.ops.circpeft, name)
    IMPLEMENTATIONS[packet] = compute
    if gradients is None:
        return lambda *arguments: compute(*arguments) if _plain(arguments) else packet(*arguments)
    op.register_autograd(gradients, setup_context=context)

    class Eager(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> Tensor:
            output = compute(*arguments)
            context(ctx, arguments, output)
            return output

        backward = staticmethod(gradients)

    class Transformed(torch.autograd.Function):  # as torch.func wants it, which takes longer, and no custom op at all
        forward, setup_context, backward = staticmethod(compute), staticmethod(context), staticmethod(gradients)

    def call(*arguments: Any) -> Tensor:
        if not _plain(arguments):
            return packet(*arguments)
        return (Transformed if torch._C._are_functorch_transforms_active() else Eager).apply(*arguments)

    return call


def _plain(arguments: tuple) -> bool:
    """Whether nobody looks on who has to see the operator: a compiler, a tracer, a dispatch mode."""
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state():
        return False
    tensors = [a for a in arguments if isinstance(a, Tensor)]
    return all(type(t) in (Tensor, Parameter) and not t.is_meta for t in tensors)


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Inside, products are computed in the dtype of their operands: autocast would take them to half precision."""
    return torch.autocast(device.type, enabled=False) if torch.is_autocast_enabled(device.type) else nullcontext()
