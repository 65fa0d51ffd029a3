"""What all interactive pieces promise: one script each, a static form, alternative text, and colours that are seen."""

import base64
import html
import io
import json
import re

import nbformat
import pytest
from PIL import Image

from circpeft.course import pieces
from circpeft.course.notebook_page import write_page
from circpeft.course.pieces import bundle, palette
from circpeft.course.pieces.base import INTERACTIVE

NAMES = [name for name in pieces.__all__ if name != "Piece"]


@pytest.fixture(scope="module")
def made():
    """Return each piece once, since some compute for a moment."""
    return {name: getattr(pieces, name)() for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_piece_has_a_form_for_each_kind_of_page(made, name):
    piece = made[name]
    data, _ = piece._repr_mimebundle_()
    assert {"text/plain", "text/html", INTERACTIVE, "application/vnd.jupyter.widget-view+json"} <= set(data)
    picture = re.fullmatch(r'<img alt="([^"]+)" width="(\d+)" src="data:image/png;base64,([^"]+)">', data["text/html"])
    assert base64.b64decode(picture[3]).startswith(b"\x89PNG") and 400 < int(picture[2]) <= 1000
    drawn = Image.open(io.BytesIO(base64.b64decode(picture[3]))).convert("RGBA")
    assert drawn.getpixel((0, 0)) == (255, 255, 255, 255) and drawn.getextrema()[3] == (255, 255), (
        "its own white page, so that its dark text can be read on a dark page, too"
    )
    assert len(picture[1]) > 60, "the picture needs an alternative text that describes it"
    assert "<script" not in data["text/html"] and picture[0] in data[INTERACTIVE]
    json.dumps([piece.data, piece.state])
    # The script comes from the package, and loads nothing else.
    assert not re.search(r"https?://(?!www\.w3\.org)", data[INTERACTIVE])


def test_an_exported_page_shows_the_picture_and_no_script(made, tmp_path):
    data, metadata = made["Switches"]._repr_mimebundle_()
    output = nbformat.v4.new_output("execute_result", data, metadata=metadata, execution_count=1)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("pieces.Switches()", outputs=[output])])
    nbformat.write(notebook, tmp_path / "piece.ipynb")
    page = write_page(tmp_path / "piece.ipynb", tmp_path / "piece.html").read_text(encoding="utf-8")
    assert html.unescape(data["text/html"].split(" width")[0]) in html.unescape(page) and "<script" not in page


def test_the_static_form_tells_its_colours_and_lines_apart(made):
    drawn = {name: made[name].figure() for name in ("TwoGradients", "BlockDial", "FactorMixer")}
    named = {name: [t.name for t in figure.data if t.name and t.showlegend] for name, figure in drawn.items()}
    assert named["TwoGradients"] == ["right", "printed"] and drawn["TwoGradients"].layout.showlegend
    titles = {name: [note.text for note in figure.layout.annotations] for name, figure in drawn.items()}
    assert "singular values (dashed: target)" in titles["BlockDial"]
    assert titles["FactorMixer"][0] == "a₁; grey: its gradient"


def test_the_kernel_lab_refuses_an_unknown_layout():
    with pytest.raises(ValueError, match="layout"):
        pieces.KernelLab(layout="diagonal")


def test_the_static_form_follows_what_the_learner_sets():
    lab = pieces.KernelLab()
    before = lab.picture()
    assert lab.picture() == before
    lab.state = {**lab.state, "kernel": pieces.kernel_lab.presets(16)["shift"]}
    assert lab.picture() != before and "rank 16" in str(lab.figure().layout.annotations)


@pytest.mark.parametrize("scheme", palette.PALETTE)
def test_text_and_lines_can_be_seen_on_the_page(scheme):
    colors = palette.PALETTE[scheme]
    assert min(palette.contrast(colors[name], colors["page"]) for name in ("ink", "muted")) >= 4.5
    assert min(palette.contrast(line, colors["page"]) for line in colors["lines"][:4]) >= 2.9


def test_a_script_with_another_kind_of_import_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "FOLDER", tmp_path)
    (tmp_path / "renamed.js").write_text('import * as all from "./numbers.js";\n')
    with pytest.raises(ValueError, match="renamed.js has 'import [*] as all"):
        bundle.code("renamed")
    with pytest.raises(FileNotFoundError, match="no script absent.js"):
        bundle.code("absent")


def test_scripts_and_styles_are_short():
    assert all(len(path.read_text().splitlines()) <= 250 for path in bundle.FOLDER.iterdir())
