"""The mathematics of each paper as a plain `torch.nn.Module`, independent of PEFT."""

from .base import WeightDelta
from .c3a import C3A
from .cdvft import CDVFT

__all__ = ["C3A", "CDVFT", "WeightDelta"]
