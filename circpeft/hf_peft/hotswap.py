"""Replace the weights of a loaded adapter in place: PEFT's hot-swapping, for the adapters of circpeft.

PEFT's functions of these names (`peft.utils.hotswap`) compute LoRA's scale from its rank, so they cannot take another
method. These take both: models with PEFT's own adapters are passed on to PEFT.
"""

from __future__ import annotations

import os
from typing import Any, Literal

import torch
from peft import PeftConfig, PeftModel, set_peft_model_state_dict
from peft.utils import hotswap
from torch import nn

from ..suggest import nearest
from .adapter_file import find_files, read_tensors
from .adapter_names import check_adapter_names
from .caller_warnings import warn_caller
from .layer import CirculantLayer
from .peft_model import renamed_state
from .same_settings import check_reload
from .saved_keys import peft_loads
from .tuner import CirculantModel

CHOICES = ("error", "warn", "ignore")


def hotswap_adapter(
    model: nn.Module,
    model_name_or_path: str | os.PathLike[str],
    adapter_name: str,
    torch_device: str | None = None,
    **kwargs: Any,
) -> None:
    """Replace the weights of an adapter by those of a saved one with the same settings, in place.

    No parameter becomes another tensor, so a compiled model is not compiled again, and an optimizer keeps its
    parameters. What trains beside the adapter is replaced as well: whole modules, biases, and rows of an embedding.

    Args:
        model: the model with the adapter, compiled or not.
        model_name_or_path: folder or hub id of the saved adapter.
        adapter_name: the adapter to replace. It keeps its name.
        torch_device: the device to which the saved weights are read; by default the CPU.
        kwargs: options of the hub: subfolder, revision, token, ...

    Raises: ValueError, in one line, for an adapter that the model does not have or that is merged; for a saved adapter
    with other settings (it names the first one that differs, such as block_size, and both values); and for a file that
    does not fit the model. The model is unchanged then.

    >>> import tempfile
    >>> import peft
    >>> from circpeft import C3AConfig
    >>> config = C3AConfig(target_modules=["0"], init_weights=False)
    >>> first, second = (peft.get_peft_model(nn.Sequential(nn.Linear(4, 4)), config) for _ in range(2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     second.save_pretrained(folder)
    ...     hotswap_adapter(first, folder, "default")
    >>> first, second = (m.base_model.model[0].get_delta_weight("default") for m in (first, second))
    >>> torch.equal(first, second)
    True
    """
    peft_model = _peft_model(model)
    if not isinstance(peft_model.base_model, CirculantModel):
        hotswap.hotswap_adapter(model, model_name_or_path, adapter_name, torch_device, **kwargs)
        return
    check_adapter_names(adapter_name, peft_model.peft_config)
    if any(isinstance(m, CirculantLayer) and adapter_name in m.merged_adapters for m in peft_model.modules()):
        raise ValueError(f"adapter {adapter_name!r} is merged, so it cannot be replaced; call unmerge_adapter() first")
    folder = str(model_name_or_path)
    hub, _ = peft_model._split_kwargs(dict(kwargs))
    with peft_loads(None):
        saved = PeftConfig.from_pretrained(folder, **hub)
        check_reload(peft_model.base_model, saved, adapter_name, folder)
    _, file = find_files(folder, **hub)
    if not file:
        raise ValueError(f"{folder} has a config without an adapter file")
    device = torch.device("cpu" if torch_device is None else torch_device)
    state = {key: tensor.to(device) for key, tensor in read_tensors(file).items()}
    set_peft_model_state_dict(peft_model, renamed_state(peft_model, adapter_name, state), adapter_name)


def prepare_model_for_compiled_hotswap(
    model: nn.Module,
    *,
    target_rank: int | None = None,
    config: Any = None,
    check_compiled: Literal["error", "warn", "ignore"] = "error",
) -> None:
    """Check that `hotswap_adapter` can replace the adapters of a model after it is compiled. Nothing is changed.

    PEFT's function of this name makes LoRAs of several ranks and scales alike. Adapters of circpeft that replace each
    other have the same settings, so there is nothing to make alike.

    Args:
        model: the model with its first adapter, before it is compiled.
        target_rank, config: as in PEFT, for a model with LoRA.
        check_compiled: what happens for a model that is compiled already: "error", "warn" or "ignore".

    Raises: ValueError for a compiled model, with ``check_compiled="error"``; for ``target_rank``, since a circulant has
    no rank to set; and for an unknown ``check_compiled``.

    >>> import peft
    >>> from circpeft import C3AConfig
    >>> model = peft.get_peft_model(nn.Sequential(nn.Linear(4, 4)), C3AConfig(target_modules=["0"]))
    >>> prepare_model_for_compiled_hotswap(model, target_rank=8)
    Traceback (most recent call last):
    ...
    ValueError: target_rank=8 is for LoRA: adapters of CIRCONV that replace each other need the same block_size
    """
    peft_model = _peft_model(model)
    if not isinstance(peft_model.base_model, CirculantModel):
        options: dict[str, Any] = {"target_rank": target_rank, "config": config, "check_compiled": check_compiled}
        hotswap.prepare_model_for_compiled_hotswap(model, **options)
        return
    if check_compiled not in CHOICES:
        raise ValueError(f"unknown check_compiled {check_compiled!r}; {nearest(check_compiled, CHOICES)}")
    if target_rank is not None:
        method = peft_model.active_peft_config.peft_type.value
        raise ValueError(
            f"target_rank={target_rank!r} is for LoRA: adapters of {method} that replace each other need the same "
            f"block_size"
        )
    if peft_model is not model or getattr(model, "_compiled_call_impl", None) is not None:
        text = "call prepare_model_for_compiled_hotswap before the model is compiled"
        if check_compiled == "error":
            raise ValueError(text)
        if check_compiled == "warn":
            warn_caller(text)


def _peft_model(model: nn.Module) -> PeftModel:
    inner = getattr(model, "_orig_mod", model)
    if not isinstance(inner, PeftModel):
        raise ValueError(
            f"expected a PeftModel, from peft.get_peft_model or PeftModel.from_pretrained, got a {type(inner).__name__}"
        )
    return inner
