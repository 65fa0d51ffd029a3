"""Convert images of any mode to RGB, and find unreadable ones before training."""

from __future__ import annotations

import io
import os
from functools import cache

import numpy as np
from PIL import Image as Pillow
from PIL import PngImagePlugin, UnidentifiedImageError

from .. import limits

# Programs that generate images keep megabytes of text in a PNG. Pillow refuses to unpack more than 1 MB of a text or
# colour profile; here it may be 256 MB, which still bounds the memory that a malicious file can take.
PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, 2**28)
PngImagePlugin.MAX_TEXT_MEMORY = max(PngImagePlugin.MAX_TEXT_MEMORY, 2**28)

# Modes that Pillow converts to RGB; `rgb` itself handles 16-bit grey and transparency.
MODES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "LA", "PA", "RGBA", "RGBa")
# The formats that are opened, whatever a file is called: those of the endings that are read (see `file_formats`), and
# MPO, a JPEG with a preview. Pillow knows many more, some of them barely tested or run by other programs.
FORMATS = ("PNG", "JPEG", "MPO", "BMP", "DIB", "WEBP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
# Formats with at most 16 bits per value. Older versions of Pillow read their 16-bit grey images as mode I.
SIXTEEN_BITS = ("PNG", "PPM", "JPEG2000")


def rgb(picture: Pillow.Image) -> Pillow.Image:
    """Return an image in 8-bit RGB, for training and for display alike.

    16-bit grey is divided by 257, so that 65535 becomes 255, even if an image uses only a part of the range: other
    images may be brighter. Mode I counts as 16 bits, because older versions of Pillow read 16-bit PNG files like this.
    Transparent images are put on white. All others are converted by ``convert("RGB")``.

    Raises: ValueError for a mode without a known range: F, and I with values outside 0 to 65535.

    >>> [rgb(Pillow.new("I;16", (1, 1), value)).getpixel((0, 0)) for value in (65535, 257)]
    [(255, 255, 255), (1, 1, 1)]
    >>> rgb(Pillow.new("RGBA", (1, 1), (0, 0, 0, 0))).getpixel((0, 0))
    (255, 255, 255)
    """
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"{_no_range('I')}; these values are from {values.min()} to {values.max()}")
        return Pillow.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if picture.mode not in MODES:
        raise ValueError(_no_range(picture.mode))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Pillow.alpha_composite(Pillow.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def _no_range(mode: str) -> str:
    return f"mode {mode!r} has no known range of values; expected 8 bits, or 16 bits in grey"


def check(picture: dict) -> bool:
    """Check an image ``{"bytes", "path"}`` of a data set; pixels are decoded only if there is no quicker check.

    Returns: whether it has several frames or pages, as an animation has. Only the first is used.

    Raises: ValueError for an image that cannot be read, is truncated, is not in one of `FORMATS`, or has a mode without
    a known range (see `rgb`).
    """
    try:
        with _opened(picture) as image:
            known = image.mode in MODES or image.mode.startswith("I;16")
            if not (known or image.mode == "I" and image.format in SIXTEEN_BITS):
                raise ValueError(_no_range(image.mode))
            # MPO is a JPEG with a preview, as cameras write it.
            several = image.format != "MPO" and getattr(image, "is_animated", False)
            complete = _is_complete(image)
        if not complete:  # or the file does not tell: Pillow may be able to read it nevertheless
            with _opened(picture) as image:
                image.load()
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and more
        raise ValueError(str(error) or type(error).__name__) from error
    return several


def _opened(picture: dict) -> Pillow.Image:
    contents, path = picture["bytes"], picture["path"]
    limits.IMAGE.check("its file", len(contents) if contents else os.path.getsize(path))
    file = io.BytesIO(contents) if contents else path
    try:
        return Pillow.open(file, formats=_known_formats())
    except UnidentifiedImageError as error:
        raise ValueError(f"{error}; expected one of {', '.join(FORMATS)}") from error


@cache
def _known_formats() -> tuple[str, ...]:
    """Return those of `FORMATS` that this Pillow was built with."""
    Pillow.init()
    return tuple(name for name in FORMATS if name in Pillow.OPEN)


def _is_complete(image: Pillow.Image) -> bool:
    """Return whether a file proves that it is complete: PNG by its checksums, JPEG by its last marker.

    Decoding takes far longer, and happens for the fingerprint of the data anyway.
    """
    if image.format == "PNG":
        try:
            image.verify()
        except Exception:
            return False
        return True
    if image.format in ("JPEG", "MPO"):
        image.fp.seek(-2, io.SEEK_END)
        return image.fp.read(2) == b"\xff\xd9"
    return False
