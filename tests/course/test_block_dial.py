"""The block dial: what it draws is the nearest block-circulant matrix, and its readings are those of that matrix."""

import base64

import numpy as np
import pytest
import torch

from circpeft.course import block_fits, pieces
from circpeft.course.pieces import block_dial
from circpeft.ops import block_circulant

from .javascript import calls

DIAL = pieces.BlockDial(block_fits.targets(12, seed=3), b=4)


def test_no_other_kernels_are_nearer():
    """The difference is orthogonal to every block-circulant matrix, so the matrix is the nearest one."""
    target = torch.randn(6, 9, dtype=torch.float64)
    one = block_fits.fit(target, 3)
    other = block_circulant(torch.randn_like(one.kernels), layout="row")
    assert abs(float(((target - one.matrix) * other).sum())) < 1e-12
    error = float((target - one.matrix).square().sum() / target.square().sum())
    assert one.captured == pytest.approx(1 - error)


def test_the_rank_of_the_nearest_matrix_is_bounded_by_that_of_the_target():
    """At each of the b frequencies the target is compressed, and compression does not raise its rank r: r b in all."""
    ranks = {one.b: one.rank for one in DIAL.fits["rank 2"]}
    assert ranks == {b: min(12, 2 * b) for b in (12, 6, 4, 3, 2, 1)}
    assert {one.rank for one in DIAL.fits["random"]} == {12}


def test_the_browser_draws_the_matrices_that_python_computes():
    for target in DIAL.data["targets"]:
        for given, fit in zip(target["fits"], DIAL.fits[target["name"]], strict=True):
            kernels = np.frombuffer(base64.b64decode(given["kernels"]), dtype=np.int8)
            assert np.abs(kernels / 127 * given["limit"] - fit.kernels.flatten().numpy()).max() <= given["limit"] / 254
    name, fit = "random, rectangular", DIAL.chosen("random, rectangular", 4)
    text = block_dial.encoded(fit.kernels)["kernels"]
    entries = calls("block_dial", "((text, ...rest) => [...blockCirculant(decode(text), ...rest)])", [(text, 12, 8, 4)])
    drawn = np.array(entries[0]).reshape(12, 8) / 127 * float(fit.kernels.abs().max())
    np.testing.assert_allclose(drawn, fit.matrix.numpy(), atol=float(fit.kernels.abs().max()) / 250, err_msg=name)


def test_a_target_without_the_chosen_size_gets_the_nearest_one():
    sizes = [{"b": fit.b} for fit in DIAL.fits["random, rectangular"]]
    places = calls("block_dial", "nearestPlace", [(sizes, 12), (sizes, 3), (sizes, 1)])
    assert [sizes[place]["b"] for place in places] == [4, 4, 1]


def test_a_wrong_size_or_target_names_the_choices():
    with pytest.raises(ValueError, match="'random' has no block size 5; choices: 12, 6, 4, 3, 2, 1"):
        pieces.BlockDial(block_fits.targets(12), b=5)
    with pytest.raises(ValueError, match="unknown target 'rank2'; did you mean 'rank 2'"):
        DIAL.chosen("rank2", 4)
    with pytest.raises(ValueError, match="at least one target"):
        pieces.BlockDial({})
    with pytest.raises(ValueError, match=r"b=5 does not divide both 6 and 9; choices: \[1, 3\]"):
        block_fits.nearest_kernels(torch.ones(6, 9), 5)
