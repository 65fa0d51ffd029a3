"""Every printed figure has one row, and its verdict agrees with independent arithmetic."""

from collections import Counter
from itertools import combinations
from math import isclose, log2

import pytest

from circpeft import papers
from circpeft.papers.numbers import agrees, half_unit, is_number, number
from circpeft.papers.printed import FIRST_VERSION, TABLES, cells, first_version_cells

ROWS = papers.audit()


def find(paper, table, row, column):
    (match,) = [r for r in ROWS if (r.paper, r.table, r.row, r.column) == (paper, table, row, column)]
    return match


def test_every_cell_of_the_tables_has_one_row_and_a_verdict():
    assert len(TABLES) == 7
    keys = Counter((r.paper, r.table, r.row, r.column) for r in ROWS)
    assert set(keys.values()) == {1}
    for cell in [*cells(), *first_version_cells()]:
        assert find(cell.paper, cell.table, cell.row, cell.column).printed == cell.printed
    assert {r.verdict for r in ROWS} == set(papers.VERDICTS)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.paper}-{r.table}-{r.row}-{r.column}")
def test_a_verdict_follows_from_the_figures(row):
    if row.verdict in ("match", "contradicts_text", "misprint"):
        assert row.computed is not None and row.formula
    if row.verdict in ("not_derivable", "misprint") or (row.verdict == "contradicts_text" and row.table in "1234"):
        assert row.note, "a note must say what is missing, or what differs"
    if not is_number(row.printed) or row.computed is None:
        return
    assert agrees(row.printed, row.computed) == (row.verdict != "misprint")
    if row.stated is not None and row.verdict != "misprint":
        assert agrees(row.printed, row.stated) == (row.verdict == "match")


# (paper, table, row, column) -> value, computed here from the papers' formulas and not by the package.
D, F = 4096, 11008
SQUARE_AND_FFN = [(D, D)] * 3 + [(D, F), (F, D)]  # q, k, v, up, down


def cdvft_flops(d_in, d_out, p):
    q1, q2 = d_out / p, d_in / p
    return 5 * p * log2(p) * (q1 * q2 + q1 + q2) + q1 * q2 * p + d_in + 2 * d_out


BY_HAND = {
    ("c3a", "2", "base LoRA r=8", "# Trainable Parameters"): 24 * 2 * 768 * 8,
    ("c3a", "2", "base BitFit", "# Trainable Parameters"): 12 * 11 * 768 + 768,
    ("c3a", "2", "large (IA)3", "# Trainable Parameters"): 24 * 12 * 1024,
    ("c3a", "2", "large BOFT m=2 b=8", "# Trainable Parameters"): 48 * 9 * 1024,
    ("c3a", "3", "LLaMA3-8B LoRA r=32", "# Trainable Parameters"): 32 * 32 * (8192 + 5120),
    ("c3a", "3", "LLaMA2-13B C3A b=5120/32", "# Trainable Parameters"): 80 * 5120 * 32,
    ("c3a", "4", "large C3A b=1024/16", "# Trainable Parameters"): 48 * 1024 * 16,
    ("c3a", FIRST_VERSION, "LoRA", "# Other"): 32,
    ("c3a", FIRST_VERSION, "VeRA", "# Total"): 2 * (1024 * D + 1024 + D),
    ("c3a", FIRST_VERSION, "C3A", "# Parameter"): 32 * D,
    ("c3a", FIRST_VERSION, "C3A", "Time"): 32 * D * log2(D / 32),
    ("cdvft", "2", "LoRA", "FLOPs"): 24 * (2 * 768 * 16 + 768),
    ("cdvft", "2", "FourierFT", "FLOPs"): 24 * (5 * log2(768**2) + 4) * 768**2,
    ("cdvft", "2", "CDVFT p=768", "FLOPs"): 24 * (15 * log2(768) + 4) * 768,
    ("cdvft", "3", "LoRA", "MT-Bench FLOPs"): 64 * (2 * D * 64 + D),
    ("cdvft", "3", "LoRA", "GSM8K FLOPs"): 32 * sum(8 * (i + o) + o for i, o in SQUARE_AND_FFN),
    ("cdvft", "3", "LaMDA", "GSM8K Param."): 32 * sum(32**2 + 0.15 * 32 * o for _, o in SQUARE_AND_FFN),
    ("cdvft", "3", "CDVFT p=2048", "GSM8K FLOPs"): 32 * sum(cdvft_flops(i, o, 2048) for i, o in SQUARE_AND_FFN),
    ("cdvft", "3", "CDVFT p=4096", "GSM8K Param."): 32 * (3 * 3 * D + 2 * (D + F + 9 * D)),
}


@pytest.mark.parametrize("place", BY_HAND, ids=str)
def test_computed_values_agree_with_the_formulas_by_hand(place):
    assert isclose(find(*place).computed, BY_HAND[place], rel_tol=1e-12)


