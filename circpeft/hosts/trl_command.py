"""TRL's training scripts with C3A or CDVFT in place of LoRA: ``python -m circpeft.hosts.trl_command sft ...``.

The arguments are those of ``trl sft``, ``trl dpo`` and so on, on the command line or in the file of ``--config``, and
two of its own: ``--adapter`` and ``--adapter_fields``. Which layers are adapted is set as for LoRA, by
``--lora_target_modules``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import Any
from unittest import mock

from ..hf_peft.configs import CirculantConfig
from ..suggest import nearest
from .configs import CONFIGS, host_config

SCRIPTS = ("sft", "dpo", "grpo", "kto", "reward", "rloo")
LORA_ONLY = ("lora_r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora")


@dataclass
class AdapterArguments:
    """The arguments that TRL does not have.

    Args:
        adapter: the method.
        adapter_fields: fields of its config, each as NAME=VALUE.
    """

    adapter: str = field(default="c3a", metadata={"help": f"the method: {' or '.join(CONFIGS)}"})
    adapter_fields: list[str] = field(
        default_factory=list, metadata={"help": "fields of its config, such as block_size=64"}
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train with one of TRL's scripts.

    Args:
        arguments: the name of the script and its arguments; those of the command line by default.

    Raises: SystemExit for wrong usage, before a model is loaded.
    """
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if name not in SCRIPTS:
        raise SystemExit(f"unknown script {name!r}; {nearest(name, SCRIPTS)}")
    import trl

    script = import_module(f"trl.scripts.{name}")
    parser = trl.TrlParser([*script.make_parser().dataclass_types, AdapterArguments], prog=f"trl_command {name}")
    *theirs, adapter = parser.parse_args_and_config(rest)
    try:
        config = adapter_config(next(group for group in theirs if isinstance(group, trl.ModelConfig)), adapter)
    except (TypeError, ValueError) as error:
        raise SystemExit(f"trl_command {name}: error: {error}") from None
    with mock.patch.object(trl, "get_peft_config", lambda model_args: config):
        script.main(*theirs)


def adapter_config(model: Any, adapter: AdapterArguments) -> CirculantConfig:
    """Make the config from TRL's ModelConfig and the arguments of this command.

    Raises: ValueError or TypeError that names the argument.
    """
    given = [text.partition("=") for text in adapter.adapter_fields]
    wrong = [name for name, equals, _ in given if not equals]
    if wrong:
        raise ValueError(f"--adapter_fields takes NAME=VALUE, got {wrong[0]!r}")
    defaults = {entry.name: entry.default for entry in fields(model)}
    shared = {
        "target_modules": model.lora_target_modules,
        "target_parameters": model.lora_target_parameters,
        "modules_to_save": model.lora_modules_to_save,
        "task_type": model.lora_task_type,
    }
    refused = {name: getattr(model, name) for name in LORA_ONLY if getattr(model, name) != defaults[name]}
    return host_config(adapter.adapter, {name: _value(text) for name, _, text in given}, shared, refused)


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):  # a word, such as auto
        return text


if __name__ == "__main__":
    main()
