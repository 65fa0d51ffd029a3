"""From a saved adapter to files that other programs read: a merged model, a LoRA, PEFT's C3A, ONNX, GGUF.

Each export checks what it wrote before the folder gets its name, so a folder is there completely or not at all.
"""

from .adapter_folder import AdapterFolder
from .gguf_file import GgufExport, export_gguf
from .lora import LoraExport, export_lora
from .merged_model import Merged, merge_folder
from .onnx_model import OnnxExport, export_onnx
from .pefts_c3a import PeftC3AExport, export_peft_c3a

__all__ = [
    "AdapterFolder",
    "GgufExport",
    "LoraExport",
    "Merged",
    "OnnxExport",
    "PeftC3AExport",
    "export_gguf",
    "export_lora",
    "export_onnx",
    "export_peft_c3a",
    "merge_folder",
]
