"""The ranks of learnt kernels, against dense matrices; and their place in the record."""

import pytest
import torch
from torch import nn

from circpeft import methods, results, training
from circpeft.ops import block_circulant
from circpeft.training.kernel_ranks import circulant_ranks, kernel_ranks


def test_the_ranks_are_those_of_the_matrices():
    torch.manual_seed(0)
    spectrum = torch.randn(6, 7, dtype=torch.complex64)  # kernels of length 12 with 1 to 6 of 7 frequencies
    for row in range(6):
        spectrum[row, row + 1 :] = 0
    kernels = torch.fft.irfft(spectrum, n=12)
    ranks, stable = circulant_ranks(kernels)
    for kernel, rank, of_kernel in zip(kernels, ranks, stable, strict=True):
        matrix = block_circulant(kernel.view(1, 1, 12), "row").double()
        values = torch.linalg.svdvals(matrix)
        assert rank == torch.linalg.matrix_rank(matrix, rtol=12 * torch.finfo(torch.float32).eps) < 12
        assert of_kernel == pytest.approx((values.square().sum() / values[0] ** 2).item(), rel=1e-4)


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.square, self.wide = nn.Linear(16, 16), nn.Linear(16, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.wide(self.square(x))


# Method and hyperparameters -> number of kernels by block size.
CASES = [
    ("c3a", {"block_size": 8}, {"8": 4 + 8}),
    ("c3a", {}, {"16": 1 + 2}),
    ("c3a-peft", {"block_size": 8}, {"8": 4 + 8}),
    ("cdvft", {}, {"16": 1 + 2}),
    ("lora", {}, {}),
]


@pytest.mark.parametrize(("method", "given", "expected"), CASES)
def test_every_kernel_of_an_adapter_is_counted(method, given, expected):
    model = methods.apply(Layers(), method, target_modules=["square", "wide"], **given)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "kernel" in name:
                parameter.normal_()
    found = kernel_ranks(model)
    assert {b: entry["kernels"] for b, entry in found.items()} == expected
    for b, entry in found.items():
        assert entry["full"] == entry["kernels"] == entry["ranks"][b] == entry["random"]["full"]
        assert 1 < entry["stable_rank"] < int(b)


def test_a_kernel_of_one_frequency_has_its_rank():
    model = methods.apply(Layers(), "c3a", target_modules=["square"])
    [kernel] = [p for name, p in model.named_parameters() if name.endswith("kernel")]
    assert kernel_ranks(model)["16"] | {"random": 0} == {
        "kernels": 1,
        "full": 0,
        "ranks": {"0": 1},
        "stable_rank": 0.0,
        "random": 0,
    }
    with torch.no_grad():
        kernel.copy_(torch.cos(torch.arange(16) * 2 * torch.pi * 3 / 16).expand_as(kernel))
    assert kernel_ranks(model)["16"]["ranks"] == {"2": 1}
    assert kernel_ranks(model)["16"]["stable_rank"] == pytest.approx(2)


def test_the_record_has_the_ranks(recipe):
    made = recipe("c3a", epochs=1)
    result = training.run(made)
    [(b, entry)] = result.kernel_ranks.items()
    assert b == "32" and sum(entry["ranks"].values()) == entry["kernels"] == 2 * (2 + 1 + 2 + 2) + 1
    assert results.read(results.path_of(made.name, made.output_dir)).kernel_ranks == result.kernel_ranks
