"""Peak memory of a part of a program: allocated memory on a GPU, or the process's resident memory on Linux."""

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak() -> None:
    """Start measuring a new peak. On Linux, freed memory is first returned to the system, so that it does not count."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    elif CLEAR.exists():
        with suppress(OSError, AttributeError):  # other C libraries have no malloc_trim; the peak is then slightly high
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        CLEAR.write_text("5")  # resets VmHWM to the current size


def peak_bytes() -> int:
    """Return the peak since `reset_peak` in bytes; 0 on systems that do not report it."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    if not CLEAR.exists():
        return 0
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
