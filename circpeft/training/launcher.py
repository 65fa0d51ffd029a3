"""The environment variables of launchers: whether several processes were started, and whether each knows its rank."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

# What torchrun and accelerate launch set, and torch and accelerate read.
NUMBERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
NEEDED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR")
# What mpirun sets. accelerate reads it only where ACCELERATE_USE_CPU is set.
MPI_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
FLAGS = ("ACCELERATE_USE_CPU", "ACCELERATE_USE_FSDP", "ACCELERATE_DEBUG_MODE", "ACCELERATE_CPU_AFFINITY")
TRUE, FALSE = ("1", "true", "t", "yes", "y", "on"), ("0", "false", "f", "no", "n", "off")
MOST_PORT = 65535
START = "start the processes with torchrun or accelerate launch, which set these variables"


def flag(name: str) -> bool:
    """Return whether a flag is set, read as accelerate reads it.

    Raises: ValueError for a text that is neither true nor false.
    """
    text = os.environ.get(name, "false").lower()
    if text not in (*TRUE, *FALSE):
        raise ValueError(f"{name}={os.environ[name]!r} is neither true nor false; set it to true or false, or unset it")
    return text in TRUE


def check() -> None:
    """Raise ValueError, naming the variable, if the environment describes a group of processes only in part.

    ``LOCAL_RANK=0`` without the others means one process: some containers set it. So does ``WORLD_SIZE=1``.
    """
    for name in FLAGS:
        flag(name)
    number = {name: _number(name) for name in NUMBERS}
    size = number["WORLD_SIZE"] or 1
    if _by_mpi():
        if not os.environ.get("MASTER_ADDR"):
            name = next(name for name in MPI_SIZES if os.environ.get(name))
            raise ValueError(
                f"{name}={os.environ[name]} and ACCELERATE_USE_CPU ask for several processes, but MASTER_ADDR is not "
                f"set; set it to the host of the first process, or unset ACCELERATE_USE_CPU for one process"
            )
    elif missing := [name for name in NEEDED if not os.environ.get(name)]:
        which = f"{', '.join(missing)} {'are' if len(missing) > 1 else 'is'} not set"
        for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
            if (number[name] or 0) > (name == "WORLD_SIZE"):
                raise ValueError(
                    f"{name}={number[name]} belongs to one of several processes, but {which}; {START}, or "
                    f"unset {name} for one process"
                )
        return
    for name, limit in (("RANK", size), ("LOCAL_RANK", number["LOCAL_WORLD_SIZE"] or size)):
        if (number[name] or 0) >= limit:
            raise ValueError(f"{name}={number[name]} must be below {limit}, the number of processes; {START}")
    port = os.environ.get("MASTER_PORT", "")
    if port and not (port.isdecimal() and 0 < int(port) <= MOST_PORT):
        raise ValueError(f"MASTER_PORT={port!r} is not a port; set it to a number from 1 to {MOST_PORT}, such as 29500")


def _number(name: str) -> int | None:
    text = os.environ.get(name, "").strip()
    if not text or text == "-1":  # some launchers write -1 for no rank
        return None
    if not text.isdecimal() or (name.endswith("SIZE") and int(text) == 0):
        raise ValueError(f"{name}={os.environ[name]!r} is not a number of processes or ranks; {START}, or unset it")
    return int(text)


def _by_mpi() -> bool:
    """Return whether mpirun started several processes, and accelerate is to take them for one group."""
    sizes = [os.environ.get(name, "") for name in MPI_SIZES]
    return flag("ACCELERATE_USE_CPU") and any(size.isdecimal() and int(size) > 1 for size in sizes)


def is_group() -> bool:
    """Return whether a launcher describes a group of processes, which may have only one."""
    return _by_mpi() or all(os.environ.get(name) for name in NEEDED)


@contextmanager
def without_traces() -> Iterator[None]:
    """Hide the variables of a launcher inside a ``with`` block if they do not describe a group of processes.

    If only ``LOCAL_RANK`` is set, accelerate would wait for a group.
    """
    hidden = {} if is_group() else {name: os.environ.pop(name) for name in NUMBERS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)
