"""Check the values in an adapter_config.json before PEFT or transformers uses them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import wraps
from typing import Any

from peft import PeftConfig, TaskType
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

from ..suggest import nearest
from .config_json import read_config
from .config_values import CONVERSIONS, converted
from .configs import CirculantConfig
from .file_regexes import check_regexes

# Fields without a conversion, and the types that they have in a file.
PLAIN_TYPES = {"auto_mapping": dict, "peft_version": str, "task_type": str}


def check_config(file: str | os.PathLike[str], content: Mapping[str, Any]) -> type[PeftConfig]:
    """Check the method of a config, and the values of one of circpeft's methods; return the method's config class.

    Raises: ValueError that names the file and the field.
    """
    method = content.get("peft_type")
    if not isinstance(method, str) or method not in PEFT_TYPE_TO_CONFIG_MAPPING:
        known = [str(getattr(kind, "value", kind)) for kind in PEFT_TYPE_TO_CONFIG_MAPPING]
        hint = nearest(method, known) if isinstance(method, str) else f"expected one of {', '.join(known)}"
        raise ValueError(f"{file}: peft_type is {method!r:.80}; {hint}")
    kind: type[PeftConfig] = PEFT_TYPE_TO_CONFIG_MAPPING[method]
    if issubclass(kind, CirculantConfig):
        _check_values(file, content, kind)
    return kind


def _check_values(file: str | os.PathLike[str], content: Mapping[str, Any], kind: type[CirculantConfig]) -> None:
    for field, value in content.items():
        expected = PLAIN_TYPES.get(field)
        if expected is not None and value is not None and not isinstance(value, expected):
            raise ValueError(f"{file}: {field} must be of type {expected.__name__}, got {value!r:.80}")
        if field in CONVERSIONS:
            try:
                converted(field, value)
            except ValueError as error:
                raise ValueError(f"{file}: {error}") from error
    if (task := content.get("task_type")) is not None and task not in list(TaskType):
        raise ValueError(f"{file}: task_type is {task!r:.80}; {nearest(task, [kind.value for kind in TaskType])}")
    check_regexes(str(file), content)
    known = {field: content[field] for field in kind.known_fields() if field in content and field != "peft_type"}
    try:
        kind(**known)
    except ValueError as error:  # values that do not go together
        raise ValueError(f"{file}: {error}") from error


def check_configs_read_by_peft() -> None:
    """Make `peft.PeftConfig` check a config file of circpeft's methods, and the form of any, before it uses it.

    PEFT and transformers read every config through this method. Configs of PEFT's own methods that are JSON objects
    pass through unchanged.
    """
    read = PeftConfig.from_json_file.__func__

    @wraps(read)
    def from_json_file(cls: type[PeftConfig], *args: Any, **kwargs: Any) -> Any:
        path_json_file = args[0] if args else kwargs["path_json_file"]
        content = read_config(path_json_file)
        method = content.get("peft_type")
        of_method = PEFT_TYPE_TO_CONFIG_MAPPING.get(method) if isinstance(method, str) else None
        if of_method is None and method is not None or of_method and issubclass(of_method, CirculantConfig):
            check_config(path_json_file, content)
        return read(cls, *args, **kwargs)

    PeftConfig.from_json_file = classmethod(from_json_file)
