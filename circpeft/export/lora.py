"""Export an adapter as a LoRA of PEFT, with the error that this makes, and refuse an error that is too large."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import peft
import torch
from peft import PeftModel, PeftType
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from ..hf_peft.targets import exact_targets
from .adapter_folder import WEIGHTS, AdapterFolder
from .new_folder import check_new, new_folder

TOLERANCE = 0.1  # the largest relative error, unless another one is given
ROUNDING = 1e-3  # of a LoRA in float32, or in the 16 bits of some methods
KEY_PREFIX = "base_model.model."
KEPT_FIELDS = ("task_type", "base_model_name_or_path", "revision", "modules_to_save", "auto_mapping")


@dataclass(frozen=True)
class LoraExport:
    """A written LoRA.

    Attributes:
        folder: its folder.
        ranks: the rank of each layer, by name.
        error: relative error of ``ΔW`` in all layers together, measured on the written file.
        errors: the relative error of the best LoRA with one rank for all layers, for rank 1, its doubles, and the
            largest rank that every layer takes.
        worst: name of the layer with the largest error.
        parameters: number of parameters of the LoRA.
        adapter_parameters: number of parameters of the adapter.
    """

    folder: Path
    ranks: dict[str, int]
    error: float
    errors: dict[int, float]
    worst: str
    parameters: int
    adapter_parameters: int


def export_lora(
    adapter: str | Path, out: str | Path, base: str = "", rank: int = 0, tolerance: float = TOLERANCE
) -> LoraExport:
    """Write the LoRA that is nearest to an adapter's ``ΔW``, by `peft.convert_to_lora`.

    Formula: ``|ΔW - ΔW_r| / |ΔW|`` in the Frobenius norm, over all layers, as `hf_peft.lora_error` has it. Modules that
    are saved whole beside the adapter, such as a classifier, are copied from its file.

    Args:
        adapter: folder of a saved adapter.
        out: folder of the LoRA; it must not exist, or be empty.
        base: hub id or folder of the base model; "" takes the one that the adapter names.
        rank: the rank of all layers; 0 takes the smallest one within the tolerance. If the smallest layer does not take
            a rank that large, each layer gets the smallest rank that is within the tolerance for it.
        tolerance: the largest relative error.

    Raises: ValueError for a rank or tolerance out of range, an adapter that is a LoRA, has layers that cannot be
    converted or trains biases, and for a LoRA with a larger error, which names the rank that would do; what
    `check_new`, `AdapterFolder.open` and `AdapterFolder.load` raise. Nothing is written then.
    """
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 0:
        raise ValueError(f"rank must be a positive integer, or 0 for the smallest within the tolerance, got {rank!r}")
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance must be a relative error from 0 up to 1, such as {TOLERANCE}, got {tolerance!r}")
    if not hasattr(peft, "convert_to_lora"):
        raise ValueError(f"peft {peft.__version__} cannot convert to LoRA; install a newer one, such as peft 0.21")
    target, opened = check_new(out), AdapterFolder.open(adapter, base)
    if opened.config.get("peft_type") == PeftType.LORA:
        raise ValueError(f"{str(adapter)!r} is a LoRA already; it needs no conversion")
    model = opened.load()
    layers = _layers(model)
    energies = {name: _energies(layer) for name, layer in layers.items()}
    errors = overall_errors(list(energies.values()))
    chosen = _chosen(rank, tolerance, errors)
    config, state = peft.convert_to_lora(model, chosen)
    expected = float(errors[chosen]) if isinstance(chosen, int) else tolerance
    whole = _saved_whole(opened, model)
    # Of a module with parameters in parts of it, such as RoBERTa's classifier, PEFT's keys lack the part.
    state = {key: tensor for key, tensor in state.items() if ".lora_" in key} | whole
    saved = model.peft_config["default"]
    for name in KEPT_FIELDS:
        setattr(config, name, getattr(saved, name))
    names = [name.removeprefix(KEY_PREFIX) for name in layers]
    config.target_modules = exact_targets(model.get_base_model(), names)  # PEFT's leave out exclude_modules
    config.layers_to_transform = config.layers_pattern = config.exclude_modules = None
    config.inference_mode = True
    with new_folder(target, sum(tensor.nbytes for tensor in state.values())) as folder:
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, folder / SAFETENSORS_WEIGHTS_NAME)
        config.save_pretrained(str(folder))
        written = load_file(folder / SAFETENSORS_WEIGHTS_NAME)
        error, worst = _measured(layers, written)
        if not error <= expected + ROUNDING:
            raise ValueError(f"the written LoRA has a relative error of {error:.3f}, expected {expected:.3f}")
    doubled = {2**power for power in range(len(errors).bit_length()) if 2**power < len(errors)}
    shown = sorted(doubled | {len(errors) - 1} | ({chosen} if isinstance(chosen, int) else set()))
    ranks = {name.removeprefix(KEY_PREFIX): written[f"{name}.lora_A.weight"].shape[0] for name in layers}
    return LoraExport(
        target,
        ranks,
        error,
        {rank: float(errors[rank]) for rank in shown},
        worst,
        sum(tensor.numel() for key, tensor in state.items() if ".lora_" in key),
        sum(p.numel() for layer in layers.values() for p in _parameters(layer)),
    )


def overall_errors(energies: list[Tensor]) -> Tensor:
    """Return the relative error of the best LoRA of each rank, from rank 0 to the largest that every layer takes.

    Formula: ``sqrt(Σ_layers Σ_{i>r} σ_i² / Σ_layers Σ_i σ_i²)``.

    Args: ``energies``: the squared singular values ``σ²`` of each layer, the largest first.

    >>> overall_errors([torch.tensor([3.0, 1.0]), torch.tensor([9.0, 3.0, 0.0])]).tolist()
    [1.0, 0.5, 0.0]
    """
    largest = min(map(len, energies))
    lost = torch.stack([torch.cat([e.flip(0).cumsum(0).flip(0), e.new_zeros(1)])[: largest + 1] for e in energies])
    total = lost[:, 0].sum()
    return (lost.sum(0) / total).sqrt() if total else torch.zeros(largest + 1)


def _chosen(rank: int, tolerance: float, errors: Tensor) -> int | float:
    """Return what `peft.convert_to_lora` takes as rank: a rank, or the share of the energy that each layer keeps.

    Raises: ValueError for a rank that is too large, or that has an error beyond the tolerance.
    """
    largest = len(errors) - 1
    if rank > largest:
        raise ValueError(
            f"rank {rank} exceeds the dimensions of a layer; the largest rank that every layer takes is {largest}"
        )
    enough = next((r for r in range(1, largest + 1) if errors[r] <= tolerance), None)
    if rank and errors[rank] > tolerance:
        other = (
            f"rank {enough} would do (error {errors[enough]:.3f})" if enough else "each layer needs a rank of its own"
        )
        raise ValueError(
            f"a LoRA of rank {rank} has a relative error of {errors[rank]:.3f} in ΔW, more than the tolerance "
            f"{tolerance:g}; {other}: leave the rank out, or merge the adapter instead"
        )
    return rank or enough or 1.0 - tolerance**2


def _layers(model: PeftModel) -> dict[str, BaseTunerLayer]:
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)}
    method = model.peft_config["default"].peft_type.value
    for name, layer in layers.items():
        if not layer.supports_lora_conversion():
            raise ValueError(
                f"layer {name.removeprefix(KEY_PREFIX)!r} ({method}) cannot become a LoRA; merge the adapter instead"
            )
    if not layers:
        raise ValueError(
            f"an adapter of {method} has no layers that a LoRA can replace; expected C3A, CDVFT or another ΔW"
        )
    if (bias := getattr(model.peft_config["default"], "bias", "none")) != "none":
        raise ValueError(
            f"the adapter trains biases (bias={bias!r}), which peft.convert_to_lora drops; merge the adapter instead"
        )
    return layers


@torch.no_grad()
def _energies(layer: BaseTunerLayer) -> Tensor:
    return torch.linalg.svdvals(layer.get_delta_weight("default").double()).square()


def _parameters(layer: BaseTunerLayer) -> list[Tensor]:
    names = tuple(f"{name}." for name in layer.adapter_layer_names)
    return [p for name, p in layer.named_parameters() if name.startswith(names)]


def _saved_whole(opened: AdapterFolder, model: PeftModel) -> dict[str, Tensor]:
    """Return the tensors of the adapter's file that are not the method's own."""
    prefix = model.base_model.prefix
    return {key: tensor for key, tensor in load_file(opened.path / WEIGHTS).items() if prefix not in key}


@torch.no_grad()
def _measured(layers: dict[str, BaseTunerLayer], state: dict[str, Tensor]) -> tuple[float, str]:
    """Return the relative error of a LoRA's tensors in all layers, and the layer with the largest one."""
    lost, total, worst, largest = 0.0, 0.0, "", -1.0
    for name, layer in layers.items():
        delta = layer.get_delta_weight("default").double()
        product = state[f"{name}.lora_B.weight"].double() @ state[f"{name}.lora_A.weight"].double()
        product = product.T if isinstance(layer.get_base_layer(), Conv1D) else product
        of_layer, energy = float((product - delta).square().sum()), float(delta.square().sum())
        if (share := of_layer / energy if energy else 0.0) > largest:
            worst, largest = name.removeprefix(KEY_PREFIX), share
        lost, total = lost + of_layer, total + energy
    return (lost / total) ** 0.5 if total else 0.0, worst
