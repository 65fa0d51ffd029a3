"""Limits of GPUs by their data sheets: bytes per second, and FLOPs per second of each kind of arithmetic."""

from typing import NamedTuple

from ..suggest import nearest


class Gpu(NamedTuple):
    """The limits of one GPU.

    Attributes:
        bytes_per_second: of the memory, read or written.
        half: FLOPs per second of the tensor cores in bfloat16 or float16, without sparsity.
        tf32: FLOPs per second of the tensor cores in TF32, without sparsity.
        float32: FLOPs per second of the ordinary units in float32; fast Fourier transforms run there.
    """

    bytes_per_second: float
    half: float
    tf32: float
    float32: float

    @property
    def tf32x3(self) -> float:
        """FLOPs per second of float32 products made of three in TF32: of leading bits, and of those that TF32 drops."""
        return self.tf32 / 3


# Source: NVIDIA's data sheets; of the A100 (80 GB), H100 and H200 the SXM version.
GPUS = {
    "A100": Gpu(2.039e12, 312e12, 156e12, 19.5e12),
    "L40S": Gpu(0.864e12, 362e12, 183e12, 91.6e12),
    "H100": Gpu(3.35e12, 989e12, 494e12, 67e12),
    "H200": Gpu(4.8e12, 989e12, 494e12, 67e12),
}


def find(name: str) -> Gpu:
    """Return the limits of a GPU.

    Raises: ValueError for a name that is not in `GPUS`.

    >>> round(find("H100").half / find("H100").bytes_per_second)  # FLOPs per byte at which both limits are equal
    295
    """
    if name not in GPUS:
        raise ValueError(f"unknown GPU {name!r}; {nearest(name, GPUS)}")
    return GPUS[name]
