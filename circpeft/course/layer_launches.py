"""The launches with which one layer's forward pass adds an adapter on a GPU: bytes read, bytes written and FLOPs.

A launch starts one program (a *kernel*) on the GPU. It reads its operands from memory once and writes its results once.
Letters: ``t`` tokens, ``s`` bytes per number of an activation, blocks ``m x n`` of size ``b``; adapters are float32.
"""

from collections.abc import Iterable
from math import log2
from typing import NamedTuple

from ..ops.backends import rfft
from ..ops.backends.leaf_algebra import coarse_size
from ..ops.block_size import dividing_block_size
from .gpu_limits import Gpu


class Layer(NamedTuple):
    """A linear layer and the adapter's block size; ``number_bytes`` is 2 for bfloat16 and 4 for float32."""

    tokens: int
    d_in: int
    d_out: int
    b: int
    number_bytes: int = 2

    @property
    def grid(self) -> tuple[int, int]:
        """The numbers of blocks ``(m, n)`` of rows and of columns."""
        return self.d_out // self.b, self.d_in // self.b


class Launch(NamedTuple):
    """One launch.

    Attributes:
        reads, writes: bytes.
        unit: where its FLOPs run, a limit of `Gpu`: "half", "tf32", "tf32x3" or "float32".
    """

    name: str
    reads: int
    writes: int
    flops: int
    unit: str = "float32"

    def moving(self, gpu: Gpu) -> float:
        """Return the least seconds for the bytes."""
        return (self.reads + self.writes) / gpu.bytes_per_second

    def computing(self, gpu: Gpu) -> float:
        """Return the least seconds for the FLOPs."""
        return self.flops / getattr(gpu, self.unit)

    def seconds(self, gpu: Gpu) -> float:
        """Return the least time: moving and computing overlap, so it is the longer of the two."""
        return max(self.moving(gpu), self.computing(gpu))


def _matrix_unit(s: int) -> str:
    return "half" if s == 2 else "float32"


def frozen(layer: Layer) -> list[Launch]:
    """Return the launch of the frozen layer ``W0 x`` without a bias."""
    t, d_in, d_out, _, s = layer
    product = 2 * t * d_in * d_out
    return [Launch("W0 x", s * (t * d_in + d_in * d_out), s * t * d_out, product, _matrix_unit(s))]


