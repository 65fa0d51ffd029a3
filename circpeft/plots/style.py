"""The style of all figures (colours for colour-blind readers, a plotly template), and conversion of data to arrays."""

import numpy as np
import plotly.graph_objects as go

INK = "#22303c"
GRID = "#e3e7eb"
PANEL = "#eef1f4"  # background of heatmaps, which makes empty cells visible
# Okabe and Ito's palette without its yellow, which is invisible on white.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
DASHES = ("solid", "dash", "dot", "dashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "triangle-down")
# Blue to red through near-white (ColorBrewer RdBu), so that only zero is pale.
DIVERGING = tuple(
    zip(
        (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0),
        ("#1b4f8f", "#4393c3", "#92c5de", "#d1e5f0", "#fafafa", "#fddbc7", "#f4a582", "#d6604d", "#a11d2f"),
        strict=True,
    )
)
SEQUENTIAL = tuple(
    zip((0.0, 0.25, 0.5, 0.75, 1.0), ("#fafafa", "#c6dbef", "#6baed6", "#2171b5", "#08306b"), strict=True)
)
MAX_CELLS_PER_SIDE = 256  # larger matrices are thinned; 768 x 768 heatmaps take tens of megabytes

_AXIS = {
    "showgrid": True,
    "gridcolor": GRID,
    "zeroline": False,
    "showline": True,
    "linecolor": "#9aa5b1",
    "ticks": "outside",
    "ticklen": 4,
    "tickcolor": "#9aa5b1",
    "title": {"standoff": 8},
}
# Much smaller than plotly's default template, which every saved figure would contain.
TEMPLATE = go.layout.Template(
    layout={
        "colorway": list(COLORS),
        "font": {"family": "DejaVu Sans, Verdana, sans-serif", "size": 13, "color": INK},
        "title": {"x": 0.5, "xanchor": "center", "font": {"size": 16}},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "hovermode": "closest",
        "margin": {"l": 64, "r": 24, "t": 48, "b": 56},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
    }
)

_EPS = {"torch.bfloat16": 2.0**-7, "torch.float16": 2.0**-10, "torch.float32": 2.0**-23, "torch.float64": 2.0**-52}


def as_array(values, name="values"):
    """Return a real array, tensor, list or number as a float64 NumPy array. Tensors are detached and copied to the CPU.

    Raises:
        TypeError: if the values are complex or are not numbers.

    >>> as_array([1, 2]).tolist()
    [1.0, 2.0]
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        # NumPy has no bfloat16.
        values = values.double().numpy() if not values.is_complex() else values.numpy()
    values = np.asarray(values)
    if np.iscomplexobj(values):
        raise TypeError(f"{name} is complex ({values.dtype}); figures show real numbers, so pass .real or abs() of it")
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be real numbers, got dtype {values.dtype}")
    return values.astype(np.float64)


def epsilon(values):
    """Return the machine epsilon of the values' dtype, such as 2^-52 for float64 and 2^-7 for bfloat16."""
    name = str(getattr(values, "dtype", "float64"))
    if name in _EPS:
        return _EPS[name]
    kind = np.dtype(name) if name.startswith("float") else np.dtype("float64")
    return float(np.finfo(kind).eps)


def as_matrix(values, name="matrix"):
    """Return values as a 2-D float64 array: a number becomes 1 x 1, a vector one row.

    Raises:
        ValueError: if there are more than two axes or no entries.

    >>> as_matrix([1.0, 2.0]).shape
    (1, 2)
    """
    array = as_array(values, name)
    if array.ndim > 2 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; a heatmap shows a non-empty vector or matrix")
    return np.atleast_2d(array)


def thin(array, limit=MAX_CELLS_PER_SIDE):
    """Return (every k-th row and column, k) with the smallest k that leaves at most `limit` rows and columns.

    >>> thin(np.zeros((600, 10)))[0].shape, thin(np.zeros((600, 10)))[1]
    ((200, 4), 3)
    """
    step = max(1, -(-max(array.shape) // limit))
    return array[::step, ::step], step


def color_range(arrays, signed=None):
    """Return (lowest, highest, colour scale) for several heatmaps. The range of signed data is centred at zero.

    Args:
        signed: use a diverging scale; by default if an entry is negative.
    """
    finite = np.concatenate([a[np.isfinite(a)].ravel() for a in arrays]) if arrays else np.zeros(0)
    largest = float(np.abs(finite).max()) if finite.size else 0.0
    largest = largest or 1.0  # a matrix of zeros needs a range as well
    if signed is None:
        signed = bool(finite.size) and float(finite.min()) < 0
    return (-largest, largest, DIVERGING) if signed else (0.0, largest, SEQUENTIAL)


def translucent(color, alpha):
    """Return a colour '#rrggbb' with an opacity as plotly's 'rgba(r,g,b,a)'."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
