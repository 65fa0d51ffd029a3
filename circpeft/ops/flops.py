"""Register the FLOPs of the custom ops with torch's counter, `torch.utils.flop_counter.FlopCounterMode`."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry, register_flop_formula


def register_flops(name: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return a decorator that registers a function of shapes as the FLOPs of ``torch.ops.circpeft.<name>``.

    It replaces `torch.utils.flop_counter.register_flop_formula`, with which torch 2.4 counts no FLOPs of a custom op.
    """
    packet = getattr(torch.ops.circpeft, name)

    def register(formula: Callable[..., int]) -> Callable[..., int]:
        registered: Any = register_flop_formula(packet)(formula)
        flop_registry.setdefault(packet, registered)  # torch 2.4 registers the overloads, but looks up the packet
        return formula

    return register
