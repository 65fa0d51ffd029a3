"""The static form of a plotly figure: PNG and GIF pictures that matplotlib draws from the figure's own traces."""

import io

import matplotlib as mpl
import plotly.graph_objects as go
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from . import annotations
from .panels import Axis, Panel
from .plain_figure import PX, color, parts
from .style import COLORS
from .traces import DRAW

SCALE = 1.5  # dots per plotly pixel
LAST_FRAME_MS = 2000  # how long the last frame stays before the animation repeats
_RC = {"font.family": "DejaVu Sans", "mathtext.default": "regular", "axes.unicode_minus": True}


def _check(figure):
    if not isinstance(figure, go.Figure):
        raise TypeError(f"expected a plotly Figure, got {type(figure).__name__}")
    for trace in (*figure.data, *(trace for frame in figure.frames for trace in frame.data)):
        if trace.type not in DRAW:
            raise ValueError(
                f"a trace of type {trace.type!r} has no static form; supported are {', '.join(sorted(DRAW))}. "
                "Use one of these, or show(fig, static=False) for only the interactive form"
            )


def _draw(figure, scale, frame=None):
    """Return a matplotlib figure of a plotly figure, or of the figure as it is in one of its frames."""
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
        on_panel = [trace for trace, other in zip(traces, pairs, strict=True) if other == pair]
        panels[pair] = Panel(canvas, layout, area, axes[pair[0]], axes[pair[1]], on_panel)
    colorway, entries = layout("colorway", COLORS), []
    for i, (trace, pair) in enumerate(zip(traces, pairs, strict=True)):
        artist = DRAW[trace("type")](panels[pair], trace, color(colorway[i % len(colorway)]))
        if artist is not None and trace("name") and trace("showlegend", True):
            entries.append((artist, trace("name")))
    if panels:
        annotations.shapes(canvas, layout, list(panels.values()), area)
        for panel in panels.values():
            panel.finish()
        annotations.annotations(canvas, layout, list(panels.values()), area)
    annotations.legend(canvas, layout, entries, area)
    annotations.title(canvas, layout, area, height)
    return canvas


def _bounding_box(canvas):
    """Return the box around everything drawn, in inches, so that a crop keeps all labels and no empty margins."""
    box = canvas.get_tightbbox(canvas.canvas.get_renderer())
    return Bbox.from_extents(box.x0 - 0.1, box.y0 - 0.1, box.x1 + 0.1, box.y1 + 0.1)


def _png(canvas, box, **options):
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", bbox_inches=box, facecolor=canvas.get_facecolor(), pil_kwargs=options)
    return buffer.getvalue()


def _palette(images):
    """Return a palette of 128 colours taken from all frames. A palette per frame would make the colours flicker."""
    width, height = (max(1, side // 2) for side in images[0].size)
    sheet = Image.new("RGB", (width, height * len(images)))
    for i, image in enumerate(images):
        sheet.paste(image.resize((width, height), Image.Resampling.NEAREST), (0, i * height))
    palette = sheet.quantize(128, dither=Image.Dither.NONE)
    # Quantising tints the background, so every palette colour close to it is set to it.
    background, colors = images[0].getpixel((0, 0)), palette.getpalette()
    for start in range(0, len(colors), 3):
        if max(abs(a - b) for a, b in zip(colors[start : start + 3], background, strict=True)) < 10:
            colors[start : start + 3] = background
    palette.putpalette(colors)
    return palette


def static(figure, scale=SCALE):
    """Return a plotly figure as the bytes of a PNG. Of a figure with frames, the last frame is drawn.

    It draws scatter traces (lines, markers, text, bands, error bars), bars and heatmaps on any number of panels. Axes
    may be linear, logarithmic or categorical. Titles, annotations, shapes, colour bars and legends are drawn as well.

    Args:
        scale: dots per pixel of the plotly figure.
    Raises:
        TypeError: if `figure` is not a plotly Figure.
        ValueError: if a trace, or one of its options, has no static form; the message names it.

    >>> static(go.Figure(go.Scatter(y=[1, 2])))[1:4]
    b'PNG'
    """
    _check(figure)
    with mpl.rc_context(_RC):
        canvas = _draw(figure, scale, figure.frames[-1] if figure.frames else None)
        return _png(canvas, _bounding_box(canvas))


def gif(figure, fps=None, scale=SCALE):
    """Return the frames of a plotly figure as the bytes of a repeating GIF. The last frame stays for two seconds.

    Args:
        fps: frames per second, above 0 and at most 50; by default the figure's own (see `animation`), or 3.
        scale: dots per pixel of the plotly figure.
    Raises:
        TypeError: if `figure` is not a plotly Figure.
        ValueError: if it has no frames, if a trace has no static form, or if fps is out of range.
    """
    _check(figure)
    if not figure.frames:
        raise ValueError("the figure has no frames; use static() for its PNG")
    fps = fps if fps is not None else (figure.layout.meta or {}).get("fps", 3)
    if not 0 < fps <= 50:
        raise ValueError(f"fps is {fps}; expected a number above 0 and at most 50")
    with mpl.rc_context(_RC):
        canvases = [_draw(figure, scale, frame) for frame in figure.frames]
        # All frames share one box, so that the picture does not jump.
        box = Bbox.union([_bounding_box(canvas) for canvas in canvases])
        images = [Image.open(io.BytesIO(_png(canvas, box, compress_level=1))).convert("RGB") for canvas in canvases]
    palette = _palette(images)
    images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    buffer = io.BytesIO()
    durations = [round(1000 / fps)] * (len(images) - 1) + [LAST_FRAME_MS]
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=False)
    return buffer.getvalue()
