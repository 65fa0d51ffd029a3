"""Fine-tuning large models with circulant matrices: C3A and CDVFT as operators, modules and PEFT methods.

The whole public API is here. The cost model (`costs`, `papers`, `count_flops`) and training runs (`run`, `Result`,
`methods`, `recipes`, `tasks`, `results`, `plots`) are imported on first use; the latter need the ``train`` or
``course`` extra.
"""

from importlib import import_module
from typing import Any

from .adapters import C3A, CDVFT
from .hf_peft import C3AConfig, CDVFTConfig, inject, load_peft_c3a, merge, repair_peft_c3a, save_peft_c3a
from .ops import (
    adapted_linear,
    available_backends,
    block_circulant,
    block_circular_matmul,
    circulant,
    use_backend,
)

__version__ = "0.1.0"

_ON_FIRST_USE = {"run": "training", "Result": "results", "count_flops": "profiling"}
_MODULES = (
    "costs",
    "course",
    "methods",
    "mt_bench",
    "papers",
    "plots",
    "profiling",
    "recipes",
    "report",
    "results",
    "sweeps",
    "tasks",
    "training",
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name in _ON_FIRST_USE:
        return getattr(import_module(f".{_ON_FIRST_USE[name]}", __name__), name)
    raise AttributeError(f"module 'circpeft' has no attribute {name!r}")


__all__ = [
    "C3A",
    "CDVFT",
    "C3AConfig",
    "CDVFTConfig",
    "adapted_linear",
    "available_backends",
    "block_circulant",
    "block_circular_matmul",
    "circulant",
    "inject",
    "load_peft_c3a",
    "merge",
    "repair_peft_c3a",
    "save_peft_c3a",
    "use_backend",
]
