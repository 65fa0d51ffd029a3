"""The ways to compute an adapted layer that are compared on a GPU: LoRA, PEFT's C3A, and ours by each backend."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from peft import C3AConfig as PeftC3AConfig
from peft import LoraConfig, PeftConfig, get_peft_model
from torch import Tensor, nn

from circpeft import C3AConfig, CDVFTConfig, use_backend
from circpeft.benchmarking import frozen_layer
from circpeft.ops.backends import BACKENDS, get_backend
from circpeft.ops.backends.leaf_algebra import coarse_size, coarse_sizes
from circpeft.ops.triton_launch import KernelFailed, Kernels

# Name -> dtype of weights and inputs. "autocast" runs float32 weights in bfloat16; "tf32" rounds float32 products.
PRECISIONS = {
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": torch.float32,
    "tf32": torch.float32,
    "autocast": torch.float32,
}
# The names of our methods, and of the ways in which "auto" chooses.
OURS = ("c3a", "cdvft")
# Backends that are worth a measurement on a GPU, where they exist.
CANDIDATES = ("rfft", "leaf", "dense")
# Leaves fewer than this have matrices so large that the dense product is faster.
FEWEST_LEAVES = 16


@dataclass(frozen=True)
class Size:
    """A linear layer, its batch, the block size of C3A and CDVFT, and a name of `PRECISIONS`."""

    tokens: int
    d_in: int
    d_out: int
    b: int
    precision: str

    def __str__(self) -> str:
        return f"{self.tokens} x {self.d_in} x {self.d_out}, b={self.b}, {self.precision}"

    def inputs(self, device: torch.device) -> Tensor:
        """Return random inputs that require a gradient."""
        dtype = PRECISIONS[self.precision]
        return torch.randn(self.tokens, self.d_in, dtype=dtype, device=device, requires_grad=True)


@dataclass(frozen=True)
class Way:
    """One way to compute a layer.

    Args:
        config: of PEFT or of this package; None is the frozen layer.
        backend: what `circpeft.use_backend` forces.
        leaves: ``R`` of backend "leaf"; None leaves the choice to the backend.
        float32_adapters: as PEFT has them by default. If False, adapters have the dtype of the layer.
        apart: the frozen layer has a hook, so that its product and the adapter's must be computed apart.
    """

    config: PeftConfig | None = None
    backend: str = "auto"
    leaves: int | None = None
    float32_adapters: bool = True
    apart: bool = False

    @property
    def model_key(self) -> tuple:
        """What ways have in common that can be measured on one model."""
        return id(self.config), self.float32_adapters, self.apart


def our_ways(size: Size, methods: Iterable[str] = OURS, every_r: bool = False) -> dict[str, Way]:
    """Return C3A and CDVFT by "auto" and by each backend that makes sense for a size.

    Args:
        every_r: C3A by "leaf" also with each ``R`` that "leaf" does not choose, and apart from the frozen layer.
    """
    layer = {"target_modules": ["0"], "block_size": size.b, "init_weights": False}
    configs = {"c3a": C3AConfig(**layer), "cdvft": CDVFTConfig(**layer)}
    ways = {}
    for method in methods:
        ways[method] = Way(configs[method])
        backends = [name for name in CANDIDATES if name in BACKENDS and (name != "leaf" or coarse_sizes(size.b))]
        if size.precision == "float32":  # in which the sum of the weights is exact
            backends.append("fold")
        ways |= {f"{method} {name}": Way(configs[method], name) for name in backends}
        if every_r and method == "c3a" and f"{method} leaf" in ways:
            ways[f"{method} leaf apart"] = Way(configs[method], "leaf", apart=True)
            sizes = [r for r in coarse_sizes(size.b) if r >= FEWEST_LEAVES and r != coarse_size(size.b)]
            ways |= {f"{method} leaf R={r}": Way(configs[method], "leaf", r) for r in sizes}
    return ways


def all_ways(size: Size, every_r: bool = False) -> dict[str, Way]:
    """Return all that is compared: the frozen layer, LoRA, PEFT's C3A, and `our_ways`.

    LoRA has float32 adapters, and in a half precision also adapters of that dtype ("lora r=8 bfloat16").
    """
    layer, dtype = {"target_modules": ["0"]}, PRECISIONS[size.precision]
    ways = {"frozen": Way()}
    for r in (8, 32):
        ways[f"lora r={r}"] = Way(LoraConfig(r=r, **layer))
        if dtype != torch.float32:
            ways[f"lora r={r} {size.precision}"] = Way(LoraConfig(r=r, **layer), float32_adapters=False)
    ways["peft c3a"] = Way(PeftC3AConfig(block_size=size.b, init_weights="gaussian", **layer))
    return ways | our_ways(size, every_r=every_r)


def model_of(way: Way, size: Size, device: torch.device, built: dict[tuple, nn.Module]) -> nn.Module:
    """Return the model of a way; one from ``built`` if it has the same config, or else a new one, which is added."""
    if way.model_key not in built:
        model = frozen_layer(size.d_in, size.d_out, PRECISIONS[size.precision], str(device))
        if way.config is not None:
            model = get_peft_model(model, way.config, autocast_adapter_dtype=way.float32_adapters)
        if way.apart:
            model.base_model.model[0].base_layer.register_forward_hook(lambda *call: None)
        built[way.model_key] = model
    return built[way.model_key]


def trained(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are trained."""
    return [p for p in model.parameters() if p.requires_grad]


