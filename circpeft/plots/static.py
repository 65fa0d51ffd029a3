"""The static form of a plotly figure, drawn by matplotlib from the figure's own traces: no figure is defined twice."""

import io

import matplotlib as mpl
import plotly.graph_objects as go
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from . import annotations
from .panels import Axis, Panel
from .spec import PX, color, parts
from .style import COLORS
from .traces import DRAW

SCALE = 1.5  # dots for each plotly pixel
HOLD_LAST = 2000  # milliseconds on the last frame, before the animation starts again
_LOOK = {"font.family": "DejaVu Sans", "mathtext.default": "regular", "axes.unicode_minus": True}


def _check(figure):
    if not isinstance(figure, go.Figure):
        raise TypeError(f"expected a plotly Figure, got {type(figure).__name__}")
    for trace in (*figure.data, *(trace for frame in figure.frames for trace in frame.data)):
        if trace.type not in DRAW:
            raise ValueError(
                f"a trace of type {trace.type!r} has no static form; supported are {', '.join(sorted(DRAW))}. "
                "Use one of these, or show(fig, static=False) for the interactive form alone"
            )


def _draw(figure, scale, frame=None):
    """A matplotlib figure of a plotly figure as it stands in one of its frames."""
    layout, traces = parts(figure, frame)
    width, height = layout("width", 720), layout("height", 400)
    left, right, top, bottom = (layout(f"margin.{side}", 60) for side in "lrtb")
    area = Bbox.from_extents(left / width, bottom / height, 1 - right / width, 1 - top / height)
    canvas = Figure(figsize=(width * PX, height * PX), dpi=scale / PX)
    FigureCanvasAgg(canvas)
    canvas.set_facecolor(color(layout("paper_bgcolor"), "white"))
    traces = [trace for trace in traces if trace("visible", True) is True]
    pairs = [(trace("xaxis", "x"), trace("yaxis", "y")) for trace in traces]
    axes = {name: Axis(layout, name) for pair in pairs for name in pair}
    panels = {}
    for pair in dict.fromkeys(pairs):
        own = [trace for trace, other in zip(traces, pairs, strict=True) if other == pair]
        panels[pair] = Panel(canvas, layout, area, axes[pair[0]], axes[pair[1]], own)
    colorway, entries = layout("colorway", COLORS), []
    for i, (trace, pair) in enumerate(zip(traces, pairs, strict=True)):
        artist = DRAW[trace("type")](panels[pair], trace, color(colorway[i % len(colorway)]))
        if artist is not None and trace("name") and trace("showlegend", True):
            entries.append((artist, trace("name")))
    drawn = list(panels.values())
    if drawn:
        annotations.shapes(canvas, layout, drawn, area)
        for panel in drawn:
            panel.finish()
        annotations.annotations(canvas, layout, drawn, area)
    annotations.legend(canvas, layout, entries, area)
    annotations.title(canvas, layout, area, height)
    return canvas


def _box(canvas):
    """What the drawing covers, in inches: cropped to it, no label is cut and no room for buttons is left."""
    box = canvas.get_tightbbox(canvas.canvas.get_renderer())
    return Bbox.from_extents(box.x0 - 0.1, box.y0 - 0.1, box.x1 + 0.1, box.y1 + 0.1)


def _image(canvas, box, **options):
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", bbox_inches=box, facecolor=canvas.get_facecolor(), pil_kwargs=options)
    return buffer.getvalue()


def _palette(images):
    """128 colours for all frames, or they would flicker: from every frame, since some come and go."""
    wide, high = (max(1, side // 2) for side in images[0].size)
    sheet = Image.new("RGB", (wide, high * len(images)))
    for i, image in enumerate(images):
        sheet.paste(image.resize((wide, high), Image.Resampling.NEAREST), (0, i * high))
    palette = sheet.quantize(128, dither=Image.Dither.NONE)
    # The median cut tints the background, and Pillow's search is coarse: what is close to it becomes it.
    paper, colors = images[0].getpixel((0, 0)), palette.getpalette()
    for at in range(0, len(colors), 3):
        if max(abs(a - b) for a, b in zip(colors[at : at + 3], paper, strict=True)) < 10:
            colors[at : at + 3] = paper
    palette.putpalette(colors)
    return palette


def static(figure, scale=SCALE):
    """A plotly figure as PNG bytes, `scale` dots for each of its pixels; of a figure with frames, the last one.

    Draws scatter (lines, markers, text, bands, error bars), bar and heatmap traces on any number of panels, linear,
    log or categorical, with titles, annotations, shapes, colour bars and a legend.

    Raises:
        TypeError: if `figure` is not a plotly Figure. ValueError: if it has a trace, or an option of one, that has
        no static form; the message names it.

    >>> static(go.Figure(go.Scatter(y=[1, 2])))[1:4]
    b'PNG'
    """
    _check(figure)
    with mpl.rc_context(_LOOK):
        canvas = _draw(figure, scale, figure.frames[-1] if figure.frames else None)
        return _image(canvas, _box(canvas))


def gif(figure, fps=None, scale=SCALE):
    """The frames of a plotly figure as the bytes of a GIF that repeats, holding its last frame for two seconds.

    Args:
        fps: frames a second; by default what `animation` was given, else 3.
    Raises:
        ValueError: if the figure has no frames or a trace without a static form, or if fps is not positive.
    """
    _check(figure)
    if not figure.frames:
        raise ValueError("the figure has no frames; use static() for its PNG")
    fps = fps if fps is not None else (figure.layout.meta or {}).get("fps", 3)
    if not 0 < fps <= 50:
        raise ValueError(f"fps is {fps}; expected a number above 0 and at most 50")
    with mpl.rc_context(_LOOK):
        canvases = [_draw(figure, scale, frame) for frame in figure.frames]
        # One box for all, or the picture would jump.
        box = Bbox.union([_box(canvas) for canvas in canvases])
        images = [Image.open(io.BytesIO(_image(canvas, box, compress_level=1))).convert("RGB") for canvas in canvases]
    palette = _palette(images)
    images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    buffer = io.BytesIO()
    durations = [round(1000 / fps)] * (len(images) - 1) + [HOLD_LAST]
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=False)
    return buffer.getvalue()
