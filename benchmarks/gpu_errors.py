"""Check on a device that every backend computes the right product: relative L2 errors against float64."""

import copy
from collections.abc import Iterable

import torch
from gpu_cases import Size, Way, forced, model_of, our_ways, tf32, trained
from gpu_timing import recorded
from torch import Tensor, nn

from circpeft import use_backend

# Precision -> relative L2 error of output and gradients that is promised.
BOUNDS = {"bfloat16": 5e-3, "float16": 1e-3, "float32": 1e-5, "tf32": 2e-3}
# An error this many times as large is not one of rounding: something else is computed.
WRONG = 10
# Most of the kernels that they compile are those of the layers that are timed.
SIZES = [
    *(Size(512, 4096, 4096, 128, precision) for precision in BOUNDS),
    *(Size(512, 768, 768, 48, precision) for precision in ("bfloat16", "float32")),
    Size(256, 4096, 4096, 4096, "bfloat16"),
]
SMALL_SIZES = [Size(7, 64, 96, 32, precision) for precision in BOUNDS]


def results_of(model: nn.Module, x: Tensor, g: Tensor) -> dict[str, Tensor]:
    """Return output and gradients of a forward and backward pass."""
    y = model(x)
    names = ["dx", *("d" + name.rsplit(".", 1)[-1] for name, p in model.named_parameters() if p.requires_grad)]
    return {"y": y.detach()} | dict(zip(names, torch.autograd.grad(y, [x, *trained(model)], g), strict=True))


def even(model: nn.Module) -> None:
    """Give the frozen weight the size of ΔW, so that an error in either shows in the output."""
    layer = model.base_model.model[0]
    with torch.no_grad():
        deviation = layer.get_delta_weight("default").float().std()
        layer.base_layer.weight.normal_(0, float(deviation))
        layer.base_layer.bias.zero_()


def errors_of(way: Way, size: Size, device: torch.device, built: dict[tuple, nn.Module]) -> dict[str, float]:
    """Return the relative L2 error of the output and of each gradient of an adapted layer."""
    model = model_of(way, size, device, built)
    even(model)
    x = size.inputs(device)
    exact = copy.deepcopy(model).double()
    with use_backend("reference"):
        g = torch.randn_like(exact(x.double())).to(x.dtype)
        expected = results_of(exact, x.detach().double().requires_grad_(), g.double())
    with tf32(size.precision == "tf32"), forced(way):
        computed = results_of(model, x, g)
    return {name: float(f"{_relative(computed[name], of):.1e}") for name, of in expected.items()}


def _relative(computed: Tensor, expected: Tensor) -> float:
    return float((computed.double() - expected).norm() / expected.norm())


def error_row(size: Size, device: torch.device) -> dict:
    """Return a row of a record: the errors of C3A and CDVFT by each backend, and what failed."""
    built, failed, errors = {}, {}, {}
    for name, way in our_ways(size).items():
        with recorded(failed, name):
            errors[name] = errors_of(way, size, device, built)
    return {"size": str(size), "bound": BOUNDS[size.precision], "errors": errors, "failed": failed}


def beyond_bounds(rows: Iterable[dict], times: float = 1) -> list[str]:
    """Return a line for each way with an error of more than some times the bound, in rows of `error_row`.

    >>> row = {"size": "small", "bound": 1e-3, "errors": {"c3a leaf": {"y": 2e-3, "dx": 1e-4}}}
    >>> beyond_bounds([row])
    ["small: c3a leaf: {'y': 0.002, 'dx': 0.0001}, more than 0.001"]
    >>> beyond_bounds([row], times=WRONG)
    []
    """
    return [
        f"{row['size']}: {name}: {errors}, more than {row['bound'] * times}"
        for row in rows
        for name, errors in row["errors"].items()
        if not all(error <= row["bound"] * times for error in errors.values())  # also for NaN
    ]
