"""An opt-in repair of PEFT's own C3A in the running process: its input gradient, and the sum of active adapters.

For a circular correlation ``z = C(w) x`` the input gradient is ``C(w)^T g``. C3A's section 3.3 prints it
without the transpose. PEFT (0.18 to 0.21.2) computes ``C(g) w``, which per block is the index reversal of the printed
formula. It also passes one active adapter's output to the next adapter instead of adding the outputs.
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
    """Test on one small product whether PEFT's C3A returns a wrong input gradient in this process."""
    x = torch.arange(1.0, 7.0, dtype=torch.float64).square().requires_grad_()
    w = torch.arange(1.0, 13.0, dtype=torch.float64).sqrt().view(2, 2, 3)
    g = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0, -1.0], dtype=torch.float64)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(BlockCircularConvolution.apply(x, w), x, g)
        (truth,) = torch.autograd.grad(block_circular_matmul(x, w, layout="row"), x, g)
    return not torch.allclose(gradient, truth)


def chained_adapters() -> bool:
    """Test on one small layer whether PEFT's C3A chains two active adapters instead of adding their outputs."""
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
    # PEFT's version saves a reshaped x, through which no second derivative flows.
    ctx.save_for_backward(x, w)
    return block_circular_matmul(x, w, layout="row")


def _product_backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
    # These operators are differentiable, so the second derivative is right, too.
    x, w = ctx.saved_tensors
    dx = block_circular_matmul(g, w.transpose(0, 1), layout="column")
    dw = block_circular_kernel_grad(g, x, w.shape[-1], layout="row")
    return dx, dw


def _forward(self: PeftC3ALinear, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    if self.disable_adapters and self.merged:
        self.unmerge()
    result: Tensor = self.base_layer(x, *args, **kwargs)
    if not self.disable_adapters and not self.merged:
        rows = x.to(torch.float32)
        for name in self.active_adapters:
            if name in self.c3a_kernel:
                delta = BlockCircularConvolution.apply(rows, self.c3a_kernel[name].to(torch.float32))
                result = result + (delta / self.in_features).to(result.dtype)
    return result.to(x.dtype)


class Repair:
    """The changes of `repair_peft_c3a`. `undo`, or the end of the ``with`` block, reverts them."""

    def __init__(self, changes: list[tuple[type, str, Any]]) -> None:
        self._changes = changes
        self._apply()

    def _apply(self) -> None:
        # Read from the class dictionary, so that a staticmethod stays one.
        self._originals = [(cls, name, cls.__dict__[name]) for cls, name, _ in self._changes]
        for cls, name, value in self._changes:
            setattr(cls, name, value)

    @property
    def active(self) -> bool:
        """Whether a repair is in effect."""
        return bool(self._originals)

    def undo(self) -> None:
        """Restore what this repair replaced. A second call does nothing."""
        while self._originals:
            cls, name, value = self._originals.pop()
            setattr(cls, name, value)

    def __enter__(self) -> Repair:
        if not self._originals:  # undone meanwhile
            self._apply()
        return self

    def __exit__(self, *exception: object) -> None:
        self.undo()


def repair_peft_c3a() -> Repair:
    """Repair PEFT's own C3A in this process: the right input gradient, and the sum of active adapters.

    For models that were made with `peft.C3AConfig` and continue to train with it. circpeft never calls it by itself.
    Call it, or use it as a context manager; `undo` restores PEFT's code. The logger "circpeft" tells what was repaired,
    or that PEFT's results are right already and nothing was changed. Do not use it while another thread trains.

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
    message = f"repaired in this process: {' and '.join(done)}" if done else "nothing to repair, its results are right"
    logger.warning("PEFT %s, its own C3A: %s", peft.__version__, message)
    return Repair(changes)
