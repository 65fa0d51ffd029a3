"""Contact sheets: many pictures in one image, with a text below each."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from ..escaping import one_line
from .style import INK

GAP, TEXT_HEIGHT = 6, 16  # pixels between pictures, and for the text below a picture


def sheet(pictures: Sequence[Image.Image], words: Sequence[str] = (), columns: int = 8, side: int = 72) -> Image.Image:
    """Return an image that shows many pictures in rows.

    Args:
        pictures: the pictures.
        words: a text for each picture, written below it; () for none.
        columns: pictures per row.
        side: the largest width and height of a picture, in pixels.

    Raises: ValueError if there are no pictures, or if the number of texts differs.

    >>> sheet([Image.new("RGB", (8, 8))] * 3, ["a", "b", "c"], columns=2, side=40).size
    (98, 130)
    """
    from ..tasks.pictures import rgb  # imported here, because it loads datasets

    if not pictures:
        raise ValueError("a contact sheet needs at least one picture, got none")
    if words and len(words) != len(pictures):
        raise ValueError(f"expected one text for each of the {len(pictures)} pictures, got {len(words)}")
    height = side + (TEXT_HEIGHT if words else 0)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    canvas = Image.new("RGB", (GAP + columns * (side + GAP), GAP + rows * (height + GAP)), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for number, picture in enumerate(pictures):
        scale = side / max(picture.size)
        size = tuple(max(1, round(length * scale)) for length in picture.size)
        # Small pictures keep their pixels visible, because the model sees just these.
        shown = rgb(picture).resize(size, Image.NEAREST if scale > 1 else Image.BICUBIC)
        x, y = GAP + number % columns * (side + GAP), GAP + number // columns * (height + GAP)
        canvas.paste(shown, (x + (side - size[0]) // 2, y + (side - size[1]) // 2))
        if words:
            draw.text(
                (x + side / 2, y + side + TEXT_HEIGHT / 2), one_line(words[number]), fill=INK, font=font, anchor="mm"
            )
    return canvas
