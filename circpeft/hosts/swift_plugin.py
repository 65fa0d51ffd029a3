"""A tuner for ms-swift: ``swift sft --external_plugins FILE --tuner_type NAME``, where FILE registers NAME.

Only ms-swift can import this module. FILE is a Python file of the user::

    import circpeft
    from circpeft.hosts.swift_plugin import register

    register("c3a", circpeft.C3AConfig(block_size=64))
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from peft import PeftModel, get_peft_model
from swift.tuner_plugin import PeftTuner, tuners_map
from torch import nn

from ..hf_peft.configs import CirculantConfig

# PEFT's names for ms-swift's tasks; the other tasks have the same names.
TASK_TYPES = {"EMBEDDING": None, "RERANKER": "SEQ_CLS", "GENERATIVE_RERANKER": "CAUSAL_LM", "DECISION": "CAUSAL_LM"}


def register(name: str, config: CirculantConfig) -> None:
    """Let ms-swift train adapters with this config, as ``--tuner_type NAME``.

    The fields ``target_modules``, ``modules_to_save`` and ``task_type`` come from ms-swift's arguments where the config
    does not have them.

    Raises: ValueError for a name that another tuner of ms-swift has.
    """
    if name in tuners_map and not hasattr(tuners_map[name], "circulant_config"):
        raise ValueError(f"ms-swift has a tuner {name!r} of its own; register the config under another name")

    class CirculantTuner(PeftTuner):
        circulant_config = config

        @staticmethod
        def prepare_model(args: Any, model: nn.Module) -> PeftModel:
            return get_peft_model(model, _completed(config, args, model))

    tuners_map[name] = CirculantTuner


def _completed(config: CirculantConfig, args: Any, model: nn.Module) -> CirculantConfig:
    kind = args.task_type.upper()
    completed = deepcopy(config)  # ms-swift may train several models in one process
    completed.task_type = completed.task_type or TASK_TYPES.get(kind, kind)
    completed.modules_to_save = completed.modules_to_save or list(args.modules_to_save) or None
    if completed.target_modules is None and completed.target_parameters is None:
        completed.target_modules = _targets(args, model)
    return completed


def _targets(args: Any, model: Any) -> list[str] | str:
    if isinstance(args.target_modules, str) or not {"all-linear", "all-embedding"} & set(args.target_modules):
        return args.target_modules
    if args.target_modules != ["all-linear"] or model.model_meta.is_multimodal:
        raise ValueError(
            f"target_modules={args.target_modules} depends on the model; give the names of linear layers, or one "
            "regex, as target_modules of the config"
        )
    return "all-linear"
