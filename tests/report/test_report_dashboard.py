"""The widgets of notebook 12 show what their controls choose."""

import shutil

import pytest

from circpeft import report
from circpeft.course import dashboard, repository_runs
from tests.course.live_figures import shown


@pytest.fixture
def box(folder):
    folder.scored("LoRA", "SST-2", [0.94, 0.95])
    folder.scored("CDVFT p=768", "RTE", [0.7], task="rte", label="cdvft:block_size=768", parameters=36_864)
    folder.sweep()
    return dashboard.Dashboard(report.scan(folder.path), "cdvft-1")


def test_the_table_and_the_figure_follow_the_controls(box):
    assert "95.1±0.2 | 94.5±0.7 (-0.6)" in box.rows.value and "3 of 3 runs" in box.counts.value
    assert list(box.controls["panel"].options) == ["rte, FacebookAI/roberta-base", "sst2, FacebookAI/roberta-base"]
    assert [trace.name for trace in shown(box.figure).data] == ["cdvft:block_size=768"]
    assert "rte, FacebookAI/roberta-base, test" in box.figure.content["alt"]
    assert "cdvft:block_size=768: 0.700 at 36.86K." in box.figure.content["alt"]
    box.controls["panel"].value = "sst2, FacebookAI/roberta-base"
    assert "lora:r=8: 0.945 at 294.91K." in box.figure.content["alt"]
    assert [trace.name for trace in shown(box.figure).data] == ["lora:r=8"] and shown(box.figure).data[0].x[
        0
    ] == 294_912
    box.controls["x"].value = "memory"
    assert box.controls["panel"].value.startswith("sst2") and shown(box.figure).data[0].x[0] == 13.75
    assert "memory (GB). lora:r=8: 0.945 at 13.75." in box.figure.content["alt"]
    box.controls["task"].value = ("rte",)
    assert [trace.name for trace in shown(box.figure).data] == ["cdvft:block_size=768"]
    assert "94.5" not in box.rows.value and "1 of 3 runs" in box.counts.value
    box.controls["table"].value = dashboard.RUNS
    assert "0.700" in box.rows.value
    box.controls["method"].value = ("lora",)
    assert not shown(box.figure).data and "0 of 3 runs" in box.counts.value
    assert box.figure.content["alt"] == "Figure without runs"


def test_reload_finds_new_runs(box, folder):
    folder.scored("VeRA", "CoLA", [0.6], task="cola", label="vera")
    folder.sweep()
    box.controls["reload"].click()
    assert "cola" in box.controls["task"].options and "4 of 4 runs" in box.counts.value
    assert "65.8±0.8 | 60.0 (-5.8)" in box.rows.value


def test_reload_of_a_folder_that_does_not_exist_yet_shows_no_runs(tmp_path):
    """Without any run, the default folder is missing; an error in a button's function is not shown to anyone."""
    box = dashboard.Dashboard(report.empty(tmp_path / "runs"))
    box.reload()
    assert "0 of 0 runs" in box.counts.value
    (tmp_path / "runs").mkdir()
    box.reload()
    assert "0 of 0 runs" in box.counts.value


def test_after_a_sweep_of_your_own_is_gone_all_runs_are_shown(folder):
    folder.scored("mine", "sst2", [0.9, 0.92])
    folder.sweep("", name="blocks")
    box = dashboard.Dashboard(report.scan(folder.path), "blocks")
    assert box.controls["table"].value == "blocks"
    shutil.rmtree(folder.path / "sweeps")
    box.reload()
    assert box.controls["table"].value == dashboard.RUNS and "2 of 2 runs" in box.counts.value


def test_of_many_runs_the_first_are_listed(folder, monkeypatch):
    monkeypatch.setattr(dashboard, "MOST_ROWS", 2)
    folder.scored("LoRA", "SST-2", [0.91, 0.92, 0.93])
    box = dashboard.Dashboard(report.scan(folder.path))
    assert "3 of 3 runs, of which the first 2 are listed, 0 failed" in box.counts.value
    assert "0.920" in box.rows.value and "0.930" not in box.rows.value


def test_nothing_found_and_a_wrong_table():
    box = dashboard.Dashboard(report.empty(), "cdvft-2")
    assert "96.1 | -" in box.rows.value and not shown(box.figure).data
    with pytest.raises(ValueError, match="unknown table 'cdvft-9'"):
        dashboard.Dashboard(report.empty(), "cdvft-9")


def test_it_starts_with_the_runs_of_the_repository_and_marks_yours(folder):
    repository = repository_runs.read()
    box = dashboard.Dashboard(report.empty(folder.path), repository=repository)
    assert f"{len(repository.runs)} of {len(repository.runs)} runs (0 yours" in box.counts.value
    assert shown(box.figure).data and "<td" in box.rows.value
    folder.scored("LoRA", "RTE", [0.54, 0.55], task="rte", model="minilm", label="lora")
    box.controls["reload"].click()
    assert "(2 yours" in box.counts.value and box.controls["panel"].options[0] == "rte, minilm"
    box.controls["panel"].value = "rte, minilm"
    markers = {trace.name: trace.marker for trace in shown(box.figure).data if trace.mode == "markers"}
    assert markers["lora (yours)"].symbol == "star" != markers["lora"].symbol
    assert markers["lora (yours)"].color == markers["lora"].color
    box.controls["method"].value = ("lora",)
    assert "yours" in box.rows.value and "repository" in box.rows.value
