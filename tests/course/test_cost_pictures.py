"""The pictures and tables of notebooks 05 and 06 fit a window of 1,300 pixels, and add up to the costs."""

import json

import pandas as pd
import pytest
import torch

from circpeft import costs, papers, plots
from circpeft.course import adapted_layers, audit_table, cost_explorer, decision_regions, flop_parts
from circpeft.course.live_figure import LiveFigure
from tests.course.live_figures import shown

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


def test_the_audit_starts_with_the_chosen_rows_and_refuses_others():
    audit = pd.DataFrame(papers.audit())
    explorer = audit_table.audit_explorer(audit, paper="cdvft")
    assert explorer.controls["paper"].value == "cdvft" and explorer.controls["verdict"].value == "all"
    with pytest.raises(ValueError, match=r"no paper 'cdvt' in the audit; did you mean 'cdvft'"):
        audit_table.audit_explorer(audit, paper="cdvt")
    with pytest.raises(ValueError, match=r"no menu 'papr'; did you mean 'paper'"):
        audit_table.audit_explorer(audit, papr="cdvft")


def test_a_slider_of_the_explorer_shows_the_figure_of_its_values():
    explorer = cost_explorer.explorer()
    for control, value in (("tokens", 16), ("b", 64), ("d_out", 3072), ("r", 2)):
        explorer.controls[control].value = value
    assert shown(explorer.children[1]) == shown(LiveFigure(cost_explorer.figure(768, 3072, 16, 2, 64)))
    explorer.controls["methods"].value = ("vera", "c3a")
    assert shown(explorer.children[1]) == shown(LiveFigure(cost_explorer.figure(768, 3072, 16, 2, 64, ("vera", "c3a"))))


@pytest.mark.parametrize(
    ("control", "value"), [("d_in", 384), ("d_out", 3072), ("tokens", 16), ("r", 2), ("b", 64), ("methods", ("lora",))]
)
def test_the_alternative_text_follows_each_control(control, value):
    explorer = cost_explorer.explorer()
    figure, before = explorer.children[1], explorer.children[1].content["alt"]
    chosen = {"d_in": 768, "d_out": 768, "r": 8} | {control: value}
    explorer.controls[control].value = value
    after = figure.content["alt"]
    parameters = costs.parameters("lora", chosen["d_in"], chosen["d_out"], r=chosen["r"])
    assert f"lora r={chosen['r']}: {parameters:,} parameters" in after != before
    assert ("vera" in after) == (control != "methods")


def test_a_change_of_the_explorer_is_one_short_message():
    explorer, sent = cost_explorer.explorer(), []
    explorer.children[1].observe(lambda change: sent.append(json.dumps(change.new)), names="content")
    explorer.controls["tokens"].value = 16
    explorer.controls["methods"].value = ("lora", "c3a")
    assert len(sent) == 2 and max(map(len, sent)) < 20_000


def test_a_method_keeps_its_colour_whichever_others_are_shown():
    few, all_methods = (
        {trace["legendgroup"]: trace["line"]["color"] for trace in found if "line" in trace}
        for found in (
            cost_explorer.traces(768, 768, 1024, 8, 128, ("vera", "cdvft")),
            cost_explorer.traces(768, 768, 1024, 8, 128),
        )
    )
    assert len(set(all_methods.values())) == len(cost_explorer.COMPARED)
    assert few == {name: all_methods[name] for name in ("vera", "cdvft")}


@pytest.mark.parametrize(("method", "options"), [("lora", {"r": 8}), ("c3a", {"block_size": 128})])
def test_the_lines_over_the_tokens_are_the_costs(method, options):
    line = next(trace for trace in cost_explorer.traces(768, 3072, 64, 8, 128, (method,)) if trace["column"] == 3)
    costs_of_tokens = [cost_explorer.step_flops(method, 768, 3072, tokens, **options) for tokens in line["x"]]
    assert list(line["y"]) == pytest.approx(costs_of_tokens, rel=1e-12)
