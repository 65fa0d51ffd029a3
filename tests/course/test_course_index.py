"""The pages of a course run: results, links and formulas, without any network request."""

import base64
import json
import re
import shutil

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from circpeft import plots
from circpeft.course import index, mathml, notebook_page
from circpeft.places import clone

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TEXT = r"""# The product $C(w)x$

Inline $\Delta h = \frac{\alpha}{d} C_{\text{row}}(w)\, x$, a price of \$5, and code `$w$`.

$$\begin{aligned} C &= \begin{pmatrix} w_0 & w_1 \\ w_1 & w_0 \end{pmatrix} \\ y &= \overline{C} x \end{aligned}$$

\begin{align} a &= b \end{align}

<details><summary>Hint: $z^2$</summary>
in HTML $u_k$ and <code>$v$</code>, <a href="#" title="$t$">a link</a>
</details>

```python
price = "$1$"
```

Next: [C3A](02_c3a.ipynb#idea), and [elsewhere](https://example.org/x.ipynb).

A command nobody knows: $\nosuchcommand{x}$.
"""


def record(**changes):
    values = {"task": "toy", "method": "c3a", "label": "c3a", "seed": 0, "metric": "accuracy", "score": 0.5}
    values |= {"test_score": 0.25, "trainable_parameters": 1536, "seconds": 3.0, "peak_bytes": 2**20}
    values |= {"start_score": 0.5, "best_epoch": 1, "head_parameters": 2, "tokens_per_second": 1.0, "schema": 3}
    values |= {"flops_per_token": None, "base_flops_per_token": None, "rows": {"train": 1, "validation": 1, "test": 1}}
    values |= {"split": "", "settings": {"hyperparameters": {}, "model": "bert"}, "device": "CPU", "versions": {}}
    return values | {"commit": "", "code": "", "data": "", "finished": ""} | changes


def run_record(*names):
    entry = {
        "status": "ok",
        "seconds": 1.25,
        "device": "CPU, 2 threads",
        "versions": {"torch": "2.13.0"},
        "commit": "abc",
    }
    return {
        "profile": "smoke",
        "status": "finished",
        "started": "2026-01-02T03:04:05+00:00",
        "parameters": {"profile": "smoke", "seeds": 3},
        "notebooks": [{"name": name, **entry} for name in names],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run's folder with one executed notebook, its page, three records and two files that are not records."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "results").mkdir()
    (folder / "html").mkdir()
    picture = new_output(
        "display_data",
        data={"application/vnd.plotly.v1+json": {"data": []}, "image/png": PNG, "text/plain": 'Figure: "a" < b'},
    )
    widget = new_output(
        "display_data",
        data={"application/vnd.jupyter.widget-view+json": {"model_id": "m"}, "text/plain": "slider words"},
    )
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "b"}}
    box = new_output("display_data", data=view | {"text/plain": "VBox(children=(HBox(children=(Dropdown(desc"})
    latex = new_output("display_data", data={"text/latex": r"$\displaystyle \int x$", "text/plain": "<Math>"})
    cells = [new_markdown_cell(TEXT), new_code_cell("1 + 1", outputs=[picture, widget, box, latex])]
    metadata = {"widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}, "version_major": 2}}}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), str(folder / "01_a & b.ipynb"))
    notebook_page.write_page(folder / "01_a & b.ipynb", folder / "html" / "01_a & b.html")
    records = [record(), record(seed=1, score=0.75), record(method="lora", label="lora:r=8", score=0.875, peak_bytes=0)]
    for i, each in enumerate(records):
        (folder / "results" / f"{i}.json").write_text(json.dumps(each))
    (folder / "results" / "half.json").write_text('{"task": ')
    (folder / "results" / "other.json").write_text('{"task": "toy", "seed": 1}')
    index.write(folder, run_record("01_a & b", "02_pending"))
    return folder


def rows_of(page):
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)] for row in rows]


def test_the_index_shows_results_with_spread_over_seeds(folder):
    rows = rows_of((folder / "index.html").read_text())
    assert ["toy", "lora:r=8", "", "accuracy", "1", "0.875", "0.250", "1,536", "3", "not recorded"] in rows
    scores = ["0.625 [0.500,\xa00.750]", "0.250 [0.250,\xa00.250]"]
    assert ["toy", "c3a", "", "accuracy", "2", *scores, "1,536", "3", "1\xa0MiB"] in rows


def test_the_index_links_existing_pages_and_names_files_that_are_not_records(folder):
    page = (folder / "index.html").read_text()
    assert 'href="html/01_a%20%26%20b.html"' in page and 'href="01_a%20%26%20b.ipynb"' in page
    assert "02_pending" in page and "html/02_pending" not in page
    assert "half.json: " in page and "other.json: has schema None, expected 3" in page
    assert (
        "Started 2026-01-02 03:04 UTC." in page
        and "UTC. Parameters: seeds = 3.</p>" in page
        and "CPU, 2 threads; commit abc; torch 2.13.0" in page
    )


