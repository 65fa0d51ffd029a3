"""Figures: their contents, their animations, and how they are shown and saved."""

import io
import json
import subprocess
import sys
import time

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from PIL import Image, ImageSequence

from circpeft import plots
from circpeft.plots import output
from circpeft.plots.style import as_array, thin

RANDOM = np.random.default_rng(0)
X = np.arange(1.0, 6.0)


def picture(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def shades(image):
    """Return the number of different colours in a picture."""
    return len(image.convert("RGB").getcolors(1 << 24))


def test_signed_heatmaps_are_centred_and_share_one_range():
    figure = plots.matrices([("A", [[1.0, -3.0]]), ("B", [[2.0, 0.0]])])
    assert [(trace.zmin, trace.zmax) for trace in figure.data] == [(-3, 3), (-3, 3)]
    assert plots.matrix([[1.0, 3.0]]).data[0].zmin == 0
    assert plots.matrix(np.zeros((2, 2))).data[0].zmax == 1
    middle = figure.data[0].colorscale[len(figure.data[0].colorscale) // 2]
    assert middle == (0.5, "#fafafa")


def test_animation_fixes_colours_and_ranges_over_its_frames():
    stills = [plots.matrix([[float(k), -1.0]]) for k in (1, 5)]
    figure = plots.animation(stills, names=["one", "five"], fps=5)
    assert {trace.zmax for frame in figure.frames for trace in frame.data} == {5.0}
    assert [frame.name for frame in figure.frames] == ["one", "five"]
    lines = plots.animation([plots.lines({"a": (X, k * X)}, f"k = {k}") for k in (1, 4)])
    assert lines.layout.yaxis.range[0] < 1 and lines.layout.yaxis.range[1] > 20
    assert lines.frames[1].layout.title.text == "k = 4"
    logs = plots.animation([plots.lines({"a": (X, k / X)}, log_y=True) for k in (1, 4)])
    assert logs.layout.yaxis.range[1] == pytest.approx(np.log10(4), abs=0.1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: plots.animation([]), "at least one"),
        (lambda: plots.animation([go.Figure(go.Scatter(y=[1])), go.Figure()]), "frame 1 has traces"),
        (lambda: plots.animation([go.Figure(go.Scatter(y=[1]))] * 2, names=["a", "a"]), "1 different"),
        (lambda: plots.animation([go.Figure(go.Scatter(y=[1]))], fps=0), "fps is 0"),
        (lambda: plots.circulant_animation([1, 2], [1, 2, 3]), r"c has shape \(2,\) and x \(3,\)"),
        (lambda: plots.circulant_animation(np.ones(17), np.ones(17)), "b is 17"),
        (lambda: plots.circulant_animation([1, 2], [1, 2], layout="rows"), "'rows'"),
        (lambda: plots.matrices([]), "at least one"),
        (lambda: plots.matrix(np.zeros((2, 2, 2))), r"\(2, 2, 2\)"),
        (lambda: plots.lines({"a": ([1, 2], [1])}), "2 values of x and 1 of y"),
        (lambda: plots.lines({"a": ([1],)}), "1 parts"),
        (lambda: plots.lines({"a": ([1], [1], [[1], [1], [1]])}), "spread of 'a' has 3 rows; give one spread, or"),
        (lambda: plots.show(go.Figure(), static=False, interactive=False), "nothing to show"),
        (lambda: plots.save(go.Figure(), "figure.pdf"), "has the suffix '.pdf'; expected one of .png, .gif, .html"),
    ],
)
def test_invalid_input_raises_with_the_value(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("layout", ["row", "column"])
def test_the_circulant_animation_shows_each_step(layout):
    c, x = torch.tensor([3.0, -1, 2, 0, 1]), torch.tensor([1.0, 0, 2, -1, 1], dtype=torch.float64)
    figure = plots.circulant_animation(c, x, layout)
    matrix, _, _, y = (figure.frames[-1].data[k].z for k in range(4))
    for i in range(5):
        for j in range(5):
            assert matrix[i, j] == c[(j - i) % 5 if layout == "row" else (i - j) % 5]
    assert np.allclose(y[:, 0], matrix @ x.numpy())
    filled = [int(np.isfinite(frame.data[0].z).sum() + np.isfinite(frame.data[3].z).sum()) for frame in figure.frames]
    assert filled == [0, 5, 6, 11, 12, 17, 18, 23, 24, 29, 30]
    image = picture(plots.gif(figure))
    assert image.format == "GIF" and image.n_frames == 11 and image.info["loop"] == 0
    frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
    assert len({frame.shape for frame in frames}) == 1
    assert all((one != two).any() for one, two in zip(frames, frames[1:], strict=False))
    assert tuple(frames[0][0, 0]) == (255, 255, 255) and shades(image) > 10


def test_a_gif_takes_little_longer_than_single_pictures_of_its_frames():
    figure = plots.circulant_animation(RANDOM.standard_normal(6), RANDOM.standard_normal(6))
    plots.static(figure)  # loads the fonts
    start = time.process_time()  # CPU time of this process, so that a busy machine does not fail the test
    for _ in range(3):
        plots.static(figure)
    picture = (time.process_time() - start) / 3
    start = time.process_time()
    plots.gif(figure)
    assert time.process_time() - start < 3 * len(figure.frames) * picture


def test_a_gif_has_the_frame_rate_and_a_longer_last_frame():
    figure = plots.animation([plots.matrix([[k, 1.0]]) for k in range(3)], fps=4)
    durations = [frame.info["duration"] for frame in ImageSequence.Iterator(picture(plots.gif(figure)))]
    assert durations == [250, 250, 2000]
    faster = [frame.info["duration"] for frame in ImageSequence.Iterator(picture(plots.gif(figure, fps=10)))]
    assert faster[:2] == [100, 100]


@pytest.fixture
def shown(monkeypatch):
    """Return the list of outputs that `show` sends to a notebook."""
    bundles = []
    monkeypatch.setattr(output, "display", lambda item: bundles.append(item._repr_mimebundle_()))
    return bundles


PLOTLY = "application/vnd.plotly.v1+json"


def test_a_band_that_reaches_below_zero_does_not_stretch_a_logarithmic_axis():
    band, _ = plots.lines({"a": ([1, 2], [1.0, 10.0], [2.0, 1.0])}, log_y=True).data
    assert list(band.y) == [1.0, 9.0, 11.0, 3.0]


def test_show_a_still_figure(shown):
    figure = plots.matrices([("A", np.eye(4)), ("B", -np.eye(3))], "three")
    assert plots.show(figure) is None
    (bundle,) = shown
    assert set(bundle) == {PLOTLY, "image/png", "text/plain"}
    assert bundle[PLOTLY]["data"][0]["type"] == "heatmap" and bundle["text/plain"] == "Figure: three"
    json.dumps(bundle)


def test_the_alternative_text_of_a_figure_without_a_title_names_its_panels(shown):
    plots.show(plots.matrices([("W₀", np.eye(2)), ("ΔW < 1", np.eye(2))]), static=False)
    plots.show(go.Figure(), static=False)
    assert [bundle["text/plain"] for bundle in shown] == ["Figure: W₀; ΔW < 1", "Figure: untitled"]


def test_the_alternative_text_of_an_animation_has_its_first_and_its_last_title(shown):
    plots.show(plots.animation([plots.lines({"a": ([1], [1])}, f"epoch {k}") for k in range(3)]), static=False)
    assert shown[0]["text/plain"] == "Figure: animation in 3 frames, from “epoch 0” to “epoch 2”"


def test_a_spread_may_differ_below_and_above():
    sides = ([0.25], [0.5])
    (point,) = plots.scatter({"a": ([1], [2.0], sides)}).data
    (bar,) = plots.bars({"a": {"u": 2.0}}, {"a": {"u": (0.25, 0.5)}}).data
    assert [[e.arrayminus[0], e.array[0]] for e in (point.error_y, bar.error_y)] == [[0.25, 0.5]] * 2
    band, _ = plots.lines({"a": ([1], [2.0], sides)}).data
    assert list(band.y) == [1.75, 2.5]
    moving = plots.animation([plots.scatter({"a": ([1], [2.0], sides)})] * 2)
    assert list(moving.layout.yaxis.range) == pytest.approx([1.75 - 0.0375, 2.5 + 0.0375])


def test_show_an_animated_figure(shown):
    figure = plots.animation([plots.matrix([[k, 1.0]]) for k in range(2)], title="moves")
    for kwargs in ({}, {"interactive": False}, {"static": False}):
        plots.show(figure, **kwargs)
    both, still, live = shown
    assert set(both) == {PLOTLY, "text/html", "text/plain"} and len(both[PLOTLY]["frames"]) == 2
    assert (
        both["text/html"].startswith('<img alt="Figure: moves" width="')
        and "data:image/gif;base64," in both["text/html"]
    )
    assert set(still) == {"text/html", "text/plain"} and set(live) == {PLOTLY, "text/plain"}
    assert "<script" not in json.dumps(shown)


def test_save_writes_complete_files_or_none(tmp_path):
    figure = plots.animation([plots.matrix([[k, 1.0]]) for k in range(2)])
    for name, start in (("a.png", b"\x89PNG"), ("deep/b.gif", b"GIF89a"), ("c.html", b"<!doctype html>")):
        path = plots.save(figure, tmp_path / name)
        assert path == tmp_path / name and path.read_bytes().lower().startswith(start.lower())
    assert b"cdn.plot.ly" not in (tmp_path / "c.html").read_bytes()[:2000]
    assert (tmp_path / "c.html").stat().st_size > 1_000_000  # plotly.js is inside
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(ValueError, match="'pie'"):
        plots.save(go.Figure(go.Pie(values=[1])), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.png", "c.html", "deep"]


def test_real_arrays_are_accepted_and_others_refused():
    weight = torch.nn.Parameter(torch.tensor([[1.0, -2.0]], dtype=torch.bfloat16))
    assert plots.matrix(weight).data[0].z.tolist() == [[1.0, -2.0]]
    assert as_array(torch.arange(3)).dtype == np.float64
    with pytest.raises(TypeError, match=r"complex.*pass \.real"):
        plots.matrix(torch.fft.fft(torch.ones(4)))
    with pytest.raises(TypeError, match="real numbers"):
        as_array(["a"])


def test_large_matrices_are_thinned_and_their_title_says_so():
    figure = plots.matrix(np.zeros((300, 700)), "W")
    assert figure.data[0].z.shape == (100, 234)
    assert figure.layout.annotations[0].text == "W (1 row and column in 3)"
    assert figure.layout.yaxis.ticktext[1] == str(3 * figure.layout.yaxis.tickvals[1])
    assert thin(np.zeros((256, 256)))[1] == 1


def test_spectrum_computes_the_rank_in_the_given_dtype():
    outer = torch.outer(torch.arange(1.0, 9.0), torch.linspace(1, 2, 8))
    noisy = outer.double() + 1e-9 * torch.eye(8).double()
    figure = plots.spectrum({"float32": outer, "float64": noisy, "values": np.array([1.0, 2.0, 0.0])})
    names = [trace.name for trace in figure.data]
    assert names == ["float32 (rank 1 of 8)", "float64 (rank 8 of 8)", "values (rank 2 of 3)"]
    assert figure.data[2].y.tolist()[:2] == [2.0, 1.0] and np.isnan(figure.data[2].y[2])
    assert figure.layout.yaxis.type == "log"


def test_plotly_and_matplotlib_load_on_first_use():
    figures = ("plotly", "matplotlib", "PIL.Image")
    code = f"import sys, circpeft; circpeft.C3AConfig; print([m for m in {figures} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "plotly" not in answer and "matplotlib" not in answer
