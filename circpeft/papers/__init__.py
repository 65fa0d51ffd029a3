"""The papers' printed figures, recomputed: an audit of every one, and the list of their mistakes with proofs."""

from .audit import VERDICTS, Row, audit
from .errata import Erratum, errata

__all__ = ["VERDICTS", "Erratum", "Row", "audit", "errata"]
