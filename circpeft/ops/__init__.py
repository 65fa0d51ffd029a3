"""Block-circulant products: one public function, several ways to compute it."""

from .circulant import block_circulant, circulant, other_layout
from .product import available_backends, block_circular_kernel_grad, block_circular_matmul

__all__ = [
    "available_backends",
    "block_circulant",
    "block_circular_kernel_grad",
    "block_circular_matmul",
    "circulant",
    "other_layout",
]
