"""Registration of a method with PEFT: a member of its enum, and an entry in its registries.

`register_peft_method` accepts only members of the enum `PeftType`. Plain strings fail in transformers and when an
adapter is saved. To replace PEFT's own C3A would change other people's models. So a member is added, with a name that
no other method's parameter prefix contains.
"""

from typing import Any

import peft
from packaging.version import Version
from peft.utils import PeftType, register_peft_method

OLDEST_PEFT = "0.18.0"

if Version(peft.__version__) < Version(OLDEST_PEFT):
    raise ImportError(
        f"circpeft needs peft >= {OLDEST_PEFT}, found {peft.__version__}; run: pip install 'peft>={OLDEST_PEFT}'"
    )


def peft_type(name: str) -> PeftType:
    """Return the member of PEFT's enum with this name, and add it if it is missing."""
    if name not in PeftType.__members__:
        member = str.__new__(PeftType, name)
        member._name_, member._value_ = name, name
        type.__setattr__(PeftType, name, member)
        PeftType._member_names_.append(name)
        PeftType._member_map_[name] = member
        PeftType._value2member_map_[name] = member
    return PeftType(name)


def register(config_cls: Any, model_cls: type) -> None:
    """Register a config and its tuner under the config's ``method`` name."""
    name = peft_type(config_cls.method).value.lower()
    register_peft_method(name=name, config_cls=config_cls, model_cls=model_cls)
