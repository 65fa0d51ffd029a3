"""Adam's updates of C3A's kernels at each frequency, in units of the learning rate, while a run goes on."""

import torch
from transformers import TrainerCallback

from circpeft import C3A


def spectrum(update: torch.Tensor) -> torch.Tensor:
    """Return the moduli of the orthonormal transform along the last axis: white noise has the same at every frequency.

    >>> spectrum(torch.ones(4)), spectrum(torch.tensor([1.0, -1.0, 1.0, -1.0]))
    (tensor([2., 0., 0.]), tensor([0., 0., 2.]))
    """
    return torch.fft.rfft(update, norm="ortho").abs()


class UpdateSpectrum(TrainerCallback):
    """Notes every so many steps how far one step moves the kernels, at frequency 0 and at the others.

    Args:
        every: number of steps between two notes.

    Attributes:
        rows: a dictionary per note: the step; in units of the learning rate, the root mean square of the moduli at
            frequency 0 and at the frequencies between the ends of the spectrum; and the largest modulus of all.
    """

    def __init__(self, every: int = 25) -> None:
        self.every, self.rows, self.before = every, [], {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **_) -> None:
        if state.global_step % self.every == 0:
            kernels = [module.kernel for module in model.modules() if isinstance(module, C3A)]
            self.before = {kernel: kernel.detach().clone() for kernel in kernels}

    def on_optimizer_step(self, args, state, control, optimizer=None, **_) -> None:
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        moduli = [spectrum((p.detach() - was) / rates[id(p)]) for p, was in self.before.items() if rates[id(p)]]
        self.before = {}
        if moduli:
            zero = torch.cat([part[..., 0].flatten() for part in moduli])
            others = torch.cat([part[..., 1:-1].flatten() for part in moduli])
            sizes = {"zero": zero.square().mean().sqrt(), "others": others.square().mean().sqrt()}
            largest = max(part.max() for part in moduli)
            row = {name: round(float(value), 4) for name, value in {**sizes, "largest": largest}.items()}
            self.rows.append({"step": state.global_step, **row})
