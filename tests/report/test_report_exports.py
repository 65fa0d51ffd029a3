"""Exported files, read back, and the page in a browser without a network."""

import json
import os
import re
import shutil
from html.parser import HTMLParser

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from circpeft import recipes, report
from circpeft.escaping import csv_cell

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def found(folder):
    folder.scored("LoRA", "SST-2", [0.94, 0.95, 0.951])
    folder.scored("CDVFT p=768", "SST-2", [0.9412345678901, 0.9], label="cdvft:block_size=768", parameters=36_864)
    folder.failed("bad", error="RuntimeError: <b>no & room</b>", label="boft")
    folder.cell("VeRA", "SST-2", "bad", 0, label="vera")
    folder.left_out = [{"row": "FF", "column": "", "reason": "too expensive"}]
    folder.sweep()
    (folder.path / "results" / "half.json").write_text("{")
    return report.scan(folder.path.parent)


def test_csv_reads_back_to_the_table(found, tmp_path):
    path = report.export(found, "cdvft-1", "csv", tmp_path / "t.csv")
    read = pd.read_csv(
        path, keep_default_na=False, na_values={n: [""] for n in ("ours", "spread", "difference", "printed_value")}
    )
    pd.testing.assert_frame_equal(read, report.compared(found, "cdvft-1"), check_dtype=False)
    runs = pd.read_csv(report.export(found, None, "csv", tmp_path / "r.csv"))
    assert list(runs.test_score) == [run.result.test_score for run in found.runs]


@pytest.mark.parametrize("table", sorted(recipes.TABLES))
def test_every_printed_table_has_its_cells_in_the_csv_file(table, tmp_path):
    """Some printed cells begin with "-": only those get the apostrophe that keeps a spreadsheet from computing."""
    texts = ["row", "column", "kind", "printed", "label", "metric", "reason"]
    path = report.export(report.empty(), table, "csv", tmp_path / "t.csv")
    read = pd.read_csv(path, dtype=dict.fromkeys(texts, str)).fillna(dict.fromkeys(texts, ""))
    frame = report.compared(report.empty(), table)
    pd.testing.assert_frame_equal(read, frame.map(csv_cell), check_dtype=False)
    changed = read.printed != frame.printed
    assert list(read.printed[changed]) == ["'" + text for text in frame.printed[changed]]


def test_json_reads_back_to_the_table(found, tmp_path):
    data = json.loads(report.export(found, "cdvft-1", "json", tmp_path / "t.json").read_text())
    assert data["sweep"]["statistic"] == "median"
    frame = report.compared(found, "cdvft-1")
    pd.testing.assert_frame_equal(pd.DataFrame(data["cells"]), frame, check_dtype=False)
    data = json.loads(report.export(found, None, "json", tmp_path / "r.json").read_text())
    assert [len(data[name]) for name in ("runs", "sweeps", "failures", "problems")] == [5, 1, 1, 1]
    assert data["failures"][0]["error"] == "RuntimeError: <b>no & room</b>"


def test_markdown_reads_back_to_the_wide_table(found, tmp_path):
    text = report.export(found, "cdvft-1", "markdown", tmp_path / "t.md").read_text()
    rows = [[c.strip().replace(r"\|", "|") for c in re.split(r"(?<!\\)\|", row)[1:-1]] for row in text.splitlines()]
    wide = report.wide(report.compared(found, "cdvft-1"))
    assert rows[0] == ["row", *wide.columns] and set(rows[1]) == {"---"}
    assert [row[1:] for row in rows[2:]] == wide.to_numpy().tolist() and [row[0] for row in rows[2:]] == list(
        wide.index
    )
    assert "95.1±0.2 | 95.0±0.6 (-0.1)" in rows[3]


def test_latex_reads_back_to_the_wide_table(found, tmp_path):
    text = report.export(found, "c3a-2", "latex", tmp_path / "t.tex").read_text()
    assert r"\# Trainable Parameters" in text and "booktabs" not in text and r"\toprule" in text
    text = report.export(found, "cdvft-1", "latex", tmp_path / "t.tex").read_text()
    rows = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    plain = [row.removesuffix(r" \\").replace(r"$\pm$", "±").replace(r"$\mid$", "|").split(" & ") for row in rows]
    wide = report.wide(report.compared(found, "cdvft-1")).reset_index()
    assert plain == wide.to_numpy().tolist()
    assert r"lora:r=8" in report.export(found, None, "latex", tmp_path / "r.tex").read_text()


