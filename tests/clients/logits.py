"""The logits of a model of transformers, as exporters need them: one tensor in, one tensor out."""

import torch
from torch import nn


class Logits(nn.Module):
    """A model of transformers as a function of token IDs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=ids).logits
