"""Two gradients: the right one and the one that C3A's section 3.3 prints, going down through four layers."""

from __future__ import annotations

import math

import plotly.graph_objects as go
import torch
from torch import Tensor

from ...ops import circulant
from ...plots.style import COLORS
from ..printed_product import PrintedProduct
from .base import Piece
from .number_texts import signed
from .static_panels import row, with_legend

SIZE, LAYERS = 12, 4


def network(seed: int = 0) -> dict[str, list]:
    """Return the weights of the four layers, √2 times orthogonal; their kernels; an input, and a gradient."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weights = [math.sqrt(2) * torch.linalg.qr(randn(SIZE, SIZE)).Q for _ in range(LAYERS)]
    kernels = randn(LAYERS, SIZE) / math.sqrt(SIZE)
    values = {"weights": torch.stack(weights), "kernels": kernels, "x": randn(SIZE), "g": randn(SIZE)}
    return {name: torch.round(value, decimals=4).tolist() for name, value in values.items()}


def gradient_numbers(data: dict, strength: float, frozen: bool, printed_kernel: bool) -> dict:
    """Return both gradients at the output and below each layer, from the top, and their cosines, by autograd.

    Args:
        data: the result of `network`.
        strength: the factor of the kernels.
        frozen: whether the weights W₀ are there; without them a layer is only the circulant.
        printed_kernel: whether the kernels' gradients of the printed run are as printed, too.
    """
    tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in data.items()}
    runs = []
    for printed in (False, True):
        kernels = [(strength * w).requires_grad_() for w in tensors["kernels"]]
        inputs = [tensors["x"].clone().requires_grad_()]
        for layer, (W, w) in enumerate(zip(tensors["weights"], kernels, strict=True)):
            h = inputs[-1]
            C = PrintedProduct.apply(h, w, printed_kernel) if printed else circulant(w, layout="row") @ h
            z = C + W @ h if frozen else C
            inputs.append(z if layer == LAYERS - 1 else torch.relu(z))
        found = torch.autograd.grad(inputs[-1], [*inputs, *kernels], tensors["g"])
        runs.append((found[: LAYERS + 1][::-1], found[LAYERS + 1 :][::-1]))
    (right, right_kernels), (wrong, wrong_kernels) = runs
    cosine = torch.nn.functional.cosine_similarity
    return {
        "right": torch.stack(right).tolist(),
        "printed": torch.stack(wrong).tolist(),
        "cosines": cosine(torch.stack(right), torch.stack(wrong)).tolist(),
        "kernelCosines": cosine(torch.stack(right_kernels), torch.stack(wrong_kernels)).tolist(),
    }


class TwoGradients(Piece):
    """The right and the printed gradient at the output and below each of four layers, one layer at a time.

    Args:
        strength: the size of the kernels at the start, from 0 to 2.
        seed: the network.
    """

    script = "gradients"
    title = "Two gradients"
    sentences = (
        "The right and the printed gradient, each as {d} stems, at the output and below {steps} of {layers} layers, "
        "{frozen} frozen weights. The kernels have the size {strength}; their gradients in the printed run are "
        "{kernel}. Cosines of the two gradients, from the output down: {cosines}. Cosines of the kernels' gradients: "
        "{kernelCosines}."
    )

    def __init__(self, strength: float = 1.0, seed: int = 0):
        if not 0 <= strength <= 2:
            raise ValueError(f"strength is {strength}; expected a number from 0 to 2")
        state = {"steps": 1, "strength": strength, "frozen": True, "printedKernel": False}
        super().__init__(network(seed), state)

    def _numbers(self) -> dict:
        state = self.state
        return gradient_numbers(self.data, state["strength"], state["frozen"], state["printedKernel"])

    def readings(self) -> dict[str, str | int]:
        """Return the settings and the cosines of all layers, which the static form shows at once."""
        state, found = self.state, self._numbers()
        return {
            "d": SIZE,
            "layers": LAYERS,
            "steps": LAYERS,
            "strength": f"{state['strength']:.1f}",
            "frozen": "with" if state["frozen"] else "without",
            "kernel": "as printed, too" if state["printedKernel"] else "right",
            "cosines": ", ".join(map(signed, found["cosines"])),
            "kernelCosines": ", ".join(map(signed, found["kernelCosines"])),
        }

    def figure(self) -> go.Figure:
        """Draw both gradients at the output and below each layer, with their cosines."""
        found = self._numbers()
        places = ["output"] + [f"below layer {LAYERS - k}" for k in range(LAYERS)]
        panels = row([f"{name}: {c:+.2f}" for name, c in zip(places, found["cosines"], strict=True)])
        for column in range(1, LAYERS + 2):
            for name, color in (("right", COLORS[0]), ("printed", COLORS[1])):
                style = {"name": name, "marker": {"color": color}, "showlegend": column == 1}
                panels.add_bar(y=found[name][column - 1], **style, row=1, col=column)
        return with_legend(panels.update_xaxes(dtick=4, showgrid=False))
