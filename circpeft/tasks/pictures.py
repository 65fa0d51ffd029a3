"""Pictures of any mode as a model is given them, and those that cannot be read found before training."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as Pillow

# What Pillow turns into colours; of 16 bits, and of transparency, `rgb` takes care.
MODES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "LA", "PA", "RGBA", "RGBa")
# Formats that hold no wider numbers than 16 bits: in these, older Pillow calls a 16-bit grey picture I.
SIXTEEN_BITS = ("PNG", "PPM", "JPEG2000")


def rgb(picture: Pillow.Image) -> Pillow.Image:
    """The picture in 8-bit colours, the one way for training and for showing.

    16-bit grey is scaled by 257, 65535 to 255, whatever part of its range is used: one picture does not tell how bright
    the others are. Mode I is taken for 16 bits, since older Pillow reads 16-bit PNG so. Transparency is laid on white.
    All others are what ``convert("RGB")`` makes of them.

    Raises: ValueError for a mode without a known range: F, and I with values outside of 0 to 65535.

    >>> [rgb(Pillow.new("I;16", (1, 1), value)).getpixel((0, 0)) for value in (65535, 257)]
    [(255, 255, 255), (1, 1, 1)]
    >>> rgb(Pillow.new("RGBA", (1, 1), (0, 0, 0, 0))).getpixel((0, 0))
    (255, 255, 255)
    """
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"{_no_range('I')}, and these go from {values.min()} to {values.max()}")
        return Pillow.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if picture.mode not in MODES:
        raise ValueError(_no_range(picture.mode))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Pillow.alpha_composite(Pillow.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def _no_range(mode: str) -> str:
    return f"mode {mode!r} has no known range of values; expected 8 bits, or 16 bits of grey"


def check(picture: dict) -> None:
    """Look at a picture ``{"bytes", "path"}`` as data sets keep it, without its pixels where that will do.

    Raises: ValueError for one that cannot be read, is cut off, or has a mode without a known range (see `rgb`).
    """
    try:
        with _opened(picture) as image:
            known = image.mode in MODES or image.mode.startswith("I;16")
            if not (known or image.mode == "I" and image.format in SIXTEEN_BITS):
                raise ValueError(_no_range(image.mode))
            ends = _ends(image)
        if not ends:  # of no known sign, or without it: Pillow reads some such pictures nevertheless
            with _opened(picture) as image:
                image.load()
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and more
        raise ValueError(str(error) or type(error).__name__) from error


def _opened(picture: dict) -> Pillow.Image:
    return Pillow.open(io.BytesIO(picture["bytes"]) if picture["bytes"] else picture["path"])


def _ends(image: Pillow.Image) -> bool:
    """Whether a file shows that it is whole: PNG by its checksums, JPEG by its last marker. Decoding takes far longer,
    and is done for the digest of the data anyway."""
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