FOURIER_OVER_CDVFT = (5 * log2(768**2) + 4) * 768**2 / ((15 * log2(768) + 4) * 768)
VERDICTS = {
    ("cdvft", "3", "LoRA", "MT-Bench Param."): ("contradicts_text", 64 * 2 * D * 8),
    ("cdvft", "3", "LoRA", "GSM8K Param."): ("contradicts_text", 32 * 64 * sum(i + o for i, o in SQUARE_AND_FFN)),
    ("cdvft", "3", "CDVFT p=2048", "GSM8K Param."): ("contradicts_text", 4_112_384),
    ("cdvft", "3", "CDVFT p=2048", "GSM8K FLOPs"): (
        "contradicts_text",
        32
        * sum(
            cdvft_flops(-(-i // 2048) * 2048, -(-o // 2048) * 2048, 2048)
            + i
            + 2 * o
            - -(-i // 2048) * 2048
            - 2 * -(-o // 2048) * 2048
            for i, o in SQUARE_AND_FFN
        ),
    ),
    ("c3a", "2", "base (IA)3", "# Trainable Parameters"): ("match", 12 * 12 * 768),
    ("cdvft", "section 1", "FLOPs against FourierFT", "RoBERTa base"): ("misprint", FOURIER_OVER_CDVFT),
    ("c3a", "abstract", "averages below LoRA's", "Tables 2 to 4"): ("contradicts_text", None),
    ("c3a", "section 4.3", "C3A ahead of LoRA", "all models"): ("match", None),
    ("c3a", "section 4.2", "full rank", "learnt matrices"): ("not_derivable", None),
    ("cdvft", "abstract", "FLOPs against LoRA", "Tables 2 and 3"): ("contradicts_text", None),
    ("cdvft", "section 3.4", "parameters against FourierFT", "Tables 2 and 3"): ("contradicts_text", None),
    ("cdvft", "section 4.2", "against LoRA and FourierFT", "two image sets"): ("not_derivable", None),
    ("cdvft", "3", "LaMDA++", "GSM8K Param."): ("not_derivable", None),
    ("cdvft", "section 4.2", "FLOPs against FourierFT", "ViT base"): ("misprint", FOURIER_OVER_CDVFT),
    ("c3a", "1", "C3A", "Time"): ("match", 8192 * 7 + D * D / 128),
    ("c3a", "2", "base Full", "Memory Cost (GB)"): ("measured", None),
}


@pytest.mark.parametrize("place", VERDICTS, ids=str)
def test_verdicts_where_print_and_text_differ(place):
    row, (verdict, stated) = find(*place), VERDICTS[place]
    assert row.verdict == verdict
    assert row.stated is None if stated is None else isclose(row.stated, stated, rel_tol=1e-12)


def test_all_printed_averages_are_means_of_their_rows():
    averages = [r for r in ROWS if r.column == "Avg."]
    assert len(averages) == 39 and {r.verdict for r in averages} == {"match"}


# (paper, table or place, row, column) -> the computed value, by hand from the printed tables.
COMPARISONS = {
    ("c3a", "section 4.3", "C3A ahead of LoRA", "all models"): 9,  # of 12: LoRA leads in three of LLaMA2-13B's
    ("c3a", "abstract", "averages below LoRA's", "Tables 2 to 4"): 1,  # 83.34 and 83.35
    ("c3a", "abstract", "scores below LoRA's", "Tables 2 to 4"): 3 + 2 + 1 + 3 + 2 + 4,
    ("c3a", "section 4.2", "ahead of every adapter on each task", "base b=768/6"): 3,  # not SST-2, QNLI, STS-B
    ("c3a", "section 4.2", "ahead of every adapter on each task", "large b=1024/8"): 4,  # not SST-2, MRPC
    ("cdvft", "abstract", "FLOPs against LoRA", "Tables 2 and 3"): 0.05 / 0.03,
    ("cdvft", "section 3.4", "parameters against FourierFT", "Tables 2 and 3"): 1.05 / 0.06,
}


@pytest.mark.parametrize("place", COMPARISONS, ids=str)
def test_comparisons_of_printed_figures(place):
    assert isclose(find(*place).computed, COMPARISONS[place], rel_tol=1e-12)


def test_lora_on_gsm8k_has_many_sets_of_layers_and_one_rank():
    """28.05M follows from rank 16 on three of four attention layers and two of three others: twelve sets."""
    kinds = {name: [(D, D)] for name in "qkvo"} | {"gate": [(D, F)], "up": [(D, F)], "down": [(F, D)]}
    sets = [chosen for k in range(1, 8) for chosen in combinations(kinds, k)]
    hits = {
        (chosen, r)
        for chosen in sets
        for r in (1, 2, 4, 8, 16, 32, 64, 128)
        if agrees("28.05M", 32 * r * sum(i + o for name in chosen for i, o in kinds[name]))
    }
    assert len(hits) == 12 and {r for _, r in hits} == {16}
    assert {(len(set(chosen) & set("qkvo")), len(chosen)) for chosen, _ in hits} == {(3, 5)}


def test_printed_numbers_are_parsed():
    assert isclose(number("133.14G"), 133.14e9) and isclose(half_unit("133.14G"), 0.005e9)
    assert not is_number("-") and not is_number("O(r(d1+d2))") and is_number("0")
    with pytest.raises(ValueError, match="not a printed figure: '1,5'"):
        number("1,5")
