"""The check of saved adapters when transformers loads them.

PEFT reads a config through the method's own config class, where `CirculantConfig.from_pretrained` checks the adapter
file. transformers (`model.load_adapter`, `AutoModel.from_pretrained`) reads it through `peft.PeftConfig` instead. After
that call no code of circpeft learns the folder: the config's ``__init__`` and the tuner do not receive it, and
transformers sets the parameters itself. Without a check there, a damaged file would leave a half-loaded model behind.
"""

from functools import wraps
from typing import Any

from peft import PeftConfig

from .configs import CirculantConfig


def check_in_transformers() -> None:
    """Make `peft.PeftConfig.from_pretrained` check adapters of circpeft's methods.

    Configs of other methods, and calls on any other config class, pass through unchanged, with their errors.
    """
    read = PeftConfig.from_pretrained.__func__

    @wraps(read)
    def from_pretrained(cls: type[PeftConfig], *args: Any, **kwargs: Any) -> PeftConfig:
        config = read(cls, *args, **kwargs)
        if cls is PeftConfig and isinstance(config, CirculantConfig):
            config.check_saved_adapter(*args, **kwargs)
            config.__dict__["_read_by_transformers"] = True
        return config

    PeftConfig.from_pretrained = classmethod(from_pretrained)
