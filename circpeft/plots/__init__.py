"""Figures from arrays and results: each defined once, in plotly, and shown interactive and as a picture.

>>> from circpeft import plots
>>> plots.matrix([[1.0, 2.0], [2.0, 1.0]], "C").layout.annotations[0].text
'C'
"""

from .animations import animation, circulant_animation
from .figures import bars, lines, scatter, spectrum
from .heatmaps import matrices, matrix
from .output import save, show
from .pictures import sheet
from .static import gif, static

__all__ = [
    "animation",
    "bars",
    "circulant_animation",
    "gif",
    "lines",
    "matrices",
    "matrix",
    "save",
    "scatter",
    "sheet",
    "show",
    "spectrum",
    "static",
]
