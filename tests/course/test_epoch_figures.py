"""The figures of weight changes in the notebooks: which runs are shown, and what is printed of the others."""

from dataclasses import fields

import numpy as np
import pytest

from circpeft import results
from circpeft.course import epoch_figures
from circpeft.training import weight_changes

KNOWN = dict.fromkeys((f.name for f in fields(results.Result)), 0)


def run(method: str, seed: int = 0, file: str | None = None) -> results.Result:
    file = weight_changes.path_of(f"{method}-s{seed}") if file is None else file
    values = {"label": method, "method": method, "seed": seed, "weight_changes": file}
    return results.Result(**KNOWN | values | {"settings": {"target_modules": "all-linear"}})


@pytest.fixture
def folder(tmp_path):
    """Return an output folder with the files of three runs; that of c3a is damaged."""
    (tmp_path / "weight_changes").mkdir()
    for number, method in enumerate(("lora", "c3a", "full"), 1):
        entry = {**weight_changes.encoded_map(number * np.eye(2)), "rank": 2, "singular_values": [number, number]}
        layers = [{"name": f"encoder.{k}", "shape": (2, 2), "step": 1, "index": [1, 2]} for k in range(3)]
        text = weight_changes.content("run", layers, [{"epoch": e, "layers": [entry] * 3} for e in (1, 2)])
        path = tmp_path / weight_changes.path_of(f"{method}-s0")
        path.write_text(text[:50] if method == "c3a" else text)
    return tmp_path


def test_the_readable_runs_are_shown_and_the_others_named(folder, capsys):
    runs = [
        run("head", file=""),
        run("lora"),
        run("lora", seed=1),
        run("c3a"),
        run("cdvft", file=""),
        run("vera"),
        run("full"),
    ]
    figures = epoch_figures.figures(epoch_figures.read(runs, folder), "all-linear")
    assert [figure.layout.title.text for figure in figures] == ["lora: 1", "full: 1"]
    damaged, older, absent = capsys.readouterr().out.splitlines()
    assert damaged.startswith("c3a: ") and "c3a-s0.json is not a file of weight changes" in damaged
    assert older == "cdvft: the record names no file of weight changes; delete the record to make the run again"
    assert absent.startswith("vera: ") and "vera-s0.json" in absent


@pytest.mark.parametrize(("position", "layer"), [("first", "0"), ("middle", "1"), ("last", "2")])
def test_the_layer_is_chosen_by_its_position(folder, position, layer):
    [figure] = epoch_figures.figures(epoch_figures.read([run("full")], folder), "all-linear", position)
    assert figure.layout.title.text == f"full: {layer}" and figure.data[0].zmax == 3.0


def test_an_unknown_position_raises():
    with pytest.raises(ValueError, match="unknown position 'midle'; did you mean 'middle'"):
        epoch_figures.figures([], "all-linear", "midle")
