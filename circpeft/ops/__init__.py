"""Block-circulant products: the operators, the backends that compute them, and the rule that chooses one."""

from .circulant import block_circulant, circulant, other_layout
from .diagonal import diagonal_circulant_matmul
from .dispatch import available_backends, folds, use_backend
from .joint import adapted_linear
from .product import block_circular_kernel_grad, block_circular_matmul

__all__ = [
    "adapted_linear",
    "available_backends",
    "block_circulant",
    "block_circular_kernel_grad",
    "block_circular_matmul",
    "circulant",
    "diagonal_circulant_matmul",
    "folds",
    "other_layout",
    "use_backend",
]
