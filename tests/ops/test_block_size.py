"""Block sizes: defaults, and errors that name the nearest valid size."""

import numpy as np
import pytest

from circpeft.ops.block_size import dividing_block_size, padding_block_size


@pytest.mark.parametrize(
    ("d_in", "d_out", "common", "smallest"),
    [
        (768, 768, 768, 768),
        (768, 3072, 768, 768),
        (4096, 1024, 1024, 1024),
        (12, 18, 6, 12),
        (5, 7, 1, 5),
        (1, 1, 1, 1),
    ],
)
def test_defaults(d_in, d_out, common, smallest):
    assert dividing_block_size("auto", d_in, d_out) == common
    assert padding_block_size("auto", d_in, d_out) == smallest


@pytest.mark.parametrize("b", [1, 2, 3, 6])
def test_every_common_divisor_is_accepted(b):
    assert dividing_block_size(b, 12, 18) == b


@pytest.mark.parametrize(
    ("b", "d_in", "d_out", "words"),
    [
        (100, 768, 768, ["block_size=100", "768", "96, 128"]),
        (4, 12, 18, ["block_size=4", "d_in=12", "d_out=18", "3, 6"]),
        (12, 12, 18, ["block_size=12", "6"]),
        (2, 5, 7, ["block_size=2", "1"]),
    ],
)
def test_errors_name_the_nearest_divisors(b, d_in, d_out, words):
    with pytest.raises(ValueError) as raised:
        dividing_block_size(b, d_in, d_out)
    for word in words:
        assert word in str(raised.value)


def test_cdvft_accepts_any_size_up_to_the_larger_dimension():
    assert [padding_block_size(b, 5, 9) for b in (1, 4, 9)] == [1, 4, 9]
    with pytest.raises(ValueError, match="block_size=10 exceeds both d_in=5 and d_out=9; largest: 9"):
        padding_block_size(10, 5, 9)


def test_integers_of_numpy_are_block_sizes():
    for size in (dividing_block_size(np.int64(6), 12, 18), padding_block_size(np.int32(6), 5, 9)):
        assert type(size) is int and size == 6
