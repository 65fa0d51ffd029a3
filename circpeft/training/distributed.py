"""A run in several processes: what they share out, agree on, and leave to the first of them.

``torchrun`` and ``accelerate launch`` start them, on one host or several, and say so in the environment, where
accelerate reads it; in a process that nobody launched so, everything here is of one process.
"""

from __future__ import annotations

import gc
import os
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import (
    DistributedType,
    broadcast_object_list,
    disable_fsdp_ram_efficient_loading,
    gather_object,
    parse_flag_from_env,
)

from ..method_specs import get_spec
from ..recipes import Recipe

T = TypeVar("T")


def on_cpu() -> bool:
    """Whether the processes train on CPUs: asked for, or for want of a device that they can have one of each.

    accelerate has to be told: otherwise each would make the whole run for itself.
    """
    if parse_flag_from_env("ACCELERATE_USE_CPU"):
        return True
    device = torch.accelerator.current_accelerator(check_available=True)
    return "LOCAL_RANK" in os.environ and (device is None or device.type == "mps")


def state() -> PartialState:
    """Which of how many processes this one is."""
    # TrainingArguments' own patience: the others wait while the first prepares the data.
    return PartialState(cpu=on_cpu(), timeout=timedelta(minutes=30))


def sharded() -> bool:
    """Whether the launcher asks for FSDP (``accelerate launch --use_fsdp``): weights in parts, one on each process."""
    return parse_flag_from_env("ACCELERATE_USE_FSDP") and state().distributed_type != DistributedType.NO


def shared() -> bool:
    """Whether this process is one of several, or shards as if it were."""
    return state().num_processes > 1 or sharded()


def share(batch_size: int) -> int:
    """What of a batch falls to one process."""
    return batch_size // state().num_processes


def check(recipe: Recipe) -> None:
    """Raise ValueError for a recipe that cannot be shared out among the processes, naming what can."""
    processes, batch = state().num_processes, recipe.batch_size
    if batch % processes:
        near = [str(size) for size in (batch - batch % processes, batch - batch % processes + processes) if size]
        raise ValueError(
            f"batch_size={batch} is the batch of all {processes} processes together, and they cannot share it equally; "
            f"the nearest that they can: {', '.join(near)}"
        )
    if sharded():
        _check_sharded(recipe)


def _check_sharded(recipe: Recipe) -> None:
    def told(name: str) -> str:
        return os.environ.get(f"FSDP_{name}", "").lower()

    if told("VERSION") != "2":
        raise ValueError("FSDP is supported in its second version alone; give accelerate launch --fsdp_version 2")
    if told("AUTO_WRAP_POLICY") == "size_based_wrap":
        raise ValueError(
            "a run under FSDP is sharded by the model's blocks, or as one; give accelerate launch "
            "--fsdp_auto_wrap_policy TRANSFORMER_BASED_WRAP, or NO_WRAP, instead of SIZE_BASED_WRAP"
        )
    if told("ACTIVATION_CHECKPOINTING") == "true":
        raise ValueError(
            "FSDP_ACTIVATION_CHECKPOINTING renames the model's layers; leave it out, and set the recipe's "
            "gradient_checkpointing"
        )
    spec = get_spec(recipe.method)
    if spec.no_fsdp:
        raise ValueError(f"method {recipe.method!r} {spec.no_fsdp}; launch without FSDP")
    if recipe.quantization:
        raise ValueError(
            f"quantization={recipe.quantization!r} packs weights into bytes, which FSDP does not shard; launch "
            f"without FSDP, or leave quantization empty"
        )
    if recipe.base_dtype != "float32" and spec.trains == "part":
        raise ValueError(
            f"method {recipe.method!r} trains weights of the base model in base_dtype={recipe.base_dtype!r} and a head "
            f"in float32, and FSDP takes parameters of one number format only; choose float32"
        )


def load_everywhere() -> None:
    """Have every process read the model.

    ``accelerate launch`` asks by default that the first one alone reads it. Parameters of the others then have no
    memory, by which accelerate tells them apart: it gives their optimizers one new head's bias in place of its weight.
    """
    if sharded():
        disable_fsdp_ram_efficient_loading()


def decided(value: T) -> T:
    """The first process's value, on every process."""
    return broadcast_object_list([value])[0]


def gathered(value: T) -> list[T]:
    """Every process's value, in their order."""
    return gather_object([value])


def agree(what: str, value: Any) -> None:
    """Raise ValueError on every process where they do not have the same value, naming all of them."""
    found = gathered(value)
    if any(other != found[0] for other in found):
        told = ", ".join(f"{other} on process {number}" for number, other in enumerate(found))
        raise ValueError(f"the processes differ in {what}: {told}; give all of them the same")


def share_folder(folder: Path) -> None:
    """Make a folder that every process writes to and reads from.

    Raises: ValueError where a process on another host does not see what the first one wrote there.
    """
    if state().num_processes == 1:
        return
    mark = folder / decided(f".seen-{uuid.uuid4().hex}")
    if state().is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
    state().wait_for_everyone()
    seen = gathered(mark.exists())
    if state().is_main_process:
        mark.unlink()
    if not all(seen):
        blind = ", ".join(str(number) for number, sees in enumerate(seen) if not sees)
        raise ValueError(
            f"what process 0 writes to {folder} is not seen by {blind}; give an output_dir that all hosts share"
        )


def leave() -> None:
    """Wait for the other processes, and leave the group that they are.

    Without it, a process whose run is done can yet be aborted: gloo's threads let go of their last tensors while
    Python ends (pytorch issue 190489), and the launcher reports a failure. The threads end with the group, once
    nothing holds it; under FSDP, torch's own caches do, and the waiting alone helps.
    """
    process = state()
    process.wait_for_everyone()
    gc.collect()  # models and trainers hold the group, in cycles
    process.destroy_process_group()
