"""The papers recomputed: an audit of their figures and claims, and the errata with their proofs."""

from .audit import VERDICTS, Row, audit
from .errata import errata
from .erratum import KINDS, PROVED_BY, Erratum
from .figures import FIGURE_2, c3a_figure_1, cdvft_figure_2
from .versions import Difference, version_differences

__all__ = [
    "FIGURE_2",
    "KINDS",
    "PROVED_BY",
    "VERDICTS",
    "Difference",
    "Erratum",
    "Row",
    "audit",
    "c3a_figure_1",
    "cdvft_figure_2",
    "errata",
    "version_differences",
]
