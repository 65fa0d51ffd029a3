"""The roofline plot and the roots of unity: what their points and lines are."""

import numpy as np
import pytest

from circpeft import plots


def test_a_roof_rises_with_the_memory_and_ends_flat():
    figure = plots.roofline(2.0, {"fast": 100.0, "slow": 8.0}, {"sum": (0.5, 1.0), "product": (200.0, 90.0)})
    fast, slow, *points = figure.data
    for roof, peak in ((fast, 100.0), (slow, 8.0)):
        assert np.allclose(roof.y, np.minimum(peak, 2.0 * roof.x))
        assert peak / 2.0 in roof.x  # the corner itself
    assert [(p.name, p.x[0], p.y[0]) for p in points] == [("sum", 0.5, 1.0), ("product", 200.0, 90.0)]
    assert len({trace.marker.color or trace.line.color for trace in figure.data}) == 4
    assert plots.static(figure)[1:4] == b"PNG"
    with pytest.raises(ValueError, match="'sum' is"):
        plots.roofline(2.0, {"fast": 8.0}, {"sum": (0.0, 1.0)})


def test_the_roots_of_one_colour_solve_its_equation():
    figure = plots.roots_of_leaves(24, 8)
    for k, trace in enumerate(figure.data):
        z = np.asarray(trace.x) + 1j * np.asarray(trace.y)
        assert len(z) == 3 and np.allclose(z**3, np.exp(-2j * np.pi * k / 8))
    assert plots.static(figure)[1:4] == b"PNG"
    with pytest.raises(ValueError, match="r=5"):
        plots.roots_of_leaves(24, 5)
