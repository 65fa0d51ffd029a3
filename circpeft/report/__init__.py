"""Records of runs as tables beside the papers' printed ones, figures, an HTML page and files for other programs.

>>> from circpeft import report
>>> report.compared(report.empty(), "cdvft-1").query("row == 'LoRA'").iloc[0].printed
'95.1±0.2'
"""

from .compared import compared
from .exports import FORMATS, export
from .figures import AXES, drawings, scatter, spectra
from .filters import choices, filtered
from .formatting import wide, with_cell_text
from .page import page
from .reading import scan
from .records import Cell, FailedRun, Found, Problem, Run, Sweep, empty
from .runs import failures_table, problems_table, runs_table, sweeps_table

shown = with_cell_text  # the former name

__all__ = [
    "AXES",
    "FORMATS",
    "Cell",
    "FailedRun",
    "Found",
    "Problem",
    "Run",
    "Sweep",
    "choices",
    "compared",
    "drawings",
    "empty",
    "export",
    "failures_table",
    "filtered",
    "page",
    "problems_table",
    "runs_table",
    "scan",
    "scatter",
    "shown",
    "spectra",
    "sweeps_table",
    "wide",
    "with_cell_text",
]
