"""Record what computes the circulant products of a training step."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ..ops import adapted_linear, block_circular_matmul, diagonal_circulant_matmul  # noqa: F401


class CirculantProducts(TorchDispatchMode):
    """A context that notes what computes the circulant products inside: "fold", or the names of backends.

    The kernel's gradient does not count: a folded layer takes it from a backend, too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Note the operator, and run it."""
        packet = func._overloadpacket
        if packet is torch.ops.circpeft.adapted_matmul:
            self.names.add("fold")
        elif packet in (torch.ops.circpeft.block_circular_matmul, torch.ops.circpeft.diagonal_matmul):
            self.names.add(next(value for value in reversed(args) if isinstance(value, str)))
        return func(*args, **kwargs or {})
