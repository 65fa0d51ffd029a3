"""Peak memory of a stretch of work: the device's allocator on a GPU, the process's resident memory on Linux."""

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak() -> None:
    """Start a new peak. On Linux freed memory is given back first, so that an earlier run does not count."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    elif CLEAR.exists():
        with suppress(OSError, AttributeError):  # another C library has no malloc_trim; the peak is then a little high
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        CLEAR.write_text("5")  # sets VmHWM back to the present size


def peak_bytes() -> int:
    """Peak since `reset_peak`, in bytes; 0 where the system does not tell."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    if not CLEAR.exists():
        return 0
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
