"""Peak memory of a part of a program: allocated memory on a GPU, or the process's resident memory on Linux."""

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak(device: torch.device) -> None:
    """Start measuring a new peak. On Linux, freed memory is first returned to the system, so that it does not count.

    Args:
        device: the device that computes. Without a CUDA GPU, the memory of the process is measured.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    elif CLEAR.exists():
        with suppress(OSError, AttributeError):  # other C libraries have no malloc_trim; the peak is then slightly high
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        CLEAR.write_text("5", encoding="ascii")  # resets VmHWM to the current size


def peak_bytes(device: torch.device) -> int:
    """Return the peak since `reset_peak` in bytes; 0 on systems that do not report it.

    Args:
        device: as in `reset_peak`.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if not CLEAR.exists():
        return 0
    line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
