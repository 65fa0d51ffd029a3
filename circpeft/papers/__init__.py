"""The papers recomputed: an audit of their figures and claims, and the errata with their proofs."""

from .audit import VERDICTS, Row, audit
from .errata import errata
from .erratum import KINDS, PROVED_BY, Erratum
from .versions import Difference, version_differences

__all__ = [
    "KINDS",
    "PROVED_BY",
    "VERDICTS",
    "Difference",
    "Erratum",
    "Row",
    "audit",
    "errata",
    "version_differences",
]
