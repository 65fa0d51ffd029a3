"""Figures from arrays and results. Each is a plotly figure, shown in interactive and in static form.

>>> from circpeft import plots
>>> plots.matrix([[1.0, 2.0], [2.0, 1.0]], "C").layout.annotations[0].text
'C'
"""

from .animations import animation
from .charts import bars, lines, scatter, spectrum
from .circulant import circulant_animation
from .contact_sheet import sheet
from .heatmaps import matrices, matrix
from .output import save, show
from .roofline import roofline
from .roots import roots_of_leaves
from .static import gif, static
from .weight_changes import weight_change

__all__ = [
    "animation",
    "bars",
    "circulant_animation",
    "gif",
    "lines",
    "matrices",
    "matrix",
    "roofline",
    "roots_of_leaves",
    "save",
    "scatter",
    "sheet",
    "show",
    "spectrum",
    "static",
    "weight_change",
]
