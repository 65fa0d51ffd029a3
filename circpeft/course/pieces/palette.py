"""The colours of the pieces, for light and dark pages; both are for colour-blind readers."""

from ...plots.style import COLORS, DIVERGING, GRID, INK, PANEL, SEQUENTIAL

# Okabe and Ito's colours, brighter where they would be hard to see on black.
DARK_COLORS = ("#56b4e9", "#ff9249", "#2fc79a", "#e39ac0", "#e69f00", "#9aa9ff", "#f2f4f6")
# Blue to orange through near-black, so that only zero is dark.
DARK_DIVERGING = tuple(
    zip(
        (0.0, 0.25, 0.5, 0.75, 1.0),
        ("#8cc8ff", "#3a86c8", "#1d242b", "#c8622a", "#ffb489"),
        strict=True,
    )
)
DARK_SEQUENTIAL = tuple(
    zip((0.0, 0.25, 0.5, 0.75, 1.0), ("#1d242b", "#1f4c78", "#3a86c8", "#7fbcf0", "#d6ecff"), strict=True)
)
PALETTE = {
    "light": {
        "ink": INK,
        "muted": "#5b6875",
        "grid": GRID,
        "panel": PANEL,
        "page": "#ffffff",
        "lines": COLORS,
        "diverging": DIVERGING,
        "sequential": SEQUENTIAL,
    },
    "dark": {
        "ink": "#e6eaee",
        "muted": "#a7b1bb",
        "grid": "#39424b",
        "panel": "#262d34",
        "page": "#111518",
        "lines": DARK_COLORS,
        "diverging": DARK_DIVERGING,
        "sequential": DARK_SEQUENTIAL,
    },
}


def dark_of() -> dict[str, str]:
    """Return the colour on a dark page for each colour of lines and texts in figures on white.

    >>> dark_of()["#000000"], dark_of()[INK]
    ('#f2f4f6', '#e6eaee')
    """
    light, dark = PALETTE["light"], PALETTE["dark"]
    lines = zip(map(str, light["lines"]), map(str, dark["lines"]), strict=True)
    named = {str(light[name]): str(dark[name]) for name in ("ink", "muted", "grid", "panel")}
    return {**dict(lines), **named, "black": str(dark["ink"])}


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours '#rrggbb', from 1 to 21, as the web's accessibility guidelines define it.

    >>> round(contrast("#000000", "#ffffff"), 1)
    21.0
    """
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    channels = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
