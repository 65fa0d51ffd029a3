"""How the site reads notebooks: without a kernel and local paths, with alternative texts and interactive figures."""

import importlib.util
import json
import re

import pytest

import circpeft
from circpeft import results
from circpeft.course import controls
from circpeft.course.pieces.base import INTERACTIVE


@pytest.fixture(scope="module")
def load_site():
    """Load a module of docs/site by its name."""
    pytest.importorskip("sphinx", reason="make site installs what the site needs")

    def load(name: str):
        path = results.ROOT / "docs" / "site" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"site_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="module")
def site_notebooks(load_site):
    return load_site("site_notebooks")


FIGURE = {"data": [{"y": [1, 2]}], "layout": {"title": {"text": "</script>"}}}


def test_a_figure_keeps_its_picture_its_description_and_its_data(site_notebooks):
    data = {site_notebooks.PLOTLY: FIGURE, "image/png": "iVBO\nRw==", "text/plain": 'Figure: "a" < b'}
    shown = site_notebooks.static_form(data)
    assert list(shown) == ["text/html"]
    text = shown["text/html"]
    assert text.count('"Figure: &quot;a&quot; &lt; b"') == 2 and "data:image/png;base64,iVBORw==" in text
    content = text.split('<script type="application/json">')[1].split("</script>")[0]
    assert json.loads(content) == FIGURE


def test_an_animation_keeps_its_moving_picture(site_notebooks):
    picture = '<img alt="moves" src="data:image/gif;base64,R0lG">'
    shown = site_notebooks.static_form({site_notebooks.PLOTLY: FIGURE, "text/html": picture, "text/plain": "moves"})
    assert picture in shown["text/html"]


@pytest.mark.parametrize("text", ["VBox(children=(IntSlider(),))", controls.SENTENCE])
def test_controls_that_need_python_become_a_sentence_and_pieces_stay(site_notebooks, text):
    data = {site_notebooks.WIDGET: {"model_id": "x"}, "text/plain": text}
    assert site_notebooks.static_form(data) == {"text/plain": site_notebooks.CONTROLS}
    piece = {**data, "text/plain": "Kernel lab: a", "text/html": "<img alt='a'>", INTERACTIVE: ["<div>", "</div>"]}
    assert site_notebooks.static_form(piece) == {"text/html": "<div></div>"}


def test_a_page_has_the_line_of_its_execution_and_nothing_that_the_runner_added(site_notebooks):
    def cell(source, **metadata):
        return {"cell_type": "code", "source": source, "metadata": metadata, "outputs": []}

    cells = [
        cell("title"),
        cell("profile = 'smoke'\noutput_dir = '/home/me'", tags=["injected-parameters"]),
        cell("hidden", jupyter={"source_hidden": True}),
    ]
    papermill = {"parameters": {"profile": "smoke"}, "end_time": "2026-11-30T01:49:17.555458+00:00"}
    notebook = {"cells": cells, "metadata": {"papermill": papermill, "widgets": {"state": {}}}}
    page = site_notebooks.as_page(notebook)
    assert [c["source"] for c in page["cells"]] == [
        "title",
        "*Executed with the profile* `smoke` *on 30 November 2026.*",
        "hidden",
    ]
    assert page["cells"][2]["metadata"]["tags"] == ["hide-input"] and "widgets" not in page["metadata"]
    assert "without outputs" in site_notebooks.described({})


def test_a_name_of_the_package_in_the_text_becomes_a_reference_to_the_api(site_notebooks):
    source = ["see `circpeft.ops.formulas.matmul`,\n", "`circpeft run 06` and ``circpeft.ops``"]
    page = site_notebooks.as_page(
        {"cells": [{"cell_type": "markdown", "source": source, "metadata": {}}], "metadata": {}}
    )
    expected = "see {py:obj}`circpeft.ops.formulas.matmul`,\n`circpeft run 06` and ``circpeft.ops``"
    assert page["cells"][0]["source"] == expected


def test_a_folder_without_executed_notebooks_is_refused_with_what_to_give(tmp_path, load_site):
    build = load_site("build")
    with pytest.raises(SystemExit, match="No folder .*missing. Give a folder that circpeft course wrote"):
        build.executed(tmp_path / "missing")
    with pytest.raises(SystemExit, match="No notebook of the course in"):
        build.executed(tmp_path)
    (tmp_path / "00_start.ipynb").write_text("{}")
    assert build.executed(tmp_path) == tmp_path.resolve()


def test_every_public_name_is_in_the_api_reference():
    pages = "".join(path.read_text() for path in (results.ROOT / "docs" / "site" / "api").glob("*.rst"))
    documented = set(re.findall(r"automodule:: circpeft\.(\w+)", pages))
    assert {*circpeft._SUBMODULES, *circpeft._SUBMODULES_OF_EXTRAS} <= documented
    listed = {name for line in re.findall(r":members: (.*)", pages) for name in line.split(", ")}
    for module in ("adapters", "hf_peft", "ops"):  # only what the page of the package does not have
        assert set(getattr(circpeft, module).__all__) - set(circpeft.__all__) <= listed, module
