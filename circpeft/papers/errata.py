"""The errata of both papers: mistakes, omissions and overstated claims, each with the computation that proves it."""

from __future__ import annotations

from . import c3a_errata, cdvft_errata
from .erratum import Erratum


def errata() -> list[Erratum]:
    """Return the errata of both papers, each with the computation that proves it.

    >>> next(e for e in errata() if e.key == "commutativity").proof()
    {'as printed, largest difference': 2.0, 'right (first column), largest difference': 0.0}
    """
    return [*c3a_errata.ERRATA, *cdvft_errata.ERRATA]
