"""The site: it builds without a warning, every link and picture is there, no page needs a network or raises an error.

`CIRCPEFT_SITE` names a site that is built already (`make test-full` gives the one with executed notebooks). Otherwise
the test builds one with the notebooks as they are in the repository, without outputs.
"""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from circpeft import results
from circpeft.course.pieces import palette

pytest.importorskip("myst_nb", reason="make site installs what the site needs")
CHROMIUM = shutil.which("chromium")
GIVEN = results.ROOT / os.environ["CIRCPEFT_SITE"] if os.environ.get("CIRCPEFT_SITE") else None
FROM_NETWORK = re.compile(r"(?:https?:)?//")


class Page(HTMLParser):
    """The links, the files and the names of one page, and what it lacks."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.files, self.names, self.undescribed, self.code = [], [], set(), [], []
        self.text, self._within = "", []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.names |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in ("img", "script", "source", "iframe") and given.get("src"):
            self.files.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "modulepreload"):
            self.files.append(given["href"])
        if (tag == "img" and not given.get("alt")) or (tag == "figure" and "aria-label" not in given):
            self.undescribed.append(str(given)[:200])
        if tag in ("pre", "code", "script", "style"):
            self._within.append(tag)

    def handle_endtag(self, tag):
        if self._within and self._within[-1] == tag:
            self._within.pop()

    def handle_data(self, data):
        if not self._within:
            self.text += data
        elif self._within == ["code"]:
            self.code.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    if GIVEN:
        return GIVEN
    folder = tmp_path_factory.mktemp("site") / "html"
    command = [sys.executable, results.ROOT / "docs" / "site" / "build.py", "--stripped", "--output", folder]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    assert done.returncode == 0, done.stderr[-4000:]  # a warning is an error
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "webpack-macros.html"}


def missing(path: Path, link: str, pages: dict[Path, Page]) -> bool:
    """Say whether a link of a page leads to no file, or to no place in its page."""
    parts = urlsplit(link)
    if parts.scheme in ("http", "https", "mailto", "data"):
        return False
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return True
    return bool(parts.fragment) and target in pages and unquote(parts.fragment) not in pages[target].names


def test_the_crawler_finds_what_is_missing(tmp_path):
    text = '<a href="b.html#x">b</a><img src="c.png"><script src="//cdn.org/a.js"></script><p>$x$ <code>\\frac</code>'
    for name in ("a.html", "b.html"):
        (tmp_path / name).write_text(text)
    pages = {path.resolve(): Page(path) for path in tmp_path.iterdir()}
    first = (tmp_path / "a.html").resolve()
    page = pages[first]
    assert page.links == ["b.html#x"] and page.files == ["c.png", "//cdn.org/a.js"] and len(page.undescribed) == 1
    assert missing(first, "b.html#x", pages) and missing(first, "c.png", pages) and not missing(first, "b.html", pages)
    assert FROM_NETWORK.match(page.files[1]) and page.text == "b$x$ " and page.code == ["\\frac"]


def test_every_notebook_page_and_table_of_results_is_on_the_site(site):
    sources = [*results.ROOT.glob("docs/*.md"), *results.ROOT.glob("notebooks/*.ipynb")]
    sources += [*results.ROOT.glob("benchmarks/results/*.md"), *results.ROOT.glob("*.md")]
    absent = [path for path in sources if not (site / path.relative_to(results.ROOT)).with_suffix(".html").is_file()]
    assert len(sources) > 40 and not absent


def test_every_link_leads_somewhere(pages):
    broken = {
        f"{path.name}: {link}" for path, page in pages.items() for link in page.links if missing(path, link, pages)
    }
    assert broken == set()


def test_every_picture_and_script_is_a_file_of_the_site(pages):
    absent = {
        f"{path.name}: {file}" for path, page in pages.items() for file in page.files if missing(path, file, pages)
    }
    assert absent == set()
    assert {file for page in pages.values() for file in page.files if FROM_NETWORK.match(file)} == set()


def test_every_picture_has_an_alternative_text(pages):
    assert {f"{path.name}: {text}" for path, page in pages.items() for text in page.undescribed} == set()


def test_every_formula_is_shown_as_one(pages):
    """A formula that could not be converted is code with a backslash, or text between dollar signs."""
    latex = re.compile(r"\\(frac|begin|sum|text|mathbb|odot|hat|partial|operatorname|left|cdot)\b")
    assert {(path.name, code) for path, page in pages.items() for code in page.code if latex.search(code)} == set()
    left = {(path.name, found) for path, page in pages.items() for found in re.findall(r"\$[^$\n]{1,60}\$", page.text)}
    assert left == set()


def test_the_api_reference_has_every_public_name(pages):
    import circpeft

    names = set().union(*(page.names for path, page in pages.items() if path.parent.name == "api"))
    assert {f"circpeft.{name}" for name in circpeft.__all__} <= names
    for module in ("costs", "papers", "plots", "recipes"):
        assert {f"circpeft.{module}.{name}" for name in getattr(circpeft, module).__all__ if name.islower()} <= names


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None and not os.environ.get("CIRCPEFT_REQUIRE_BROWSER"):
        pytest.skip("no chromium on the PATH; on Debian: apt-get install chromium")
    assert CHROMIUM, "CIRCPEFT_REQUIRE_BROWSER is set and there is no chromium on the PATH"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


# A few pages in every run; all of them for a site that is given.
OPENED = ["README.html", "docs/errata.html", "docs/site/api/package.html"]
if GIVEN:
    OPENED = sorted(path.relative_to(GIVEN).as_posix() for path in GIVEN.rglob("*.html") if "_static" not in path.parts)


@pytest.fixture
def opened(browser, site, tmp_path):
    """Open pages of the site in a window of 1300 pixels; yield the function, and fail after the test on any error.

    A picture of the page as it was at the end is in the test's folder.
    """
    context = browser.new_context(viewport={"width": 1300, "height": 1000}, color_scheme="dark")
    page, faults = context.new_page(), []
    page.on("console", lambda message: message.type == "error" and faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: FROM_NETWORK.match(request.url) and faults.append(request.url))

    def visit(address: str):
        page.goto(f"{site.as_uri()}/{address}")
        return page

    yield visit
    page.screenshot(path=tmp_path / "page.png")
    context.close()
    assert faults == []


@pytest.mark.parametrize("address", OPENED)
def test_a_page_opens_without_an_error_and_is_not_wider_than_the_window(opened, address):
    page = opened(address)
    page.locator("main h1").first.wait_for()  # index.html leads to the first page
    page.wait_for_load_state("load")
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1300


def test_the_search_finds_pages_without_a_server(opened):
    page = opened("search.html?q=circulant")
    page.locator("#search-results li a").nth(9).wait_for(timeout=60_000)  # the list fills one by one


def test_the_figures_of_a_notebook_are_drawn(opened):
    page = opened("notebooks/01_circulant_matrices.html")
    figures = page.locator("figure.drawn")
    for i in range(min(3, figures.count())):
        figures.nth(i).scroll_into_view_if_needed()
        figures.nth(i).locator(".main-svg").first.wait_for(timeout=60_000)
    assert figures.count() >= 3 or page.get_by_text("This page was built without outputs").is_visible()


@pytest.mark.skipif(GIVEN is None, reason="figures with lines are in executed notebooks; make test-full has them")
def test_the_lines_of_a_figure_can_be_seen_on_a_dark_page(opened):
    """The page of the costs has lines in all colours of the figures, black among them."""
    page = opened("notebooks/05_costs_and_the_papers.html")
    figures = page.locator("figure.drawn:has(script)")
    for i in range(figures.count()):
        figures.nth(i).scroll_into_view_if_needed()
        figures.nth(i).locator(".main-svg").first.wait_for(timeout=60_000)
    strokes = page.evaluate("""() => [...document.querySelectorAll("figure.drawn .scatterlayer path.js-line")]
      .map((path) => getComputedStyle(path).stroke.match(/\\d+/g).slice(0, 3).map(Number))""")
    colors = {"#" + "".join(f"{value:02x}" for value in stroke) for stroke in strokes}
    assert len(colors) >= 7
    assert min(palette.contrast(color, palette.PALETTE["dark"]["page"]) for color in colors) >= 2.9


def test_the_entry_leads_to_the_first_page_and_the_theme_can_be_changed(opened):
    page = opened("index.html")
    page.wait_for_url("**/README.html")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.locator("button.theme-switch-button").first.click()
    page.locator("button.theme-change-button[data-mode=light]").first.click()
    page.locator("html[data-theme=light]").wait_for(timeout=10_000)


def changes(piece, control) -> bool:
    """Use a control of a piece, and return whether its picture is another one after 300 ms."""
    picture = piece.locator(".piece-pictures")  # without the controls, which also change
    before = picture.screenshot()
    if control.get_attribute("type") == "range":
        control.evaluate("e => { e.value = e.value === e.max ? e.min : e.max; e.dispatchEvent(new Event('input')); }")
    else:
        control.click()
    piece.page.wait_for_timeout(300)
    return picture.screenshot() != before


@pytest.mark.skipif(GIVEN is None, reason="the pieces are in executed notebooks; make test-full has them")
@pytest.mark.parametrize("path", sorted(GIVEN.glob("notebooks/*.html")) if GIVEN else [], ids=lambda path: path.stem)
def test_every_piece_follows_its_controls(opened, path):
    """Each interactive piece draws itself without a kernel, and its picture changes when a control is used."""
    page = opened(f"notebooks/{path.name}")
    pieces = page.locator(".circpeft-piece")
    for i in range(pieces.count()):
        piece = pieces.nth(i)
        piece.scroll_into_view_if_needed()
        controls = piece.locator("input[type=range], button:enabled, input[type=radio]:not(:checked)")
        assert any(changes(piece, controls.nth(k)) for k in range(min(4, controls.count()))), (
            f"piece {i} of {path.name}"
        )
