"""Filters of runs, and the figures of the filtered runs."""

import pytest

from circpeft import report


@pytest.fixture
def found(folder):
    folder.scored("LoRA", "SST-2", [0.94, 0.95])
    folder.scored("CDVFT p=768", "RTE", [0.7], task="rte", label="cdvft:block_size=768", parameters=36_864)
    folder.failed("bad", task="rte", label="boft")
    folder.cell("FF", "RTE", "later", 0, "rte", "full")
    folder.sweep()
    folder.finished("alone", task="digits", label="head", model="small-vit", parameters=0, flops=(5.0, 5.0))
    (folder.path / "results" / "half.json").write_text("{")
    return report.scan(folder.path)


def names(found):
    return {run.result.label for run in found.runs}


def test_each_filter(found):
    assert names(report.filtered(found, task="rte")) == {"cdvft:block_size=768"}
    assert names(report.filtered(found, method=["lora", "head"])) == {"lora:r=8", "head"}
    assert names(report.filtered(found, model="small-vit")) == {"head"}
    assert names(report.filtered(found, profile="paper", seed=1)) == {"lora:r=8"}
    assert names(report.filtered(found, table="cdvft-1")) == {"lora:r=8", "cdvft:block_size=768"}
    assert len(report.filtered(found, seed=[0, 1]).runs) == len(report.filtered(found).runs) == 4


def test_a_filter_selects_failures_and_cells_and_keeps_problems(found):
    part = report.filtered(found, task="rte")
    assert [run.name for run in part.failures] == ["bad"]
    assert [(cell.row, cell.state) for cell in part.sweeps[0].cells] == [("CDVFT p=768", "finished"), ("FF", "pending")]
    assert len(part.problems) == 1
    assert not report.filtered(found, task="digits").failures
    assert not report.filtered(found, table="cdvft-2").sweeps


def test_filtered_runs_are_not_pending(found):
    frame = report.compared(report.filtered(found, method="lora"), "cdvft-1")
    frame = frame[frame.kind == "score"]
    assert frame.pending.sum() == 0 and frame.finished.sum() == 2


@pytest.mark.parametrize(
    "filters, message",
    [
        ({"task": "rtee"}, "unknown task 'rtee'; did you mean 'rte'"),
        ({"method": ["lora", "cdvt"]}, "unknown method 'cdvt'; did you mean 'cdvft'"),
        ({"model": "small-vt"}, "unknown model 'small-vt'; did you mean 'small-vit'"),
        ({"profile": "papers"}, "did you mean 'paper'"),
        ({"seed": 7}, "unknown seed 7; choices: 0, 1"),
        ({"table": "cdvft-7"}, "did you mean 'cdvft-"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(found, filters, message):
    with pytest.raises(ValueError, match=message):
        report.filtered(found, **filters)


def test_the_choices_of_each_filter(found):
    assert report.choices(found) == {
        "task": ["digits", "rte", "sst2"],
        "method": ["boft", "cdvft", "full", "head", "lora"],
        "model": ["FacebookAI/roberta-base", "small-vit"],
        "profile": ["paper"],
        "seed": [0, 1],
        "table": ["cdvft-1"],
    }


@pytest.mark.parametrize("x", report.AXES)
def test_one_figure_per_task_and_model(found, x):
    figures = report.scatter(found, x)
    assert [figure.layout.title.text for figure in figures] == [
        "digits, small-vit",
        "rte, FacebookAI/roberta-base",
        "sst2, FacebookAI/roberta-base",
    ]
    point = figures[2].data[0]
    assert point.y[0] == pytest.approx(0.945) and point.error_y.array[0] == pytest.approx(0.01 / 2**0.5)


def test_a_method_that_costs_nothing_is_a_line_on_a_logarithmic_axis(found):
    (trace,) = report.scatter(report.filtered(found, task="digits"), "parameters")[0].data
    assert trace.mode == "lines" and trace.name == "head: 0" and set(trace.y) == {0.9}


def test_uncounted_flops_are_not_drawn(folder):
    folder.finished("a", flops=(None, None))
    found = report.scan(folder.path)
    assert not report.scatter(found, "flops") and len(report.scatter(found, "parameters")) == 1
    with pytest.raises(ValueError, match="unknown x 'flop'; did you mean 'flops'"):
        report.scatter(found, "flop")


def test_settings_that_differ_are_not_averaged(folder):
    folder.finished("a", test_score=0.5, epochs=1)
    folder.finished("b", test_score=0.9, epochs=3)
    (figure,) = report.scatter(report.scan(folder.path))
    assert {trace.name: trace.y[0] for trace in figure.data} == {"lora:r=8 (epochs=1)": 0.5, "lora:r=8 (epochs=3)": 0.9}


def test_spectra_of_the_lowest_seed(folder):
    folder.finished("a", seed=1, rank=3)
    folder.finished("b", seed=0, rank=5)
    figures = report.spectra(report.scan(folder.path))
    assert [figure.layout.title.text.split(": ")[1] for figure in figures] == [
        "ΔW of layer.0.query",
        "ΔW of layer.11.value",
    ]
    assert figures[0].data[0].name == "lora:r=8 (rank 5 of 20)"