def dense(layer: Layer) -> list[Launch]:
    """Return the launches of a product with the matrix ``ΔW``, added to the output by the product itself."""
    t, d_in, d_out, b, s = layer
    numbers = d_in * d_out
    return [
        Launch("build ΔW", 4 * numbers // b, s * numbers, 0),
        Launch("y += ΔW x", s * (t * d_in + numbers + t * d_out), s * t * d_out, 2 * t * numbers, _matrix_unit(s)),
    ]


def lora(layer: Layer, r: int = 32, adapter_bytes: int = 4) -> list[Launch]:
    """Return the launches of LoRA as in PEFT, which casts activations to the dtype of the adapters if that is wider.

    Args:
        adapter_bytes: bytes per number of the adapters: 4 for float32, PEFT's default, or 2 for bfloat16.
    """
    t, d_in, d_out, _, s = layer
    x, y, c = t * d_in, t * d_out, max(s, adapter_bytes)
    launches = [
        Launch("A x", c * (x + r * d_in), c * t * r, 2 * x * r, _matrix_unit(c)),
        Launch("B (A x)", c * (t * r + r * d_out), c * y, 2 * y * r, _matrix_unit(c)),
        Launch("times the scale", c * y, c * y, y),
        Launch("added to y", (c + s) * y, c * y, y),
    ]
    if c == s:
        return launches
    return [Launch("x in float32", s * x, c * x, 0), *launches, Launch("y in bfloat16", c * y, s * y, 0)]


def transforms(layer: Layer) -> list[Launch]:
    """Return the launches of C3A by real fast Fourier transforms (backend "rfft")."""
    t, d_in, d_out, b, s = layer
    (m, n), f = layer.grid, layer.b // 2 + 1
    x, y, w, per_number = t * d_in, t * d_out, d_in * d_out // b, 2.5 * log2(b)
    x_hat, y_hat, w_hat = 8 * t * n * f, 8 * t * m * f, 8 * m * n * f
    few = rfft.FrequencyProducts(m, n).elementwise
    product = t * f * (8 * m * n - 2 * m * few)
    launches = [Launch("w times the scale", 4 * w, 4 * w, w)] * (min(m, n) > 1)
    launches += [
        Launch("spectrum of w", 4 * w, w_hat, round(w * per_number)),
        Launch("its conjugate", w_hat, w_hat, 0),
        *[Launch("its order changed", w_hat, w_hat, 0)] * (not few),
        *[Launch("x in float32", s * x, 4 * x, 0)] * (s == 2),
        Launch("spectrum of x", 4 * x, x_hat, round(x * per_number)),
        *[Launch("its order changed", x_hat, x_hat, 0)] * (not few),
        Launch("product of spectra", x_hat + w_hat, y_hat, product),
        Launch("back to tokens", y_hat, 4 * y, round(y * per_number)),
        Launch("added to y", (4 + s) * y, s * y, y),
    ]
    return launches


def leaves(layer: Layer, r: int | None = None) -> list[Launch]:
    """Return the launches of C3A by real leaves (backend "leaf").

    Args:
        r: the number of points of the transform; by default what the backend takes.

    Raises: ValueError if no ``R`` suits the block size, or ``r`` is not an even divisor of it.

    >>> [launch.name for launch in leaves(Layer(2048, 4096, 4096, 128))]
    ['leaves of w', 'leaves of x', 'products', 'back to tokens, added to y']
    """
    t, d_in, d_out, b, s = layer
    size = coarse_size(b) if r is None else r
    if size is None or b % size or size % 2:
        raise ValueError(f"block size {b} has no transform of {r or '8 to 64'} points; expected an even divisor of b")
    x, y, w = t * d_in, t * d_out, d_in * d_out // b
    matrices, scaled = 2 * d_in * d_out // size, w * (min(layer.grid) > 1)
    unit = "tf32" if s == 2 else "tf32x3"
    return [
        Launch("leaves of w", 4 * w, s * matrices, 2 * d_in * d_out + scaled, unit),
        Launch("leaves of x", s * x, s * x, 2 * x * size, unit),
        Launch("products", s * (x + matrices), s * y, 2 * t * matrices, _matrix_unit(s)),
        Launch("back to tokens, added to y", 2 * s * y, s * y, 2 * y * size + y, unit),
    ]


def methods(layer: Layer, r: int = 32) -> dict[str, list[Launch]]:
    """Return the launches of each way to adapt a layer, beyond the frozen one.

    Args:
        r: the rank of LoRA.

    Raises: ValueError if the block size does not divide the sizes of the layer, or a number has not 2 or 4 bytes.
    """
    dividing_block_size(layer.b, layer.d_in, layer.d_out)
    if layer.number_bytes not in (2, 4):
        raise ValueError(f"number_bytes is {layer.number_bytes}; expected 2 (bfloat16) or 4 (float32)")
    ways = {"dense ΔW": dense(layer), "transforms": transforms(layer), f"LoRA r={r}": lora(layer, r)}
    if layer.number_bytes == 2:
        ways[f"LoRA r={r} in bfloat16"] = lora(layer, r, adapter_bytes=2)
    return ways if coarse_size(layer.b) is None else ways | {"leaves": leaves(layer)}


def totals(launches: Iterable[Launch], gpu: Gpu) -> dict[str, float]:
    """Return the sums over launches, and the least time, which is the sum of theirs.

    >>> from circpeft.course.gpu_limits import GPUS
    >>> row = totals(frozen(Layer(2048, 4096, 4096, 128)), GPUS["H100"])
    >>> {name: round(value, 1) for name, value in row.items()}
    {'launches': 1, 'GFLOP': 68.7, 'MB': 67.1, 'FLOPs per byte': 1024.0, 'least µs': 69.5}
    """
    launches = list(launches)
    flops, moved = sum(a.flops for a in launches), sum(a.reads + a.writes for a in launches)
    seconds = sum(a.seconds(gpu) for a in launches)
    return {
        "launches": len(launches),
        "GFLOP": flops / 1e9,
        "MB": moved / 1e6,
        "FLOPs per byte": flops / moved,
        "least µs": 1e6 * seconds,
    }
