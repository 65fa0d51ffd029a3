"""The animated figure of a learnt change: frames, traces, axes and the alternative text."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from circpeft import plots
from circpeft.plots import output

EPOCHS = [1, 2, 5]
MAPS = [np.outer([1.0, -1, 2], [1, 0, 1, 3]) * scale for scale in (0.1, 0.5, 0.2)]
VALUES = [[0.3, 0.02, 0.0], [1.5, 0.2, 0.0], [2.5, 0.1, 0.0]]
KNOWN = {"index": [1, 2, 12], "shape": (24, 12), "step": 8, "ranks": [2, 2, 2]}


@pytest.fixture
def figure():
    return plots.weight_change(EPOCHS, MAPS, VALUES, **KNOWN, title="lora: query")


def test_a_frame_has_the_map_and_the_values_so_far(figure):
    assert [frame.name for frame in figure.frames] == ["epoch 1", "epoch 2", "epoch 5"]
    for number, frame in enumerate(figure.frames):
        heat, *lines = frame.data
        np.testing.assert_allclose(heat.z, MAPS[number], rtol=1e-6)
        assert (heat.zmin, heat.zmax) == (-3.0, 3.0)  # the largest of all epochs, around zero
        assert heat.colorscale[4][1] == "#fafafa" and heat.colorscale[0][1] != heat.colorscale[-1][1]
        for other, line in enumerate(lines):
            shown = np.asarray(line.y, dtype=float)
            expected = [v or np.nan for v in VALUES[other]] if other <= number else [np.nan] * 3
            np.testing.assert_array_equal(shown, expected)
            assert list(line.x) == KNOWN["index"]
            assert line.line.color == ("#0072b2" if other == number else "rgba(0,114,178,0.3)")
        left, right = frame.layout.annotations
        assert left.text == f"ΔW after epoch {EPOCHS[number]} (1 row and column in 8)"
        assert right.text == "Singular values: rank 2 of 12"


def test_both_axes_of_the_values_are_logarithmic_and_stay(figure):
    assert figure.layout.xaxis2.type == figure.layout.yaxis2.type == "log"
    assert figure.layout.yaxis2.range == (-2.1, 1.1) and list(figure.layout.xaxis2.ticktext) == ["1", "10"]
    assert all("yaxis2" not in frame.layout.to_plotly_json() for frame in figure.frames)
    flat = plots.weight_change([1], [np.eye(3)], [[3.0, 3.0, 3.0]])
    low, high = flat.layout.yaxis2.range
    assert low < 0 < np.log10(3) < 1 < high  # labels at 1 and 10


@pytest.mark.parametrize("shape", [(12, 48), (48, 12), (48, 48), (2, 2)])
def test_the_labels_of_rows_and_columns_have_room(shape):
    figure = plots.weight_change([1], [np.ones(shape)], [[]], [], step=8)
    pixels = 310 / max(shape)
    for axis, room in ((figure.layout.xaxis, 40), (figure.layout.yaxis, 18)):
        places = list(axis.tickvals)
        assert places[0] == 0 and [int(text) for text in axis.ticktext] == [8 * place for place in places]
        assert all((after - before) * pixels >= room for before, after in itertools.pairwise(places))


def test_the_alternative_text_has_the_numbers_of_the_last_epoch(figure, monkeypatch):
    shown = []
    monkeypatch.setattr(output, "display", lambda item: shown.append(item._repr_mimebundle_()))
    plots.show(figure)
    text = (
        "lora: query: heat map and singular values after epochs 1, 2, 5. The largest entry shown is 1.2; "
        "singular values 2.5 to 0.1; rank 2 of 12."
    )
    assert shown[0]["text/plain"] == text and f'<img alt="{text}"' in shown[0]["text/html"]
    assert figure.layout.meta["fps"] == 1.5


def test_one_epoch_is_a_still_figure():
    figure = plots.weight_change([4], MAPS[:1], VALUES[:1], **KNOWN | {"ranks": [2]})
    assert not figure.frames and not figure.layout.sliders and "after epoch 4." in figure.layout.meta["alt"]
    assert plots.static(figure)[1:4] == b"PNG"


def test_the_static_form_is_the_last_epoch(figure):
    other_values = [*VALUES[:2], [9.0, 0.1, 0.0]]
    last = plots.weight_change(EPOCHS, MAPS, other_values, **KNOWN, title="lora: query")
    still, other = (np.asarray(Image.open(io.BytesIO(plots.static(each))).convert("RGB")) for each in (figure, last))
    assert still.shape == other.shape and (still != other).any()
    assert Image.open(io.BytesIO(plots.gif(figure))).n_frames == 3


def test_a_layer_without_singular_values_has_its_map():
    figure = plots.weight_change([1, 2], MAPS[:2], [[], []], [], (3, 4))
    assert figure.layout.annotations[1].text == "Singular values: not computed for this size"
    assert "singular values 0" not in figure.layout.meta["alt"] and plots.static(figure)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([], [], []), "at least one epoch"),
        (([1, 2], MAPS, VALUES[:2]), "3 maps for 2 epochs"),
        ((EPOCHS, MAPS, VALUES[:2]), "2 singular_values for 3 epochs"),
        (([1, 2], [MAPS[0], MAPS[0].T], VALUES[:2]), r"shape \(4, 3\), that of the first \(3, 4\)"),
        (([1], MAPS[:1], VALUES[:1], [1, 2]), "3 singular values, expected 2"),
        (([1], MAPS[:1], VALUES[:1], None, None, 1, [1, 2]), "2 ranks for 1 epochs"),
    ],
)
def test_lists_that_do_not_match_raise(arguments, words):
    with pytest.raises(ValueError, match=words):
        plots.weight_change(*arguments)
