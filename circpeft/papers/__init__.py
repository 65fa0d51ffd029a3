"""The printed figures of both papers recomputed: an audit of every figure, and the errata with their proofs."""

from .audit import VERDICTS, Row, audit
from .errata import Erratum, errata

__all__ = ["VERDICTS", "Erratum", "Row", "audit", "errata"]
