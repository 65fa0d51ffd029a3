"""A plug-in for Axolotl: ``adapter: c3a`` or ``adapter: cdvft`` in its YAML file.

Only Axolotl can import this module. Its YAML file names the plug-in, the method, and fields of the method's config::

    plugins: [circpeft.hosts.axolotl_plugin.CirculantPlugin]
    adapter: c3a
    circpeft: {block_size: 64}
    lora_target_modules: [q_proj, v_proj]
"""

from __future__ import annotations

import os
from typing import Any

from axolotl.integrations.base import AdapterCapabilities, BasePlugin
from peft import PeftConfig, PeftModel, get_peft_model
from pydantic import BaseModel
from transformers import PreTrainedModel, set_seed

from .configs import CONFIGS, host_config

# Settings of LoRA that the two methods do not have.
LORA_ONLY = (
    *("lora_r", "lora_alpha", "lora_dropout", "lora_rank_pattern", "lora_alpha_pattern"),
    *("peft_init_lora_weights", "peft_use_dora", "peft_use_rslora"),
)
TASK_TYPES = {"SequenceClassification": "SEQ_CLS", "TokenClassification": "TOKEN_CLS"}


class CirculantArguments(BaseModel):
    """The key that the plug-in adds to Axolotl's YAML file.

    Args:
        circpeft: fields of `circpeft.C3AConfig` or `circpeft.CDVFTConfig`.
    """

    circpeft: dict[str, Any] = {}


class CirculantPlugin(BasePlugin):
    """Axolotl's plug-in: it builds or loads the adapter."""

    def get_input_args(self) -> str:
        """Return the path of the class with the plug-in's keys."""
        return f"{__name__}.{CirculantArguments.__name__}"

    def get_adapter_capabilities(self) -> list[AdapterCapabilities]:
        """Return the values of ``adapter`` that the plug-in understands."""
        return [AdapterCapabilities(name=method) for method in CONFIGS]

    def load_adapter(
        self, model: PreTrainedModel, cfg: Any, inference: bool = False, config_only: bool = False
    ) -> tuple[PeftModel | None, PeftConfig] | None:
        """Return the adapted model and its config; None for an adapter of another plug-in.

        Raises: ValueError or TypeError for a wrong setting, before the model is changed.
        """
        if cfg.adapter not in CONFIGS:
            return None
        config = _config(model, cfg)
        if config_only:
            return None, config
        if cfg.lora_model_dir:
            adapted = PeftModel.from_pretrained(model, cfg.lora_model_dir, is_trainable=not inference)
        else:
            if cfg.seed is not None:
                set_seed(cfg.seed)
            adapted = get_peft_model(model, config)
        if os.environ.get("LOCAL_RANK", "0") == "0":
            adapted.print_trainable_parameters()
        return adapted, config


def _config(model: PreTrainedModel, cfg: Any) -> PeftConfig:
    names = (kind for end, kind in TASK_TYPES.items() if type(model).__name__.endswith(end))
    shared = {
        "target_modules": "all-linear" if cfg.lora_target_linear else cfg.lora_target_modules,
        "target_parameters": cfg.lora_target_parameters,
        "exclude_modules": cfg.lora_exclude_modules,
        "layers_to_transform": cfg.peft_layers_to_transform,
        "layers_pattern": cfg.peft_layers_pattern,
        "modules_to_save": cfg.lora_modules_to_save,
        "task_type": next(names, "CAUSAL_LM"),
    }
    refused = {name: cfg[name] for name in LORA_ONLY if cfg[name]}
    return host_config(cfg.adapter, cfg.circpeft or {}, shared, refused)
