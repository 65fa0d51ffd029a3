"""The static form of figures: it draws the same traces with matplotlib, or raises for an unsupported one."""

import io
import json
import subprocess
import sys

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image
from plotly.subplots import make_subplots

from circpeft import plots

RANDOM = np.random.default_rng(0)
X = np.arange(1.0, 6.0)


def picture(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def shades(image):
    """Return the number of different colours in a picture."""
    return len(image.convert("RGB").getcolors(1 << 24))


def count_pixels(image, color, within=6):
    """Return the number of pixels with a colour near '#rrggbb'."""
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(np.asarray(image.convert("RGB")).astype(int) - wanted).max(-1) <= within).sum())


FIGURES = {
    "matrix": lambda: plots.matrix(RANDOM.standard_normal((6, 6)), "A"),
    "vector": lambda: plots.matrix([1.0, -2.0, 3.0]),
    "large": lambda: plots.matrix(RANDOM.standard_normal((40, 700)), "W"),
    "matrices": lambda: plots.matrices([("A", np.eye(4)), ("B", -np.eye(3)), ("C", np.ones((4, 1)))], "three"),
    "lines": lambda: plots.lines({"a": (X, 1 / X, 0.1), "b": (X, X / 5)}, "loss", "epoch", "loss"),
    "log": lambda: plots.lines({"a": (X, 10.0**-X, 10.0**-X)}, log_x=True, log_y=True),
    "bars": lambda: plots.bars({"a": {"u": 1.0, "v": 2.0}, "b": {"u": 0.5}}, {"a": {"u": 0.1}}, "bars"),
    "scatter": lambda: plots.scatter({"a": (X, X**2, 1.0), "b": ([2], [3])}, text={"b": ["here"]}),
    "spectrum": lambda: plots.spectrum({"W": RANDOM.standard_normal((9, 5))}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_both_forms_have_content(name):
    figure = FIGURES[name]()
    image = picture(plots.static(figure))
    assert image.format == "PNG" and image.width > 150 and image.height > 60
    assert shades(image) > 10
    # The interactive form is plain JSON, with this package's small template.
    assert len(json.loads(figure.to_json())["data"]) == len(figure.data)
    assert len(figure.to_json()) < 60_000


def test_scale_is_dots_per_pixel():
    figure = FIGURES["lines"]()
    one, two = (picture(plots.static(figure, scale=scale)).width for scale in (1, 2))
    assert abs(two - 2 * one) <= 4


def test_static_draws_the_values_of_the_traces():
    figure = go.Figure(layout={"width": 400, "height": 300, "yaxis": {"range": [0, 4]}})
    figure.add_bar(x=["u", "v"], y=[1, 4], marker={"color": ["#ff0000", "#00ff00"]})
    image = picture(plots.static(figure))
    assert count_pixels(image, "#00ff00") / count_pixels(image, "#ff0000") == pytest.approx(4, rel=0.05)


def test_grouped_bars_stand_beside_each_other_and_stacked_ones_above():
    def columns(mode):
        figure = go.Figure(layout={"barmode": mode})
        for color in ("#ff0000", "#00ff00"):
            figure.add_bar(x=["u"], y=[1], marker={"color": color})
        pixels = np.asarray(picture(plots.static(figure)).convert("RGB"))
        found = [np.argwhere((pixels == wanted).all(-1)) for wanted in ([255, 0, 0], [0, 255, 0])]
        return [(part[:, 1].mean(), part[:, 0].mean()) for part in found]

    (x0, y0), (x1, y1) = columns("group")
    assert x1 > x0 + 50 and abs(y1 - y0) < 3
    (x0, y0), (x1, y1) = columns("stack")
    assert abs(x1 - x0) < 3 and y1 < y0 - 50


def test_a_band_and_a_whisker_are_drawn():
    plain = picture(plots.static(plots.lines({"a": (X, X)})))
    band = picture(plots.static(plots.lines({"a": (X, X, 1.0)})))
    assert count_pixels(band, "#d1e6f2") > 3000 > count_pixels(plain, "#d1e6f2")
    values = {"a": {"u": 1.0}}
    bare, whisker = (picture(plots.static(plots.bars(values, s, y_range=(0, 2)))) for s in (None, {"a": {"u": 0.5}}))
    assert count_pixels(whisker, "#22303c") > count_pixels(bare, "#22303c") + 50


def test_an_empty_cell_stays_empty():
    full, hole = np.ones((2, 2)), np.array([[1.0, np.nan], [1.0, 1.0]])
    painted = [count_pixels(picture(plots.static(plots.matrix(a, numbers=False))), "#08306b") for a in (full, hole)]
    assert painted[1] / painted[0] == pytest.approx(0.75, abs=0.05)


def test_several_panels_annotations_shapes_and_a_legend():
    figure = make_subplots(1, 2, subplot_titles=["left", "right"])
    figure.add_scatter(x=X, y=X, name="a", row=1, col=1)
    figure.add_bar(x=["u", "v"], y=[1, -2], name="b", row=1, col=2)
    before = picture(plots.static(figure))
    figure.add_hline(y=3, line={"color": "#ff00ff", "width": 4}, row=1, col=1)
    figure.add_annotation(x=2, y=4, text="x<sub>1</sub> costs $", font={"color": "#00ff00", "size": 40}, row=1, col=1)
    after = picture(plots.static(figure))
    assert count_pixels(before, "#ff00ff") == count_pixels(before, "#00ff00") == 0
    assert count_pixels(after, "#ff00ff") > 500 and count_pixels(after, "#00ff00") > 100


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (go.Figure(go.Pie(values=[1, 2])), "'pie'.*bar, heatmap, scatter"),
        (go.Figure(go.Surface(z=[[1, 2], [3, 4]])), "'surface'"),
        (go.Figure(go.Bar(x=[1], y=["a"], orientation="h")), "orientation 'h'"),
        (go.Figure(go.Scatter(y=[1, 2], fill="tonextx")), "'tonextx'"),
        (go.Figure(go.Scatter(y=[1, 2], mode="markers", marker={"symbol": "hexagon"})), "'hexagon'"),
        (go.Figure(go.Scatter(y=[1], yaxis="y2"), layout={"yaxis2": {"overlaying": "y"}}), "yaxis2 overlays"),
    ],
)
def test_a_feature_without_static_form_raises_with_its_name(figure, words):
    with pytest.raises(ValueError, match=words):
        plots.static(figure)


def test_a_frame_with_an_unsupported_trace_raises():
    figure = go.Figure(go.Scatter(y=[1]), frames=[go.Frame(data=[go.Pie(values=[1])])])
    with pytest.raises(ValueError, match="'pie'"):
        plots.gif(figure)
    with pytest.raises(ValueError, match="no frames"):
        plots.gif(go.Figure(go.Scatter(y=[1])))
    with pytest.raises(TypeError, match="plotly Figure, got dict"):
        plots.static({})


def test_frames_may_change_some_traces_only():
    frames = [go.Frame(data=[go.Scatter(y=[2, k])], traces=[1]) for k in (0, 5)]
    figure = go.Figure([go.Scatter(y=[0, 1], line={"color": "#ff0000"}), go.Scatter(y=[2, 2])], frames=frames)
    image = picture(plots.static(figure))
    assert count_pixels(image, "#ff0000") > 100


def test_the_users_matplotlib_settings_do_not_change():
    code = (
        "import matplotlib as m; m.use('svg'); m.rcParams['font.size'] = 31\n"
        "from circpeft import plots; plots.static(plots.matrix([[1.0]]))\n"
        "assert m.get_backend() == 'svg' and m.rcParams['font.size'] == 31\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