def change(model: nn.Module) -> None:
    """Change the trained parameters a little, so that no result of an earlier pass can be used again."""
    with torch.no_grad():
        for p in trained(model):
            p.mul_(1.001)


@contextmanager
def forced(way: Way) -> Iterator[None]:
    """Force the backend of a way, and its ``R``. If a Triton kernel fails, its error is raised: torch must not step in.

    Raises: KernelFailed for a kernel that fails.
    """

    def refuse(kernels: Kernels, problem: KernelFailed) -> None:
        raise problem

    with ExitStack() as stack:
        stack.enter_context(use_backend(way.backend))
        stack.enter_context(mock.patch.object(Kernels, "give_up", refuse))
        if way.leaves is not None:
            stack.enter_context(replaced(coarse_size, lambda b: way.leaves))
        yield


@contextmanager
def replaced(function: Callable, by: Callable) -> Iterator[None]:
    """Replace a function in all modules of `circpeft.ops` that have imported it."""
    name = function.__name__
    modules = [module for module_name, module in sys.modules.items() if module_name.startswith("circpeft.ops")]
    with ExitStack() as stack:
        for module in modules:
            if getattr(module, name, None) is function:
                stack.enter_context(mock.patch.object(module, name, by))
        yield


def chosen_backend(call: Callable[[], object]) -> str:
    """Return the backend whose functions a call runs; "fold" if it runs none, because ΔW is added to the weight.

    >>> chosen_backend(lambda: None)
    'fold'
    """
    called: list[str] = []

    def watched(name: str, function: Callable) -> Callable:
        def run(*arguments: Any, **options: Any) -> Any:
            called.append(name)
            return function(*arguments, **options)

        return run

    with ExitStack() as stack:
        for name in BACKENDS:
            for function in ("matmul", "diagonal_matmul"):
                backend = get_backend(name)
                if hasattr(backend, function):
                    stack.enter_context(mock.patch.object(backend, function, watched(name, getattr(backend, function))))
        call()
    return called[0] if called else "fold"


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Return the context of a forward pass in a precision. A new one is needed each time: it keeps rounded weights."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "autocast" else nullcontext()


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid that a GPU rounds the operands of float32 products."""
    matmul = torch.backends.cuda.matmul
    before, matmul.fp32_precision = matmul.fp32_precision, "tf32" if allowed else "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision = before
