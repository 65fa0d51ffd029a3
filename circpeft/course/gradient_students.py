"""Students that learn a teacher's kernels with the right gradients, the printed ones, or those of PEFT."""

from collections.abc import Callable, Sequence

import torch
from peft.tuners.c3a.utils import BlockCircularConvolution
from torch import Tensor, nn

from ..ops import block_circular_matmul
from .printed_product import PrintedProduct

WIDTH, LAYERS, SAMPLES = 64, 4, 128

Product = Callable[[Tensor, Tensor], Tensor]


PRODUCTS: dict[str, Product] = {
    "right (circpeft)": lambda x, w: block_circular_matmul(x, w[None, None], layout="row"),
    "printed dx": lambda x, w: PrintedProduct.apply(x, w, False),
    "printed dx and dw": lambda x, w: PrintedProduct.apply(x, w, True),
    "installed PEFT": lambda x, w: BlockCircularConvolution.apply(x, w[None, None]),
}


def problem(strength: float, seed: int) -> tuple[Callable[[Sequence[Tensor], Product], Tensor], list[Tensor]]:
    """Return a network with frozen weights, and teacher kernels with |ΔW| / |W0| of about ``strength``.

    The network is a function of the kernels and of a product; its inputs are fixed.
    """
    rng = torch.Generator().manual_seed(seed)
    frozen = [torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=rng)).Q * 2**0.5 for _ in range(LAYERS)]
    teacher = [torch.randn(WIDTH, generator=rng) * strength * (2 / WIDTH) ** 0.5 for _ in range(LAYERS)]
    inputs = torch.randn(SAMPLES, WIDTH, generator=rng)

    def network(kernels: Sequence[Tensor], product: Product) -> Tensor:
        h = inputs
        for i, (weight, w) in enumerate(zip(frozen, kernels, strict=True)):
            h = h @ weight.T + product(h, w)
            h = torch.relu(h) if i < LAYERS - 1 else h
        return h

    return network, teacher


def train(name: str, strength: float, seed: int, steps: int, rate: float = 0.01):
    """Train a student with a product of `PRODUCTS`, from kernels of zero.

    Returns: the loss of every step, relative to the start, as a tensor (steps,); and, for every tenth step, the cosine
    of the first layer's gradient with the true one, and the size of its change, |C(w)| / |W0|.
    """
    network, teacher = problem(strength, seed)
    exact = PRODUCTS["right (circpeft)"]
    targets = network(teacher, exact)
    kernels = [nn.Parameter(torch.zeros(WIDTH)) for _ in range(LAYERS)]
    optimizer = torch.optim.Adam(kernels, lr=rate)

    def loss_and_gradients(product: Product) -> tuple[Tensor, tuple[Tensor, ...]]:
        loss = (network(kernels, product) - targets).square().mean()
        return loss.detach(), torch.autograd.grad(loss, kernels)

    losses, measurements = [], {}
    for step in range(steps):
        loss, gradients = loss_and_gradients(PRODUCTS[name])
        if step % 10 == 0:
            _, true_gradients = loss_and_gradients(exact)
            size = kernels[0].detach().norm() / 2**0.5  # |C(w)| = sqrt(d) |w|, |W0| = sqrt(2 d)
            cosine = torch.cosine_similarity(gradients[0], true_gradients[0], dim=-1)
            measurements[step] = float(cosine), float(size)
        for kernel, gradient in zip(kernels, gradients, strict=True):
            kernel.grad = gradient
        optimizer.step()
        losses.append(float(loss))
    return torch.tensor(losses) / losses[0], measurements