def test_a_picture_of_a_page_has_an_alternative_text(folder):
    page = (folder / "html" / "01_a & b.html").read_text(encoding="utf-8")
    pictures = BeautifulSoup(page, "html.parser").select("img")
    assert [picture["alt"] for picture in pictures] == ['Figure: "a" < b'] and PNG in pictures[0]["src"]


def test_the_whiskers_of_the_chart_reach_from_the_lowest_to_the_highest_score(monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "bars", lambda values, spread, **texts: drawn.append((values, spread)))
    monkeypatch.setattr(plots, "static", lambda figure: b"")
    index._picture(index.summarise([record(seed=seed, score=score) for seed, score in enumerate((0.5, 0.875, 0.875))]))
    ((values, spread),) = drawn
    below, above = spread["c3a"]["toy"]
    assert values["c3a"]["toy"] - below == 0.5 and values["c3a"]["toy"] + above == 0.875


def test_the_picture_is_a_png(folder):
    encoded = re.search(r"data:image/png;base64,([^\"]+)", (folder / "index.html").read_text())[1]
    assert base64.b64decode(encoded).startswith(b"\x89PNG")


def test_a_run_without_results_has_a_page(tmp_path):
    (tmp_path / "results").mkdir()
    page = index.write(tmp_path, run_record("01_x")).read_text()
    assert "Results" not in page and "01_x" in page


def test_records_with_different_settings_are_different_rows():
    settings = {"target_modules": ["query", "key"], "learning_rate": 0.1}
    records = [record(settings={**settings, "seed": seed}, seed=seed) for seed in (0, 1)]
    records.append(record(settings={**settings, "learning_rate": 0.2, "seed": 0}, score=0.25))
    rows = index.summarise(records)
    assert [(row["name"], row["seeds"], row["layers"]) for row in rows] == [
        ("c3a", 2, "query, key"),
        ("c3a #2", 1, "query, key"),
    ]


def test_formulas_become_mathml_and_code_does_not_change(folder):
    page = (folder / "html" / "01_a & b.html").read_text()
    assert page.count("<math") == 7  # title, inline, aligned, align, two in the HTML block, the output
    for kept in ("<code>$w$</code>", "<code>$v$</code>", 'title="$t$"', r"<code>\nosuchcommand{x}</code>", "$5"):
        assert kept in page
    assert "$1$" in page
    text = re.sub(r"<(code|pre|style)\b.*?</\1>|<[^>]+>", "", page, flags=re.DOTALL)
    assert "\\" not in text and "$C" not in text and "$z" not in text


@pytest.mark.parametrize(
    "latex",
    [
        r"\Delta W = \frac{\alpha}{d_{\text{in}}}\, C_{\mathrm{row}}(w)",
        r"\operatorname{irfft}(\overline{\operatorname{rfft}(w)} \odot \operatorname{rfft}(x))",
        r"\operatorname*{arg\,max}_{i} \lVert x_i \rVert_2",
        r"\begin{gathered} a \\ b \end{gathered}",
        r"\cos(2 \arg \hat w_k)",
        r"C_{ij} = w_{(j-i) \bmod b} \in \mathbb{R}^{m \times n \times b}",
    ],
)
def test_formulas_of_the_course_are_converted(latex):
    assert mathml.formula(latex, block=True).startswith('<math display="block">')


def test_an_overline_covers_its_whole_formula():
    converted = mathml.formula(r"\overline{wx} y")
    assert re.search(r'<mover><mrow style="border-top: [^"]*"><mi>w</mi><mi>x</mi></mrow><mspace', converted)


@pytest.mark.parametrize("latex", [r"\frac{", r"x_", r"\nosuchcommand", r"\begin{nosuch} a & b \end{nosuch}"])
def test_a_formula_that_cannot_be_converted_shows_its_source(latex):
    assert mathml.formula(latex) == f"<code>{latex.replace('&', '&amp;')}</code>"


def test_links_between_notebooks_become_links_between_pages(folder):
    page = (folder / "html" / "01_a & b.html").read_text()
    assert 'href="02_c3a.html#idea"' in page and 'href="https://example.org/x.ipynb"' in page


def test_a_link_to_a_page_of_the_repository_leads_there_from_any_folder():
    target = notebook_page.address("../docs/errata.md#mistakes")
    assert target == (clone() / "docs" / "errata.md").as_uri() + "#mistakes"


def test_static_outputs_replace_those_that_need_a_script(folder):
    page = (folder / "html" / "01_a & b.html").read_text()
    assert PNG in page and "slider words" in page
    assert "Interactive controls: open this notebook in JupyterLab (circpeft lab)." in page and "VBox(" not in page
    assert "<script" not in page


def test_pages_make_no_network_request(folder):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    requested = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: requested.append(request.url))
        page.goto((folder / "index.html").as_uri())
        page.click("text=01_a & b")
        page.wait_for_load_state("networkidle")
        formula = page.locator("math").first.bounding_box()
        browser.close()
    assert formula["width"] > 20 and formula["height"] > 5
    assert len([url for url in requested if url.startswith("file:")]) >= 2
    assert [url for url in requested if not url.startswith(("file:", "data:"))] == []
