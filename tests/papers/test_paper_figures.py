"""Figures rebuilt from printed data have the printed values."""

import pytest

from circpeft import papers
from circpeft.papers.claims import printed_table
from circpeft.papers.numbers import agrees


def test_c3a_figure_1_has_the_figures_of_table_2():
    """C3A b=768/6: 94.20, 86.67, 92.32 and 77.18 are averaged; its CoLA is 62.48, its STS-B 90.16."""
    figure = papers.c3a_figure_1()
    values = {name: by_method["C3A b=768/6"] for name, by_method in figure.items()}
    expected = ((94.20 + 86.67 + 92.32 + 77.18) / 4, 90.16, 62.48, 111.0, 12.72)
    assert list(values.values()) == pytest.approx(expected)
    assert all(list(by_method) == list(figure["Acc"]) and len(by_method) == 8 for by_method in figure.values())


def test_cdvft_figure_2b_agrees_with_table_2():
    printed = printed_table("cdvft", "2")
    rows = {"lora": "LoRA", "vera": "VeRA", "fourierft": "FourierFT", "cdvft": "CDVFT p=768"}
    for method, counts in papers.cdvft_figure_2("vit-base").items():
        assert all(agrees(printed[rows[method], c], n) for c, n in zip(("Param.", "FLOPs"), counts, strict=True))


def test_cdvft_figure_2a_gives_the_ratios_of_section_4_1():
    """ "according to Fig. 2 ... 5.33x ... 51.89x": the first as printed, the second ten times."""
    figure = papers.cdvft_figure_2("roberta-base")
    assert agrees("5.33x", figure["lora"][0] / figure["cdvft"][0])
    assert agrees("51.89x", figure["fourierft"][1] / figure["cdvft"][1] / 10)
    assert figure["lora"][0] == max(n for n, _ in figure.values())
    assert figure["fourierft"][1] == max(f for _, f in figure.values())


def test_an_unknown_model_is_named_with_the_choices():
    with pytest.raises(ValueError, match="no model 'llama2-7b'; choices: roberta-base, vit-base"):
        papers.cdvft_figure_2("llama2-7b")
