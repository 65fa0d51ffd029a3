"""An opt-in repair of PEFT's own C3A in the running process: its input gradient, and the sum of active adapters.

For a circular correlation ``z = C(w) x`` the input gradient is ``C(w)^T g``. The paper prints it without the transpose,
and PEFT (0.18 to 0.21.2) computes ``C(g) w``: per block the index reversal of what is printed. It also feeds one active
adapter's output to the next instead of adding them.
"""

from __future__ import annotations

import logging
from typing import Any

import peft
import torch
from peft.tuners.c3a.layer import C3ALinear as PeftC3ALinear
from peft.tuners.c3a.utils import BlockCircularConvolution
from torch import Tensor, nn

from ..ops import block_circular_kernel_grad, block_circular_matmul

logger = logging.getLogger("circpeft")


def wrong_gradient() -> bool:
    """Whether PEFT's C3A returns a wrong input gradient in this process: computed on one small product."""
    x = torch.arange(1.0, 7.0, dtype=torch.float64).square().requires_grad_()
    w = torch.arange(1.0, 13.0, dtype=torch.float64).sqrt().view(2, 2, 3)
    g = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0, -1.0], dtype=torch.float64)
    with torch.enable_grad():
        (found,) = torch.autograd.grad(BlockCircularConvolution.apply(x, w), x, g)
        (truth,) = torch.autograd.grad(block_circular_matmul(x, w, layout="row"), x, g)
    return not torch.allclose(found, truth)


def chained_adapters() -> bool:
    """Whether PEFT's C3A chains two active adapters instead of adding their outputs: computed on one small layer."""
    with torch.random.fork_rng(devices=[]):
        layer = nn.Sequential(nn.Linear(3, 3, bias=False))
        config = {"target_modules": ["0"], "block_size": 3, "init_weights": "gaussian"}
        model = peft.get_peft_model(layer, peft.C3AConfig(**config))
        model.add_adapter("other", peft.C3AConfig(**config))
    adapted = model.base_model.model[0]
    model.base_model.set_adapter(["default", "other"])
    with torch.no_grad():
        x = torch.ones(1, 3)
        delta = adapted.get_delta_weight("default") + adapted.get_delta_weight("other")
        return not torch.allclose(adapted(x), adapted.base_layer(x) + x @ delta.T, atol=1e-5)


def _product(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
    # PEFT's own keeps a reshaped x, through which no second derivative flows.
    ctx.save_for_backward(x, w)
    return block_circular_matmul(x, w, layout="row")


def _product_backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
    # Made of differentiable operators, so that the second derivative is right too.
    x, w = ctx.saved_tensors
    dx = block_circular_matmul(g, w.transpose(0, 1), layout="column")
    dw = block_circular_kernel_grad(g, x, w.shape[-1], layout="row")
    return dx, dw


def _forward(self: PeftC3ALinear, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    if self.disable_adapters and self.merged:
        self.unmerge()
    result = self.base_layer(x, *args, **kwargs)
    if not self.disable_adapters and not self.merged:
        rows = x.to(torch.float32)
        for name in self.active_adapters:
            if name in self.c3a_kernel:
                delta = BlockCircularConvolution.apply(rows, self.c3a_kernel[name].to(torch.float32))
                result = result + (delta / self.in_features).to(result.dtype)
    return result.to(x.dtype)


class Repair:
    """What `repair_peft_c3a` did, to be undone by `undo` or by leaving the ``with`` block."""

    def __init__(self, changes: list[tuple[type, str, Any]]) -> None:
        self._changes = changes
        self._apply()

    def _apply(self) -> None:
        # What stood there before, as it lay in the class: a staticmethod stays one.
        self._before = [(cls, name, cls.__dict__[name]) for cls, name, _ in self._changes]
        for cls, name, value in self._changes:
            setattr(cls, name, value)

    @property
    def active(self) -> bool:
        """Whether something is repaired and not yet undone."""
        return bool(self._before)

    def undo(self) -> None:
        """Put back what this repair replaced; a second call does nothing."""
        while self._before:
            cls, name, value = self._before.pop()
            setattr(cls, name, value)

    def __enter__(self) -> Repair:
        if not self._before:  # undone since
            self._apply()
        return self

    def __exit__(self, *exception: object) -> None:
        self.undo()


def repair_peft_c3a() -> Repair:
    """Mend PEFT's own C3A in this process: the right input gradient, and active adapters summed.

    For models that were made with `peft.C3AConfig` and go on training with it. Never called on import. Says what it
    mended, through the logger "circpeft"; where PEFT computes rightly by itself (or is repaired already) it changes
    nothing and says that. Call it, or use it as a context manager; `undo` puts PEFT's own code back. Not for use while
    another thread trains.

    Source: C3A (arXiv 2407.19342) section 3.3, whose input gradient lacks a transpose.

    >>> with repair_peft_c3a() as repair:
    ...     wrong_gradient()
    False
    >>> repair.active
    False
    """
    gradient, chained = wrong_gradient(), chained_adapters()
    changes: list[tuple[type, str, Any]] = []
    if gradient:
        changes.append((BlockCircularConvolution, "forward", staticmethod(_product)))
        changes.append((BlockCircularConvolution, "backward", staticmethod(_product_backward)))
    if chained:
        changes.append((PeftC3ALinear, "forward", _forward))
    done = ["the input gradient"] * gradient + ["the sum of active adapters"] * chained
    said = f"repaired in this process: {' and '.join(done)}" if done else "nothing to repair, it computes rightly"
    logger.warning("PEFT %s, its own C3A: %s", peft.__version__, said)
    return Repair(changes)
