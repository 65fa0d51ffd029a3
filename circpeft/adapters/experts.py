"""One adapter per expert, for the weights of a mixture of experts that are fused into single parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from .c3a import C3A
from .cdvft import CDVFT


class ExpertAdapters(nn.Module):
    """Adapters of the same method for all experts of some fused weights.

    Formula: for every weight and every expert ``e``, the method's own ``ΔW_e: (d_out, d_in)``, from the slice ``[e]``
    of its parameters. Experts share no values.

    Args:
        adapters: for each fused weight, an adapter of one expert. It may be on the meta device: only its settings are
            used.
        num_experts: the number of experts of each fused weight.
        init_weights: the start, as the method names it; every expert draws its own random values.

    Shapes: a parameter of shape ``s`` of one adapter becomes ``(num_experts, *s)``, and is named
    ``<weight>_<parameter>``.

    >>> from circpeft import C3A
    >>> with torch.device("meta"):
    ...     single = C3A(8, 4, block_size=4)
    >>> adapters = ExpertAdapters({"down_proj": single}, {"down_proj": 3}, "gaussian")
    >>> [(name, tuple(p.shape)) for name, p in adapters.named_parameters()]
    [('down_proj_kernel', (3, 1, 2, 4))]
    >>> x = torch.randn(5, 8)
    >>> torch.allclose(adapters.expert("down_proj", 2)(x), x @ adapters.delta_weight("down_proj")[2].T, atol=1e-6)
    True
    """

    def __init__(
        self, adapters: dict[str, C3A | CDVFT], num_experts: dict[str, int], init_weights: bool | str = True
    ) -> None:
        super().__init__()
        self.num_experts = dict(num_experts)
        # A factor of the alpha of every weight's adapter.
        self.alpha = 1.0
        # Settings without values. In a plain dict, so that torch does not register them.
        self.settings = dict(adapters)
        for weight, adapter in adapters.items():
            for name, p in adapter.named_parameters():
                # Not in a module per weight: PEFT loses the adapter's name in the keys of nested modules.
                stacked = torch.empty((num_experts[weight], *p.shape), dtype=p.dtype)
                self.register_parameter(f"{weight}_{name}", nn.Parameter(stacked))
        with torch.no_grad():
            for weight, e in self.experts():
                self.expert(weight, e).reset_parameters(init_weights)

    @property
    def weights(self) -> list[str]:
        """The names of the fused weights."""
        return list(self.settings)

    def experts(self) -> Iterator[tuple[str, int]]:
        """Yield every weight with every expert."""
        return ((weight, e) for weight in self.settings for e in range(self.num_experts[weight]))

    def block_size(self, weight: str) -> int:
        """Return the block size of a weight's adapters."""
        return self.settings[weight].block_size

    def expert(self, weight: str, e: int) -> C3A | CDVFT:
        """Return the adapter of one expert. Its parameters are views of those of this module."""
        settings = self.settings[weight]
        one = copy(settings)
        one._parameters = {name: getattr(self, f"{weight}_{name}")[e] for name in settings._parameters}
        one._modules = {"dropout": nn.Dropout(settings.dropout.p).train(self.training)}
        one.alpha = self.alpha * settings.alpha
        return one

    def dropout(self, weight: str) -> float:
        """Return the dropout probability of a weight's adapters."""
        return self.settings[weight].dropout.p

    def delta_weight(self, weight: str) -> Tensor:
        """Return ``ΔW: (num_experts, d_out, d_in)`` of one weight."""
        return torch.stack([self.expert(weight, e).delta_weight() for e in range(self.num_experts[weight])])

    @torch.no_grad()
    def set_weighted_sum(self, adapters: Sequence[ExpertAdapters], weights: Sequence[float]) -> None:
        """Set every expert so that ``ΔW_e = sum_i weights[i] ΔW_i,e`` exactly.

        A weight that only some of the adapters change is summed over those.

        Raises: what the method's own ``set_weighted_sum`` raises, with the weight and the expert.
        """
        for weight, e in self.experts():
            parts: list[tuple[Any, float]] = [
                (a.expert(weight, e), w) for a, w in zip(adapters, weights, strict=True) if weight in a.weights
            ]
            try:
                self.expert(weight, e).set_weighted_sum([one for one, _ in parts], [w for _, w in parts])
            except ValueError as error:
                raise ValueError(f"{weight!r}, expert {e}: {error}") from error

    def extra_repr(self) -> str:
        return ", ".join(f"{weight}: {n} x {self.settings[weight]}" for weight, n in self.num_experts.items())
