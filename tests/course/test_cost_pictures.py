"""The pictures and tables of notebooks 05 and 06 fit a window of 1,300 pixels, and add up to the costs."""

import json

import pandas as pd
import pytest
import torch

from circpeft import costs, papers, plots
from circpeft.course import adapted_layers, audit_table, cost_explorer, decision_regions, flop_parts

ROOM = 860  # pixels; JupyterLab leaves 868 for an output in a window of 1,300, with its file browser open


@pytest.mark.parametrize(
    ("method", "options"),
    [("lora", {"r": 8}), ("c3a", {"block_size": 768}), ("c3a", {"block_size": 128}), ("cdvft", {"block_size": 256})],
)
@pytest.mark.parametrize("d_out", [768, 1536])
def test_the_parts_add_up_to_the_cost(method, options, d_out):
    total = costs.flops(method, 768, d_out, tokens=10, direction="forward", **options)
    assert sum(flop_parts.parts(method, 768, d_out, 10, **options).values()) == pytest.approx(total, abs=1)


def test_another_method_has_no_parts_and_no_layer():
    with pytest.raises(ValueError, match="no parts for 'vera'"):
        flop_parts.parts("vera", 8, 8, 1)
    with pytest.raises(ValueError, match=r"unknown method 'c3b'.*'c3a'"):
        adapted_layers.adapted_layer("c3b")


def test_no_figure_is_wider_than_the_room_beside_the_file_browser():
    planes = {name: torch.zeros(4, 4) for name in "abc"}
    figures = [
        cost_explorer.figure(768, 768, 1024, 8, 128),
        decision_regions.regions(planes, torch.linspace(-1, 1, 4), torch.zeros(3, 2)),
        flop_parts.figure({"LoRA": ("lora", {"r": 8})}, 768, 768, 256),
        plots.bars({name: dict.fromkeys("abcdefgh", 1.0) for name in "xyz"}),
    ]
    assert all(figure.layout.width <= ROOM for figure in figures)


def test_the_audit_table_is_as_wide_as_its_page_and_its_menus_filter_it():
    audit = pd.DataFrame(papers.audit())
    html = audit_table.audit_table(audit.head(3)).to_html()
    assert "width: 100%" in html and "overflow-wrap: break-word" in html
    assert sum(audit_table.WIDTHS.values()) < 90  # the rest is for the notes
    expected = audit[(audit.paper == "cdvft") & (audit.verdict == "misprint")]
    assert audit_table.filtered(audit, paper="cdvft", verdict="misprint", table="all").equals(expected)


def _json(trace) -> str:
    """Return a trace as text: with lists for tuples, and without the identifier that a widget gives it."""
    return json.dumps({name: value for name, value in trace.to_plotly_json().items() if name != "uid"}, sort_keys=True)


def test_a_slider_of_the_explorer_sends_one_message_that_gives_the_figure_of_its_values():
    explorer = cost_explorer.explorer()
    shown, sent = explorer.children[1], messages(explorer.children[1])
    explorer.controls["tokens"].value = 16
    explorer.controls["b"].value = 64
    assert [name for name, _ in sent] == ["_py2js_update"] * 2
    expected = cost_explorer.figure(768, 768, 16, 8, 64)
    for old, trace in zip(shown.data, expected.data, strict=True):
        assert _json(old) == _json(trace)
    assert shown.layout.title.text == expected.layout.title.text


def messages(shown) -> list[tuple[str, dict]]:
    """Return a list to which each message of a plotly widget is appended, with its name."""
    sent = []
    names = [name for name in shown.trait_names() if name.startswith("_py2js_")]
    shown.observe(lambda change: change.new and sent.append((change.name, change.new)), names=names)
    return sent


def test_a_message_of_the_explorer_has_only_the_traces_that_change():
    explorer = cost_explorer.explorer()
    sent = messages(explorer.children[1])
    for control, value in (("tokens", 16), ("b", 64), ("tokens", 32)):
        explorer.controls[control].value = value
    (_, tokens), (_, block), _ = sent
    lines_over_tokens = [i for i, t in enumerate(cost_explorer.traces(768, 768, 1024, 8, 128)) if t["column"] == 3]
    assert not set(tokens["style_traces"]) & set(lines_over_tokens) and "name" not in tokens["style_data"]
    names = {explorer.children[1].data[i].legendgroup for i in block["style_traces"]} - {None}
    assert names == {"c3a", "cdvft"} and "name" in block["style_data"]
    assert max(len(json.dumps(message)) for _, message in sent) < 5_000


def test_other_methods_in_the_explorer_have_traces_of_their_own():
    explorer = cost_explorer.explorer()
    explorer.controls["methods"].value = ("lora", "c3a")
    explorer.controls["methods"].value = ("lora", "cdvft")
    assert {trace.legendgroup for trace in explorer.children[1].data} == {"lora", "cdvft", None}


@pytest.mark.parametrize(("method", "options"), [("lora", {"r": 8}), ("c3a", {"block_size": 128})])
def test_the_lines_over_the_tokens_are_the_costs(method, options):
    line = next(trace for trace in cost_explorer.traces(768, 3072, 64, 8, 128, (method,)) if trace["column"] == 3)
    costs_of_tokens = [cost_explorer.step_flops(method, 768, 3072, tokens, **options) for tokens in line["x"]]
    assert list(line["y"]) == pytest.approx(costs_of_tokens, rel=1e-12)
