"""Pictures side by side, with words under them: what an image task looks like."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from .style import INK

GAP, WORDS = 6, 16  # pixels between pictures, and for the words under one


def sheet(pictures: Sequence[Image.Image], words: Sequence[str] = (), columns: int = 8, side: int = 72) -> Image.Image:
    """One picture of many, each at most ``side`` pixels wide and high, with its words under it.

    Raises: ValueError for no pictures, or another number of words than of pictures.

    >>> sheet([Image.new("RGB", (8, 8))] * 3, ["a", "b", "c"], columns=2, side=40).size
    (98, 130)
    """
    from ..tasks.pictures import rgb  # here: it loads datasets, which the figures do without

    if not pictures:
        raise ValueError("a sheet needs at least one picture, got none")
    if words and len(words) != len(pictures):
        raise ValueError(f"expected one text a picture: {len(pictures)}, got {len(words)}")
    high = side + (WORDS if words else 0)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    canvas = Image.new("RGB", (GAP + columns * (side + GAP), GAP + rows * (high + GAP)), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for number, picture in enumerate(pictures):
        scale = side / max(picture.size)
        size = tuple(max(1, round(length * scale)) for length in picture.size)
        # Small pictures are shown pixel by pixel: that is what the model sees.
        shown = rgb(picture).resize(size, Image.NEAREST if scale > 1 else Image.BICUBIC)
        x, y = GAP + number % columns * (side + GAP), GAP + number // columns * (high + GAP)
        canvas.paste(shown, (x + (side - size[0]) // 2, y + (side - size[1]) // 2))
        if words:
            draw.text((x + side / 2, y + side + WORDS / 2), words[number], fill=INK, font=font, anchor="mm")
    return canvas
