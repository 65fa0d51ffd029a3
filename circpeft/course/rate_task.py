"""The small task of the rate explorer: C3A and LoRA trained with Adam, for many learning rates at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.fft import irfft, rfft

from ..learning_rates import scale_of_change
from ..ops import block_circulant

BATCH, NOISE = 32, 1.0
Gradients = Callable[[Sequence[Tensor], Tensor], Sequence[Tensor]]


class Task(NamedTuple):
    """A frozen layer with a frozen readout ``R``: the outputs are ``R (W0 + ΔW) x``, and ``R ΔW`` should become ``T``.

    ``W0 x`` is the same for the adapted and the wanted outputs, so it cancels and is left out.

    Attributes:
        readout: R (outputs, d).
        target: T (outputs, d).
        inputs: x (steps, batch, d), a new batch for every step.
        wanted: T x with noise (steps, batch, outputs).
    """

    readout: Tensor
    target: Tensor
    inputs: Tensor
    wanted: Tensor


class Runs(NamedTuple):
    """What training did, one run per learning rate.

    Attributes:
        losses: (runs, steps + 1), ``|R ΔW - T|^2 / |T|^2`` before each step and after the last.
        deltas: the learnt ``ΔW`` (runs, d, d).
    """

    losses: Tensor
    deltas: Tensor


def make_task(d: int = 64, outputs: int = 1, steps: int = 150, seed: int = 0) -> Task:
    """Return a task of width d with random readout, target and inputs.

    With one output the gradients of all inputs agree: each is a multiple of the readout times the input. The more
    outputs, the more a kernel has to compromise.

    >>> make_task(8, outputs=2, steps=3).wanted.shape
    torch.Size([3, 32, 2])
    """
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float32)

    readout, target = random(outputs, d) / d**0.5, random(outputs, d) / d**0.5
    inputs = random(steps, BATCH, d)
    return Task(readout, target, inputs, inputs @ target.T + NOISE * random(steps, BATCH, outputs))


def train_c3a(task: Task, alpha: float | str, b: int, rates: Sequence[float]) -> Runs:
    """Train ``ΔW = s C(w)`` from ``w = 0``, once for each learning rate.

    Args:
        task: the task, of width d.
        alpha: the scale of C3A: "lora", "paper" or a number.
        b: the block size, a divisor of d.
        rates: learning rates of Adam; each falls linearly to zero.

    >>> runs = train_c3a(make_task(8, steps=50), "lora", 4, [1e-5, 0.1])
    >>> [bool(loss > 0.9) for loss in runs.losses[:, -1]]
    [True, False]
    """
    d = task.readout.shape[1]
    n, scale = d // b, scale_of_change("c3a", d, d, b, alpha)
    readout = rfft(task.readout.reshape(-1, n, b))

    def change(parameters: Sequence[Tensor]) -> Tensor:
        spectrum = torch.einsum("rmnf,kmf->rknf", rfft(parameters[0]), readout)  # the transpose of each block convolves
        return scale * irfft(spectrum, n=b).flatten(2)

    def gradients(parameters: Sequence[Tensor], g: Tensor) -> Sequence[Tensor]:
        spectrum = torch.einsum("kmf,rknf->rmnf", readout.conj(), rfft(g.reshape(*g.shape[:2], n, b)))
        return [scale * irfft(spectrum, n=b)]

    (kernels,), losses = _adam(task, [torch.zeros(n, n, b)], change, gradients, rates)
    return Runs(losses, torch.stack([scale * block_circulant(kernel, layout="row") for kernel in kernels]))


def train_lora(task: Task, rates: Sequence[float], r: int = 8) -> Runs:
    """Train LoRA, ``ΔW = B A`` with ``alpha = r``, in the same way: A starts as in PEFT, B at zero.

    >>> train_lora(make_task(8, steps=2), [0.1], r=2).deltas.shape
    torch.Size([1, 8, 8])
    """
    d = task.readout.shape[1]
    start = (2 * torch.rand(r, d, generator=torch.Generator().manual_seed(r), dtype=torch.float32) - 1) / d**0.5

    def change(parameters: Sequence[Tensor]) -> Tensor:
        a, b = parameters
        return task.readout @ b @ a

    def gradients(parameters: Sequence[Tensor], g: Tensor) -> Sequence[Tensor]:
        a, b = parameters
        return [(task.readout @ b).mT @ g, task.readout.T @ (g @ a.mT)]

    (a, b), losses = _adam(task, [start, torch.zeros(d, r)], change, gradients, rates)
    return Runs(losses, b @ a)


def _adam(
    task: Task,
    starts: Sequence[Tensor],
    change: Callable[[Sequence[Tensor]], Tensor],
    gradients: Gradients,
    rates: Sequence[float],
) -> tuple[list[Tensor], Tensor]:
    """Return the trained parameters, each with a first axis of runs, and the losses of every run.

    PyTorch's Adam has one learning rate per group of parameters; written out, all rates are trained at once.

    Args:
        change: returns ``R ΔW`` (runs, outputs, d) for the parameters.
        gradients: returns the gradients of the parameters for that of ``R ΔW``.
    """
    parameters = [start.float().repeat(len(rates), *[1] * start.dim()) for start in starts]
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    rate = torch.tensor(list(rates), dtype=torch.float32)
    steps, losses = len(task.inputs), []
    for step, (x, y) in enumerate(zip(task.inputs, task.wanted, strict=True)):
        seen = change(parameters)
        losses.append((seen - task.target).square().sum((1, 2)))
        error = seen @ x.T - y.T
        found = gradients(parameters, 2 / y.numel() * error @ x)
        for p, g, (mean, square) in zip(parameters, found, moments, strict=True):
            mean.lerp_(g, 0.1)
            square.lerp_(g * g, 0.001)
            size = (square / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
            moved = (1 - step / steps) * rate.view(-1, *[1] * (p.dim() - 1))
            p -= moved * mean / (1 - 0.9 ** (step + 1)) / size
    losses.append((change(parameters) - task.target).square().sum((1, 2)))
    return parameters, torch.stack(losses, 1) / task.target.square().sum()
