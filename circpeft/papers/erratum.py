"""The entry of the errata: its kind, what is printed, what holds, and the computation that proves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# Kind -> the names with which figures of its proof begin; see `Erratum`.
PROVED_BY: dict[str, tuple[str, ...]] = {
    "mistake": ("as printed", "right"),
    "difference between versions": ("first version", "later version"),
    "omission": ("needed", "printed"),
    "overstated claim": ("counterexamples", "of"),
    "observation": (),
}
KINDS = tuple(PROVED_BY)


@dataclass(frozen=True)
class Erratum:
    """One statement of a paper, and what holds.

    Attributes:
        key: its name.
        paper: "c3a" (arXiv 2407.19342) or "cdvft" (arXiv 2505.00580).
        kind: one of `KINDS`. The proof of a mistake evaluates what is printed and what is right, and the two differ. A
            difference between versions has a figure of each version. An omission counts what is needed, and the part
            of it that is printed. An overstated claim has counterexamples, and the number of cases. An observation is
            no fault of the paper: a fact that readers need and the paper does not state.
        place: section, equation, table or figure; of C3A's later version unless the first one is named.
        printed: what the paper says.
        right: what holds.
        proof: a function that computes and returns figures by name, and raises AssertionError if they prove nothing.
    """

    key: str
    paper: str
    kind: str
    place: str
    printed: str
    right: str
    proof: Callable[[], dict[str, float]]
