"""The guides: the formulas of the notation page hold, and the figures of the page on the papers have a source."""

import json
import re

import pytest
import torch
from torch.fft import irfft, rfft

import circpeft
from circpeft import papers, results


def row(page: str, title: str) -> list[str]:
    """Return the cells of a table's row as code, without the first."""
    [line] = re.findall(rf"^\| {re.escape(title)} \| (.*) \|$", (results.ROOT / page).read_text(), re.MULTILINE)
    return re.findall(r"`([^`]+)`", line)


@pytest.mark.parametrize("d", [1, 2, 5, 8])
@pytest.mark.parametrize("column", [0, 1])
def test_the_formulas_of_the_layouts_are_the_products_and_their_gradients(d, column):
    layout = ("row", "column")[column]
    kernel, x = (torch.randn(d, dtype=torch.float64, requires_grad=True) for _ in range(2))
    g = torch.randn(d, dtype=torch.float64)
    matrix = circpeft.circulant(kernel, layout)
    names = {
        "w": kernel.detach(),
        "c": kernel.detach(),
        "x": x.detach(),
        "g": g,
        "rfft": rfft,
        "conj": torch.conj,
        "irfft": lambda spectrum: irfft(spectrum, n=d),
    }
    forward, of_input, of_kernel = (
        eval(row("docs/notation.md", title)[column], names)
        for title in ("forward", "gradient of the input", "gradient of the kernel")
    )
    product = matrix @ x
    true_x, true_kernel = torch.autograd.grad(product, (x, kernel), g)
    assert torch.allclose(forward, product.detach()) and torch.allclose(of_input, true_x)
    assert torch.allclose(of_kernel, true_kernel)
    entry = row("docs/notation.md", "entry `C[i, j]`")[column].replace(" mod d", f" % {d}")
    for i in range(d):
        for j in range(d):
            assert eval(entry, {**names, "i": i, "j": j}) == matrix[i, j]


def untold() -> str:
    return " ".join((results.ROOT / "docs" / "untold.md").read_text(encoding="utf-8").split())


def test_the_spread_of_one_kernel_per_layer_is_that_of_the_record():
    rows = json.loads((results.ROOT / "benchmarks" / "results" / "word_problems.json").read_text(encoding="utf-8"))
    scores = {label: [row["test_score"] for row in rows if row["label"] == label] for label in ("c3a", "lora")}
    assert len(scores["c3a"]) == 5
    assert f"from {min(scores['c3a']):.3f} to {max(scores['c3a']):.3f}" in untold()
    assert max(scores["lora"]) - min(scores["lora"]) < 0.02  # "hardly differ"


def test_figures_about_the_papers_are_those_of_the_errata():
    """The page adds what follows; it has no figure of its own about a paper."""
    errata = " ".join(f"{entry.printed} {entry.right}" for entry in papers.errata())
    text = untold()
    for figure in ("518", "519", "7.26M", "4.11M", "83.34", "83.35", "83.38", "3 d - 2"):
        assert figure in errata, figure
        assert figure.replace(" d ", "d ") in text, figure
