"""An operator in two forms: a custom op for compilers, counters and tensor subclasses, and plain autograd elsewhere.

For a short batch, the dispatcher takes longer with a custom op written in Python than the product itself does.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch
from torch._ops import _len_torch_dispatch_stack_pre_dispatch
from torch.nn import Parameter

# The function that each custom op runs, for code that has to look inside, such as a FLOP counter.
IMPLEMENTATIONS: dict[Any, Callable] = {}


def operator(
    name: str,
    compute: Callable,
    fake: Callable,
    context: Callable | None = None,
    gradients: Callable | None = None,
) -> Callable:
    """Register ``compute`` as ``torch.ops.circpeft.<name>``, and return a function that calls it in the right form.

    Args:
        name: the name of the custom op.
        compute: the implementation; its type annotations are the op's schema.
        fake: the implementation for fake tensors, which have a shape and no values.
        context, gradients: what autograd saves, and the backward pass, as `torch.library.custom_op` takes them. None
            for an operator that is only called in backward passes.
    """
    compute = _without_views(compute)
    op = torch.library.custom_op(f"circpeft::{name}", compute, mutates_args=())
    op.register_fake(fake)
    packet = getattr(torch.ops.circpeft, name)
    IMPLEMENTATIONS[packet] = compute
    if gradients is None:
        return lambda *arguments: packet(*arguments) if _needs_custom_op(arguments) else compute(*arguments)
    op.register_autograd(gradients, setup_context=context)

    class Eager(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> Tensor:
            output = compute(*arguments)
            context(ctx, arguments, output)
            return output

        backward = staticmethod(gradients)

    class Transformed(torch.autograd.Function):  # for torch.func.grad, which needs this slower form and no custom op
        forward, setup_context, backward = staticmethod(compute), staticmethod(context), staticmethod(gradients)

    def call(*arguments: Any) -> Tensor:
        if _needs_custom_op(arguments):
            return packet(*arguments)
        return (Eager if _functorch.peek_interpreter_stack() is None else Transformed).apply(*arguments)

    return call


def _without_views(compute: Callable) -> Callable:
    """Wrap ``compute`` so that it never returns a view: autograd forbids changing one in place."""

    @wraps(compute)
    def computed(*arguments: Any) -> Any:
        output = compute(*arguments)
        if isinstance(output, Tensor) and output._is_view():
            return torch.ops.aten._unsafe_view(output, output.shape)
        return output

    return computed


def is_batched(tensor: Tensor) -> bool:
    """Return whether a tensor stands for a batch of tensors, under torch.func.vmap or with ``is_grads_batched``."""
    return _functorch.is_batchedtensor(tensor) or _functorch.is_legacy_batchedtensor(tensor)


def _needs_custom_op(arguments: tuple) -> bool:
    """Return whether the operator must be visible: to a compiler, tracer, dispatch mode, tensor subclass or vmap."""
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
