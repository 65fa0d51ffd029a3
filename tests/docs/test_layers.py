"""The picture of the layers and the table of packages are those of the code."""

import importlib

import pytest

from circpeft import results

COMMAND = "run .venv/bin/python docs/draw_layers.py, and commit docs/layers.svg and docs/architecture.md"


@pytest.fixture(scope="module")
def draw_layers():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(results.ROOT / "docs"))
        yield importlib.import_module("draw_layers")


def test_the_picture_is_that_of_the_imports(draw_layers):
    same = draw_layers.PICTURE.read_text(encoding="utf-8") == draw_layers.svg()
    assert same, f"the imports between packages have changed: {COMMAND}"


def test_the_table_of_packages_is_that_of_their_docstrings(draw_layers):
    text = draw_layers.PAGE.read_text(encoding="utf-8")
    same = text == draw_layers.page(text)
    assert same and draw_layers.table() in text, f"the docstrings of packages have changed: {COMMAND}"


def test_an_import_that_a_longer_path_has_is_not_drawn(draw_layers):
    graph = {"c": {"a", "b"}, "b": {"a"}, "a": set()}
    assert draw_layers.reduced(graph) == {"c": {"b"}, "b": {"a"}, "a": set()}
    assert draw_layers.levels(graph) == {"a": 0, "b": 1, "c": 2}


def test_a_line_that_passes_a_level_has_a_point_there(draw_layers):
    graph = {"course": {"sweeps", "report"}, "sweeps": {"ops"}, "report": set(), "ops": set()}
    lines, pieces = draw_layers.rows(graph)
    assert lines == [["ops", "report"], ["sweeps", "course>report@1"], ["course"]]
    assert ("course", "course>report@1") in pieces and ("course>report@1", "report") in pieces


def test_every_package_has_a_box_and_every_box_its_place(draw_layers):
    picture = draw_layers.svg()
    at = draw_layers.places(draw_layers.rows(draw_layers.reduced(draw_layers.packages()))[0])
    for name in {*draw_layers.packages(), *draw_layers.BELOW}:
        assert f">{name}</text>" in picture
    boxes = sorted((y, x - draw_layers.width(n) / 2, x + draw_layers.width(n) / 2) for n, (x, y) in at.items())
    for (y1, _, right), (y2, left, _) in zip(boxes, boxes[1:], strict=False):
        assert y1 < y2 or right <= left, "two boxes of a level overlap"
