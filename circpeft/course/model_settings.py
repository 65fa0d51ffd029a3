"""Settings for models that are larger than those of the profiles, so that a run needs minutes and a few gigabytes."""

from __future__ import annotations

from typing import Any

# SmolLM2 has 49,152 tokens: the logits of 2 x 384 positions take 151 MB, and the loss needs them several times. A step
# has eight rows, four times two.
_SMOLLM2 = {"batch_size": 2, "gradient_accumulation": 4, "max_length": 384, "generation_batch_size": 32}
_FEW = {"max_train": 200, "max_eval": 50, "epochs": 1}
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {"smollm2": {"smoke": _SMOLLM2, "cpu": {**_SMOLLM2, **_FEW}}}
METHODS = {"": "head,full,lora,c3a,c3a:block_size=32,cdvft", "smollm2": "lora,c3a:block_size=64,cdvft"}


def settings_for(model: str, profile: str) -> dict[str, Any]:
    """Return the settings that replace a profile's for a model; empty where the profile's are used.

    The profile ``paper`` is for a GPU, so its settings are kept.

    >>> settings_for("smollm2", "smoke")
    {'batch_size': 2, 'gradient_accumulation': 4, 'max_length': 384, 'generation_batch_size': 32}
    >>> settings_for("small-llama", "cpu"), settings_for("smollm2", "paper")
    ({}, {})
    """
    return dict(SETTINGS.get(model, {}).get(profile, {}))


def methods_for(model: str) -> str:
    """Return the methods of notebook 10 for a model. Those that train its own weights need too much memory for SmolLM2.

    >>> methods_for("smollm2")
    'lora,c3a:block_size=64,cdvft'
    """
    return METHODS.get(model, METHODS[""])
