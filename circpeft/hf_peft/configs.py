"""The PEFT configs of C3A and CDVFT. Each config builds the adapter of a layer."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import peft
import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner
from peft.utils.constants import CONFIG_NAME
from peft.utils.other import get_pattern_key

from ..adapters import C3A, CDVFT
from ..files import write_atomically
from ..ops.checks import check_layout
from ..suggest import nearest
from . import model_card
from .config_values import check_saveable, converted
from .lora_fields import OTHER_NAMES
from .registration import peft_type
from .saved_adapter import read_saved_adapter
from .saved_keys import plain_name

# PEFT up to 0.20 saves trained biases only for a few of its own methods.
SAVES_BIASES = hasattr(BaseTuner, "_get_learnable_bias_state_dict")


@dataclass
class CirculantConfig(PeftConfig):
    """The fields that both methods share. Use `C3AConfig` or `CDVFTConfig`.

    Args:
        block_size: ``b``, the size of a circulant block (C3A: b; CDVFT: p), or "auto".
        block_size_pattern: layer name (its end, or a regex) -> block size, for layers that need another one.
        alpha: scale of ``ΔW``: "lora", at which LoRA's learning rates work; "paper", the scale of CDVFT's Eq. 4 with
            its alpha at 1, and of PEFT's C3A; or a number (see `circpeft.C3A`, `circpeft.CDVFT`).
        alpha_pattern: layer name (its end, or a regex) -> alpha, for layers that need another one.
        dropout: dropout probability of the adapter's input in training.
        init_weights: True or "zero" starts at ``ΔW = 0``, False at the method's random values; other names are those of
            the adapter.
        target_modules: names (ends of module names), one regex, or "all-linear". The default is the attention
            projections that PEFT's LoRA adapts: query and value for most architectures, as in CDVFT section 4.1.
        target_parameters: names (ends of parameter names) of fused experts of a mixture of experts, such as
            "mlp.experts.gate_up_proj". Every expert gets its own ``ΔW``.
        exclude_modules: names or a regex to leave out.
        layers_to_transform: indices of the layers to adapt; all by default.
        layers_pattern: name of the list of layers, if it is not a common one.
        modules_to_save: further modules to train and save, such as a new classification head.
        trainable_token_indices: rows of the input embedding to train and save, such as those of new tokens; or a dict
            of layer name -> rows. Layers that are tied to it use the same rows, as in PEFT's LoRA.
        bias: which biases train: "none", "all", or those of the adapted layers ("circonv_only", "cdvft_only").

    Values of other types are converted: scalars of numpy and torch, and any collection of names or indices. A value
    that cannot be saved as JSON is refused, here and when a field is set later.
    """

    block_size: int | str = "auto"
    block_size_pattern: dict[str, Any] = field(default_factory=dict)
    alpha: float | str = "lora"
    alpha_pattern: dict[str, Any] = field(default_factory=dict)
    dropout: float = 0.0
    init_weights: bool | str = True
    target_modules: list[str] | str | None = None
    target_parameters: list[str] | None = None
    exclude_modules: list[str] | str | None = None
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None
    modules_to_save: list[str] | None = None
    trainable_token_indices: list[int] | dict[str, list[int]] | None = None
    bias: str = "none"

    # The name under which PEFT knows the method. In lower case, with "_", it is the prefix of the adapter's parameters.
    method = ""
    # The adapter that was saved with this config, if there is one. The tuner checks it before it changes a model.
    _saved_adapter = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # dataclasses name an unknown field, but not the nearest known one. PEFT looks for these words of the error.
        for name in sorted(kwargs.keys() - set(cls.known_fields())):
            raise TypeError(f"{cls.__name__}.__init__() got an unexpected keyword argument {name!r}; {cls._hint(name)}")
        made: Self = super().__new__(cls)
        return made

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = peft_type(self.method)
        self.check()

    def check(self) -> None:
        """Check the values of all fields, also those that were changed after the config was made.

        Raises: ValueError that names the field, the value and what was expected.
        """
        for name in self.known_fields():  # again, because a dict or a list may have been changed in place
            object.__setattr__(self, name, converted(name, getattr(self, name)))
        check_saveable({name: getattr(self, name) for name in self.known_fields()})
        targets = self.target_modules
        if targets is not None and not targets and not getattr(self, "target_parameters", None):
            raise ValueError(f"target_modules={targets!r} names no layer; give names, or None for the default")
        if isinstance(self.target_modules, str):
            for name in ("layers_to_transform", "layers_pattern"):
                if getattr(self, name) is not None:
                    what = "" if self.target_modules == "all-linear" else "the regex "
                    raise ValueError(f"{name} needs target_modules as a list; it is {what}{self.target_modules!r}")
        if self.layers_pattern and self.layers_to_transform is None:
            raise ValueError(f"layers_pattern={self.layers_pattern!r} needs layers_to_transform")
        biases = ("none", "all", f"{self.method.lower()}_only")
        if self.bias not in biases:
            raise ValueError(f"unknown bias {self.bias!r}; {nearest(self.bias, biases)}")
        if self.bias != "none" and not SAVES_BIASES:
            raise ValueError(
                f"bias={self.bias!r} needs a newer peft: {peft.__version__} does not save the biases that it trains; "
                f'upgrade it, or use bias="none"'
            )
        # An adapter for a tiny layer is built here, so that a wrong value raises before any model is changed.
        block_size = 1 if isinstance(self.block_size, int) else self.block_size
        with torch.device("meta"):  # draws no random numbers
            self._build(1, 1, block_size, self.alpha)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in OTHER_NAMES:
            raise AttributeError(f"{type(self).__name__} has no field {name!r}; {self._hint(name)}")
        # get_peft_model sets the new base model here. From then on the config describes a new adapter.
        if name == "base_model_name_or_path":
            self.__dict__.pop("_saved_adapter", None)
        super().__setattr__(name, converted(name, value))

    @classmethod
    def _hint(cls, name: str) -> str:
        return OTHER_NAMES.get(name) or nearest(name, cls.known_fields())

    @classmethod
    def known_fields(cls) -> list[str]:
        """Return the names of the fields that this version knows."""
        return [field.name for field in fields(cls)]

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str, subfolder: str | None = None, **kwargs: Any
    ) -> PeftConfig:
        """Read a config from a folder or the hub, and check the adapter file beside it.

        Whether the adapter fits a model is checked when it is loaded onto one. A folder without an adapter file is
        accepted. The arguments are those of `peft.PeftConfig.from_pretrained`.

        Raises: what PEFT raises for a folder without a config; ValueError that names the file of a truncated or pickled
        adapter, or of a config that is not JSON or has a wrong value, and the field.
        """
        config = super().from_pretrained(pretrained_model_name_or_path, subfolder=subfolder, **kwargs)
        if isinstance(config, CirculantConfig):  # the folder decides which method it is
            config.check_saved_adapter(pretrained_model_name_or_path, subfolder, **kwargs)
        return config

    def check_saved_adapter(
        self, pretrained_model_name_or_path: str, subfolder: str | None = None, **kwargs: Any
    ) -> None:
        """Check the header of the adapter file beside this config, and keep it for the check against a model.

        The arguments are those of `from_pretrained`.

        Raises: ValueError that names the file.
        """
        hub, _, _ = self._split_kwargs(kwargs)
        folder = str(pretrained_model_name_or_path)
        self.__dict__["_saved_adapter"] = read_saved_adapter(folder, subfolder, self.known_fields(), **hub)

    def save_pretrained(self, save_directory: str, **kwargs: Any) -> None:
        """Write the config, and add what users of the adapter need to the model card beside it, if there is one.

        Raises: ValueError for a value that was changed to one that cannot be saved. An earlier file is unchanged then.
        """
        self.check()
        with tempfile.TemporaryDirectory() as temporary:
            super().save_pretrained(temporary, **kwargs)
            content = Path(temporary, CONFIG_NAME).read_bytes()
        write_atomically(os.path.join(save_directory, CONFIG_NAME), content)
        model_card.complete(Path(save_directory), self)

    def for_layer(self, name: str) -> tuple[int | str, float | str]:
        """Return the block size and alpha of the layer with this full name, after the patterns."""
        return (
            _of_pattern(self.block_size_pattern, name, self.block_size),
            _of_pattern(self.alpha_pattern, name, self.alpha),
        )

    def build(self, name: str, d_in: int, d_out: int) -> C3A | CDVFT:
        """Build the adapter for a layer with this full name and shape.

        Raises: ValueError that names the layer, if the block size does not suit it.
        """
        block_size, alpha = self.for_layer(name)
        try:
            return self._build(d_in, d_out, block_size, alpha)
        except ValueError as error:
            raise ValueError(f"layer {name!r} (d_in={d_in}, d_out={d_out}): {error}") from error

    def _build(self, d_in: int, d_out: int, block_size: int | str, alpha: float | str) -> C3A | CDVFT:
        raise NotImplementedError("use C3AConfig or CDVFTConfig")

    def _common(self) -> dict[str, Any]:
        return {"dropout": self.dropout, "init_weights": self.init_weights}


def _of_pattern(pattern: dict[str, Any], name: str, default: Any) -> Any:
    for form in (plain_name(name), name):
        if (key := get_pattern_key(pattern.keys(), form)) in pattern:
            return pattern[key]
    return default


@dataclass
class C3AConfig(CirculantConfig):
    """PEFT config of C3A (arXiv 2407.19342): ``ΔW = (alpha / d_in) * C(w)``, see `circpeft.C3A`.

    Fields: those of `CirculantConfig`, and ``layout``: "row" (of the paper and of PEFT's own C3A) or "column". The
    block size must divide both dimensions of a layer; "auto" is their greatest common divisor.

    >>> C3AConfig(block_size=96, target_modules=["query", "value"]).alpha
    'lora'
    """

    layout: str = "row"

    method = "CIRCONV"

    def __post_init__(self) -> None:
        check_layout(self.layout)
        super().__post_init__()

    def _build(self, d_in: int, d_out: int, block_size: int | str, alpha: float | str) -> C3A:
        return C3A(d_in, d_out, block_size, alpha=alpha, layout=self.layout, **self._common())


@dataclass
class CDVFTConfig(CirculantConfig):
    """PEFT config of CDVFT (arXiv 2505.00580): ``ΔW = alpha * A3 C2 A1``, see `circpeft.CDVFT`.

    Fields: those of `CirculantConfig`, and ``num_factors``: the paper's 2m-1, odd. The block size need not divide the
    dimensions; "auto" is ``min(d_in, d_out)``.

    >>> CDVFTConfig(num_factors=4)
    Traceback (most recent call last):
    ...
    ValueError: num_factors must be odd (diagonals outermost), e.g. 3 or 5; got 4
    """

    num_factors: int = 3

    method = "CDVFT"

    def _build(self, d_in: int, d_out: int, block_size: int | str, alpha: float | str) -> CDVFT:
        return CDVFT(d_in, d_out, block_size, num_factors=self.num_factors, alpha=alpha, **self._common())
