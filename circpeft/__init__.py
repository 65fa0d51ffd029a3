"""Fine-tuning large models with circulant matrices: C3A and CDVFT as operators, modules and PEFT methods.

The whole public API is here. Every name is imported on first use, so `import circpeft` takes milliseconds. It still
makes C3A and CDVFT known to PEFT, and the operators to torch, as soon as those are imported (`circpeft.import_hooks`).
Training runs and the course (`run`, `Result`, `methods`, `recipes`, `tasks`, `results`, `plots`, ...) need the
``train`` or ``course`` extra.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .import_hooks import FOLLOWERS, follow_imports

if TYPE_CHECKING:
    from .adapters import C3A, CDVFT
    from .hf_peft import (
        C3AConfig,
        CDVFTConfig,
        inject,
        load_peft_c3a,
        merge,
        repair_peft_c3a,
        save_peft_c3a,
    )
    from .hf_peft.learning_rate_check import LearningRateCheck
    from .hf_peft.lora_error import lora_error
    from .ops import (
        adapted_linear,
        available_backends,
        block_circulant,
        block_circular_matmul,
        circulant,
        use_backend,
    )

__version__ = "0.1.0"

# The module of every public name.
_MODULE_OF = {
    "C3A": "adapters",
    "CDVFT": "adapters",
    "C3AConfig": "hf_peft",
    "CDVFTConfig": "hf_peft",
    "LearningRateCheck": "hf_peft.learning_rate_check",
    "Result": "results",
    "adapted_linear": "ops",
    "available_backends": "ops",
    "block_circulant": "ops",
    "block_circular_matmul": "ops",
    "circulant": "ops",
    "count_flops": "profiling",
    "inject": "hf_peft",
    "load_peft_c3a": "hf_peft",
    "lora_error": "hf_peft",
    "merge": "hf_peft",
    "repair_peft_c3a": "hf_peft",
    "run": "training",
    "save_peft_c3a": "hf_peft",
    "use_backend": "ops",
}
_SUBMODULES = (
    "adapters",
    "costs",
    "fits",
    "hf_peft",
    "learning_rates",
    "methods",
    "ops",
    "papers",
    "profiling",
    "recipes",
    "results",
)
# These need the train or course extra. `dir` leaves them out, because `help` imports everything that it lists.
_SUBMODULES_OF_EXTRAS = (
    "course",
    "export",
    "models",
    "mt_bench",
    "plots",
    "rates",
    "report",
    "sweeps",
    "tasks",
    "training",
)


def _import(submodule: str) -> Any:
    name = f"{__name__}.{submodule}"
    # The library first, as in every import of it: two threads that take the locks in opposite orders block each other.
    for library in [library for library, follower in FOLLOWERS.items() if f"{name}.".startswith(f"{follower}.")]:
        import_module(library)
    return import_module(name)


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = globals()[name] = getattr(_import(_MODULE_OF[name]), name)
        return value
    if name in _SUBMODULES or name in _SUBMODULES_OF_EXTRAS:
        return _import(name)
    message = f"module {__name__!r} has no attribute {name!r}"
    if not name.startswith("_"):  # Python and its tools ask for names with underscores that no module has to have
        from .suggest import nearest

        message = f"{message}; {nearest(name, (*_MODULE_OF, *_SUBMODULES, *_SUBMODULES_OF_EXTRAS))}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    public = {name for name, module in _MODULE_OF.items() if module not in _SUBMODULES_OF_EXTRAS}
    return sorted({*globals(), *public, *_SUBMODULES})


__all__ = [
    "C3A",
    "CDVFT",
    "C3AConfig",
    "CDVFTConfig",
    "LearningRateCheck",
    "adapted_linear",
    "available_backends",
    "block_circulant",
    "block_circular_matmul",
    "circulant",
    "inject",
    "load_peft_c3a",
    "lora_error",
    "merge",
    "repair_peft_c3a",
    "save_peft_c3a",
    "use_backend",
]

follow_imports()
