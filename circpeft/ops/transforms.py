"""Tell whether a transform of `torch.func`, or forward-mode differentiation, is active."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch._C import _functorch
from torch.autograd import forward_ad

Function = TypeVar("Function", bound=Callable[..., Any])
# torch's decorator, with the type that it has.
assume_constant_result: Callable[[Function], Function] = torch.compiler.assume_constant_result


def is_transformed() -> bool:
    """Return whether a transform of torch.func is active, or a level of forward-mode differentiation.

    >>> is_transformed(), torch.func.grad(lambda x: x * is_transformed())(torch.tensor(3.0))
    (False, tensor(1.))
    """
    if _functorch.peek_interpreter_stack() is not None:
        return True
    return forward_ad._current_level >= 0 and torch._C._is_fwd_grad_enabled()  # torch has no public name for either


def is_functionalized() -> bool:
    """Return whether one of the active transforms is torch.func.functionalize; it takes no autograd functions."""
    levels = _functorch.get_interpreter_stack() or []
    return any(level.key() == _functorch.TransformType.Functionalize for level in levels)


def is_batched(tensor: torch.Tensor) -> bool:
    """Return whether a tensor stands for a batch of tensors, under torch.func.vmap or with ``is_grads_batched``."""
    return _functorch.is_batchedtensor(tensor) or _functorch.is_legacy_batchedtensor(tensor)


def is_plain(tensor: torch.Tensor) -> bool:
    """Return whether a tensor or parameter is of torch's own class, and not of a subclass, such as a fake tensor.

    >>> is_plain(torch.ones(2)), is_plain(torch.nn.Parameter(torch.ones(2)))
    (True, True)
    """
    return type(tensor) is torch.Tensor or type(tensor) is torch.nn.Parameter
