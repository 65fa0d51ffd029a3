"""The tables and tiles of the kernels of backend "leaf", against numpy's FFT; no kernel runs here."""

import numpy as np
import pytest
import torch

from circpeft.ops.backends.leaf_tiles import TILE, chunks, power_of_two, tables, tile

SIZES = (8, 10, 16, 24, 44, 64)
every_size = pytest.mark.parametrize("r", SIZES)


def table(name, r):
    """Return a table without its padding, after a look at the padding."""
    padded = tables(r, torch.device("cpu"))[name].double().numpy()
    assert padded.shape[-2:] == (power_of_two(r), power_of_two(r))
    assert not padded[..., r:, :].any() and not padded[..., r:].any()
    return padded[..., :r, :r]


def close(a, b):
    np.testing.assert_allclose(a, b, atol=1e-5)


@every_size
def test_the_transform_keeps_norms_and_gives_the_scaled_spectrum(r):
    transform, x = table("transform", r), np.random.default_rng(0).normal(size=r)
    close(transform @ transform.T, np.eye(r))
    spectrum = np.fft.rfft(x, norm="ortho")
    y = transform @ x
    close(y[:2], spectrum[[0, -1]].real)
    close(y[2::2] + 1j * y[3::2], np.sqrt(2) * spectrum[1:-1])


@every_size
def test_the_two_matrices_multiply_by_the_spectrum_of_a_kernel(r):
    """The first matrix gives the spectrum, and the second one the spectrum times i.

    The first leaf has the two real numbers of the spectrum, which are not mixed.
    """
    (real, imaginary), kernel = table("matrices", r), np.random.default_rng(0).normal(size=r)
    spectrum = np.fft.rfft(kernel)
    first, second = real @ kernel, imaginary @ kernel
    close([first[0], first[1], second[0], second[1]], [spectrum[0].real, 0, 0, spectrum[-1].real])
    close(first[2::2] + 1j * first[3::2], spectrum[1:-1])
    close(second[2::2] + 1j * second[3::2], 1j * spectrum[1:-1])


@every_size
def test_the_second_matrix_of_the_gradient_is_that_of_the_kernel_shifted_by_one(r):
    plain, shifted = table("gradient", r)
    kernel = np.random.default_rng(0).normal(size=r)
    spectrum = np.fft.rfft(kernel)
    close((plain @ kernel)[2::2] + 1j * (plain @ kernel)[3::2], spectrum[1:-1])
    close((plain @ kernel)[:2], spectrum[[0, -1]].real)
    close(shifted @ kernel, plain @ np.roll(kernel, 1))


@pytest.mark.parametrize(("number", "power"), [(1, 16), (16, 16), (17, 32), (32, 32), (33, 64), (64, 64)])
def test_the_next_power_of_two_is_at_least_16(number, power):
    assert power_of_two(number) == power


@every_size
@pytest.mark.parametrize("most", [TILE, TILE // 2])
def test_tiles_cover_the_columns_once_and_hold_no_more_than_their_numbers(r, most):
    for columns in (1, 15, 16, 17, 64, 127, 128, 129, 1024, 11008):
        sizes = tile(r, 3, columns, most)
        assert (sizes["R"], sizes["RP"], sizes["e"]) == (r, power_of_two(r), 3)
        width = sizes["BC"]
        assert width == power_of_two(width) and width * sizes["RP"] <= most
        assert sizes["num_warps"] == (8 if width * sizes["RP"] == TILE else 4)
        # The last tile is not empty, and the one before it is not the last.
        assert (chunks(columns, sizes) - 1) * width < columns <= chunks(columns, sizes) * width
