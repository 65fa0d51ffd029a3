"""Each erratum has a kind and a proof that fits it; the errata cover the audit, and pages agree with them."""

import re
from collections import Counter

import pytest

from circpeft import papers, results

ERRATA = papers.errata()
PROOFS = {e.key: e.proof() for e in ERRATA}


def figures(key: str, start: str) -> list[float]:
    """Return the figures of a proof whose name begins with a word."""
    return [value for name, value in PROOFS[key].items() if re.match(rf"{re.escape(start)}\b", name)]


@pytest.mark.parametrize("erratum", ERRATA, ids=lambda e: e.key)
def test_an_erratum_is_complete_and_proved(erratum):
    assert erratum.kind in papers.KINDS and erratum.paper in ("c3a", "cdvft")
    assert erratum.printed and erratum.right and erratum.place
    assert PROOFS[erratum.key] and all(isinstance(value, (int, float)) for value in PROOFS[erratum.key].values())


@pytest.mark.parametrize("erratum", ERRATA, ids=lambda e: e.key)
def test_the_proof_fits_the_kind(erratum):
    found = {start: figures(erratum.key, start) for start in papers.PROVED_BY[erratum.kind]}
    assert all(found.values()), f"a proof of this kind has figures that begin with {list(found)}"
    if erratum.kind == "mistake":
        assert set(found["as printed"]) != set(found["right"])
    elif erratum.kind == "difference between versions":
        assert found["first version"] != found["later version"]
    elif erratum.kind == "omission":
        assert 0 <= found["printed"][0] < found["needed"][0]
    elif erratum.kind == "overstated claim":
        assert 1 <= found["counterexamples"][0] <= found["of"][0]


def test_keys_are_unique_and_every_kind_occurs():
    keys = [e.key for e in ERRATA]
    assert len(set(keys)) == len(keys) >= 30
    assert {e.kind for e in ERRATA} == set(papers.KINDS)


def test_every_figure_that_does_not_match_has_an_erratum_at_its_place():
    for row in papers.audit():
        if row.verdict in ("misprint", "contradicts_text"):
            place = f"Table {row.table}" if row.table in ("1", "2", "3", "4") else row.table
            number = place.removeprefix("section ")
            places = [e.place for e in ERRATA if e.paper == row.paper and e.kind in ("mistake", "overstated claim")]
            assert any(place in p or ("section" in p and number in p) for p in places), (place, row.row)


def test_most_figures_and_claims_match():
    """As docs/errata.md says, of both papers."""
    for paper in ("c3a", "cdvft"):
        verdicts = [row.verdict for row in papers.audit() if row.paper == paper and row.verdict != "measured"]
        assert verdicts.count("match") > len(verdicts) / 2


# Figures in the words of the errata, recomputed here from the print.
WORDS = {
    "factor-of-ten": (f"{1.41e9 / 2.72e6:.0f}", "518"),
    "less-flops": (f"{2.72 / 0.61:.1f} {0.05 / 0.03:.1f} {0.06 / 0.03:.0f} {0.17 / 0.01:.0f} {0.22 / 0.01:.0f}",
                   "4.5 1.7 2 17 22"),
    "similar-parameters": (
        f"{0.79 / 0.06:.0f} {1.05 / 0.06:.1f} {64 * 3 * 4096 / 64e3:.1f} {64 * (2 + 2) * 4096 / 64e3:.1f}",
        "13 17.5 12.3 16.4",
    ),
    "similar-or-more": (f"{295 / 111:.1f} {786 / 393:.0f} {166 / 111:.1f} {442 / 393:.1f}", "2.7 2 1.5 1.1"),
    "consistently": (f"83.34 83.35 83.38 {3 + 2 + 1 + 3 + 2 + 4} {24 + 12 + 12}", "83.34 83.35 83.38 15 48"),
    "significantly": (f"{3 + 2} {6 + 6}", "5 12"),
    "vera-comparison": (f"{3 * 768 / (256 + 768):.2f} {2.72 / 9.48:.2f}", "2.25 0.29"),
    "only-half": (f"{221 / 590:.3f}", "0.375"),
}  # fmt: skip


@pytest.mark.parametrize("key", WORDS)
def test_figures_in_words_are_those_of_the_print(key):
    computed, words = WORDS[key]
    assert computed == words
    right = next(e.right for e in ERRATA if e.key == key)
    assert all(re.search(rf"(?<![\d.]){re.escape(word)}(?!\d)", right) for word in words.split())


def test_the_readme_counts_the_errata():
    """The README's words on mistakes of a paper are an erratum, and its counts are those of `errata()`."""
    readme = (results.ROOT / "README.md").read_text(encoding="utf-8")
    counts = Counter(e.kind for e in ERRATA)
    text = f"{counts['mistake']} mistakes, {counts['overstated claim']} overstated claims"
    assert text in " ".join(readme.split())
    transpose = next(e for e in ERRATA if e.key == "transpose")
    assert transpose.kind == "mistake" and "printed equation for the input gradient lacks a transpose" in " ".join(
        readme.split()
    )
