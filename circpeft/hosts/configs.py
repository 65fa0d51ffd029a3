"""Make the PEFT config of C3A or CDVFT from the settings of another program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..hf_peft.configs import C3AConfig, CDVFTConfig, CirculantConfig
from ..suggest import nearest

CONFIGS: dict[str, type[CirculantConfig]] = {"c3a": C3AConfig, "cdvft": CDVFTConfig}


def host_config(
    method: str, fields: Mapping[str, Any], shared: Mapping[str, Any], refused: Mapping[str, Any] | None = None
) -> CirculantConfig:
    """Make a config from fields of its own and from settings that the program has for every PEFT method.

    Args:
        method: "c3a" or "cdvft".
        fields: fields of the config, by name.
        shared: values for fields that ``fields`` does not have; None and empty collections are left out.
        refused: settings of LoRA that were set, by the name that the program gives them.

    Raises: ValueError for an unknown method or for a setting of LoRA; TypeError that names an unknown field and the
    nearest known one; ValueError for a wrong value.

    >>> host_config("c3a", {"block_size": 64}, {"target_modules": ["q_proj"], "modules_to_save": []}).block_size
    64
    """
    if method not in CONFIGS:
        raise ValueError(f"unknown method {method!r}; {nearest(method, CONFIGS)}")
    kind = CONFIGS[method]
    for name, value in (refused or {}).items():
        raise ValueError(f"{name}={value!r} is a setting of LoRA; remove it, and set the fields of {kind.__name__}")
    return kind(**{name: value for name, value in shared.items() if value not in (None, [], {}, "")} | dict(fields))
