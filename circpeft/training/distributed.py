"""A run in several processes: what they share, what they check together, and what the first one decides.

``torchrun`` and ``accelerate launch`` start the processes, on one host or several, and describe them in environment
variables, which accelerate reads. Without a launcher, every function here works with one process.
"""

from __future__ import annotations

import gc
import os
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from accelerate import PartialState
from accelerate.utils import (
    DistributedType,
    broadcast_object_list,
    disable_fsdp_ram_efficient_loading,
    gather_object,
)

from ..method_specs import get_spec
from ..recipes import Recipe
from . import launcher
from .device import accelerator

T = TypeVar("T")


def on_cpu() -> bool:
    """Return whether the processes train on CPUs: because the launcher says so, or because there is no device for each.

    accelerate has to be told. Otherwise every process would make the whole run by itself.
    """
    if launcher.flag("ACCELERATE_USE_CPU"):
        return True
    device = accelerator()
    return launcher.is_group() and (device is None or device.type == "mps")


def state() -> PartialState:
    """Return the number of processes, and which of them this one is.

    Raises: ValueError, see `launcher.check`, for an environment that describes a group of processes only in part.
    """
    launcher.check()
    with launcher.without_traces():
        # The timeout is that of TrainingArguments: the others wait while the first process prepares the data.
        return PartialState(cpu=on_cpu(), timeout=timedelta(minutes=30))


def sharded() -> bool:
    """Return whether the launcher asks for FSDP (``accelerate launch --use_fsdp``), which shards every weight."""
    return launcher.flag("ACCELERATE_USE_FSDP") and state().distributed_type != DistributedType.NO


def is_shared() -> bool:
    """Return whether the run has several processes, or is sharded."""
    return state().num_processes > 1 or sharded()


def batch_share(batch_size: int) -> int:
    """Return how many rows of a batch one process has."""
    return batch_size // state().num_processes


def check(recipe: Recipe) -> None:
    """Raise ValueError for a recipe that the processes cannot share, naming what they can share."""
    processes, batch = state().num_processes, recipe.batch_size
    if batch % processes:
        near = [str(size) for size in (batch - batch % processes, batch - batch % processes + processes) if size]
        raise ValueError(
            f"batch_size={batch} is the batch of all {processes} processes together, and they cannot share it equally; "
            f"the nearest possible: {', '.join(near)}"
        )
    if sharded():
        _check_sharded(recipe)


def _check_sharded(recipe: Recipe) -> None:
    def option(name: str) -> str:
        return os.environ.get(f"FSDP_{name}", "").lower()

    if option("VERSION") != "2":
        raise ValueError("only version 2 of FSDP is supported; give accelerate launch --fsdp_version 2")
    if option("AUTO_WRAP_POLICY") == "size_based_wrap":
        raise ValueError(
            "a run under FSDP is sharded by the model's blocks, or as one; give accelerate launch "
            "--fsdp_auto_wrap_policy TRANSFORMER_BASED_WRAP, or NO_WRAP, instead of SIZE_BASED_WRAP"
        )
    if option("ACTIVATION_CHECKPOINTING") == "true":
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
            f"in float32, but FSDP needs parameters of one number format; choose float32"
        )


def load_everywhere() -> None:
    """Have every process read the model.

    By default ``accelerate launch`` has only the first process read it. The parameters of the others then have no
    memory, by which accelerate tells parameters apart: their optimizers would get one bias in place of a new head's
    weight.
    """
    if sharded():
        disable_fsdp_ram_efficient_loading()


def from_first(value: T) -> T:
    """Return the first process's value, on every process."""
    return broadcast_object_list([value])[0]


def gather(value: T) -> list[T]:
    """Return the values of all processes, in the order of the processes."""
    return gather_object([value])


def check_same(what: str, value: Any) -> None:
    """Raise ValueError on every process if their values differ, naming all values."""
    values = gather(value)
    if any(other != values[0] for other in values):
        listing = ", ".join(f"{other} on process {rank}" for rank, other in enumerate(values))
        raise ValueError(f"the processes differ in {what}: {listing}; give all of them the same")


def make_shared_folder(folder: Path) -> None:
    """Make a folder that every process writes to and reads from.

    Raises: ValueError if a process on another host does not see what the first one writes there.
    """
    if state().num_processes == 1:
        return
    mark = folder / from_first(f".seen-{uuid.uuid4().hex}")
    if state().is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
    state().wait_for_everyone()
    seen = gather(mark.exists())
    if state().is_main_process:
        mark.unlink()
    if not all(seen):
        blind = ", ".join(str(rank) for rank, sees in enumerate(seen) if not sees)
        raise ValueError(
            f"what process 0 writes to {folder} is not seen by process {blind}; give an output_dir that all hosts share"
        )


def leave() -> None:
    """Wait for the other processes, and leave their process group.

    Without this, a process with a finished run may still be aborted: gloo's threads release their last tensors while
    Python ends (pytorch issue 190489), and the launcher reports a failure. The threads end with the group as soon as
    nothing refers to it. Under FSDP torch's own caches do refer to it, so only the waiting helps.
    """
    process = state()
    process.wait_for_everyone()
    gc.collect()  # models and trainers refer to the group, in cycles
    process.destroy_process_group()