def test_html_reads_back_to_the_numbers(found, tmp_path):
    soup = BeautifulSoup(report.export(found, "cdvft-1", "html", tmp_path / "t.html").read_text(), "html.parser")
    wide, long, runs = soup.find_all("table")[:3]
    cell = {row.th.text: row.find_all("td") for row in wide.tbody.find_all("tr")}["LoRA"][0]
    assert [part.text for part in cell.find_all("span")] == ["95.1±0.2", "95.0±0.6", "(-0.1)"]
    heads = [head.text for head in long.thead.find_all("th")]
    rows = [dict(zip(heads, row.find_all("td"), strict=True)) for row in long.tbody.find_all("tr")]
    frame = report.compared(found, "cdvft-1")
    for name in ("ours", "spread", "difference"):
        values = pd.Series([float(row[name]["data-v"]) for row in rows], name=name)
        pd.testing.assert_series_equal(values, frame[name])
    assert [row["printed"].text for row in rows] == list(frame.printed)
    at = [head.text for head in runs.thead.find_all("th")].index("test_score")
    scores = [float(row.find_all("td")[at]["data-v"]) for row in runs.tbody.find_all("tr")]
    assert scores == [run.result.test_score for run in found.runs]


class Resources(HTMLParser):
    """A parser that collects every address that a browser could load, and the sort keys of the cells."""

    def __init__(self):
        super().__init__()
        self.loaded, self.cells = [], []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.loaded += [values[n] for n in ("src", "href", "srcset", "data", "action", "poster") if n in values]
        self.cells += [float(values["data-v"])] if values.get("data-v") else []


def test_the_page_loads_nothing_from_a_network(found, tmp_path):
    text = report.export(found, None, "html", tmp_path / "t.html").read_text()
    parser = Resources()
    parser.feed(text)
    assert len(parser.loaded) > 8
    assert all(value.startswith(("data:", "#")) for value in parser.loaded)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(|https?://", text)
    assert any(value == pytest.approx(94.12345678901 / 2 + 45) for value in parser.cells)


def test_the_page_lists_failures_escaped(found, tmp_path):
    text = report.page(found)
    assert "RuntimeError: &lt;b&gt;no &amp; room&lt;/b&gt;" in text and "<b>no" not in text
    assert "half.json" in text and "too expensive" in text and "1 failed" in text
    assert "No sweep of this table was found: only the printed values" in report.page(report.empty(), "cdvft-2")


@pytest.mark.parametrize("format", report.FORMATS)
def test_an_empty_report_can_be_written(format, tmp_path):
    for table in (None, "cdvft-1"):
        assert report.export(report.empty(), table, format, tmp_path / "t").read_text()


def test_wrong_names_raise_before_the_file_is_touched(found, tmp_path):
    path = tmp_path / "t"
    path.write_text("mine")
    with pytest.raises(ValueError, match="unknown format 'cvs'; did you mean 'csv'"):
        report.export(found, None, "cvs", path)
    with pytest.raises(ValueError, match="unknown table 'cdvft-9'"):
        report.export(found, "cdvft-9", "html", path)
    assert path.read_text() == "mine" and os.listdir(tmp_path).count("t") == 1


@pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CIRCPEFT_REQUIRE_BROWSER"),
    reason="chromium is not on the PATH; on Debian: apt-get install chromium",
)
def test_the_page_in_a_browser_without_a_network(found, tmp_path):
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "CIRCPEFT_REQUIRE_BROWSER is set, but chromium is not on the PATH"
    path = report.export(found, None, "html", tmp_path / "t.html")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(offline=True).new_page()
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.as_uri())
        pictures = page.locator("img").all()
        for picture in pictures:
            picture.scroll_into_view_if_needed()
            assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
        assert len(pictures) == 6
        runs = page.locator("#runs + .wide table")
        scores = runs.locator("tbody tr td:nth-child(7)")
        head = runs.locator("thead th", has_text="test_score")
        for order in (False, True):
            head.click()
            values = [float(value) for value in scores.all_text_contents()]
            assert values == sorted(values, reverse=order) and len(values) == 5
        page.fill("#filter", "cdvft:block_size=768")
        assert runs.locator("tbody tr:visible").count() == 2
        assert all(url.startswith(("file:", "data:")) for url in asked) and not errors
        browser.close()
