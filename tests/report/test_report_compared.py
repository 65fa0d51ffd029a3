"""Printed tables beside our runs: statistic, spread, difference, states, reasons."""

import statistics

import pytest

from circpeft import report

SCORES = [0.90, 0.95, 0.91, 0.90, 0.97]


def line(frame, row, column):
    found = frame[(frame.row == row) & (frame.column == column)]
    assert len(found) == 1, found
    return found.iloc[0]


@pytest.mark.parametrize("name, value", [("median", 91.0), ("mean", 92.6)])
def test_cells_show_the_statistic_of_the_sweep(folder, name, value):
    folder.scored("LoRA", "SST-2", SCORES)
    folder.sweep(statistic=name)
    cell = line(report.compared(report.scan(folder.path), "cdvft-1"), "LoRA", "SST-2")
    assert cell.ours == pytest.approx(value)
    assert cell.spread == pytest.approx(100 * statistics.stdev(SCORES))
    assert (cell.printed, cell.printed_value, cell.seeds, cell.finished) == ("95.1±0.2", 95.1, 5, 5)
    assert cell.difference == pytest.approx(value - 95.1)


def test_one_seed_has_no_spread(folder):
    folder.scored("LoRA", "SST-2", [0.9])
    folder.sweep()
    frame = report.compared(report.scan(folder.path), "cdvft-1")
    assert line(frame, "LoRA", "SST-2").isna().spread
    assert report.wide(frame).loc["LoRA", "SST-2"] == "95.1±0.2 | 90.0 (-5.1)"


@pytest.mark.parametrize("task, model", [(False, True), (True, False), (False, False)])
def test_no_difference_if_task_or_model_is_not_the_papers(folder, task, model):
    folder.scored("LoRA", "SST-2", SCORES, printed_task=task)
    folder.sweep(printed_model=model)
    cell = line(report.compared(report.scan(folder.path), "cdvft-1"), "LoRA", "SST-2")
    assert cell.ours == pytest.approx(91.0) and cell.isna().difference and "not compared" in cell.reason


def test_a_substitute_task_has_its_own_column(folder):
    folder.scored("LoRA", "entailment", [0.8, 0.82], task="entailment", printed_task=False)
    folder.sweep(printed_model=False)
    frame = report.compared(report.scan(folder.path), "cdvft-1")
    table = report.wide(frame)
    assert table.loc["LoRA", "SST-2"] == "95.1±0.2 | -"
    assert table.loc["LoRA", "entailment"] == "81.00±1.41"
    assert table.loc["LoRA", "Avg."] == "85.2 | -" and frame.difference.isna().all()


GLUE = {"SST-2": 0.95, "MRPC": 0.9, "CoLA": 0.6, "QNLI": 0.93, "RTE": 0.78, "STS-B": 0.91}


def test_the_average_is_ours_only_with_all_its_columns(folder):
    for column, score in GLUE.items():
        folder.scored("LoRA", column, [score])
        if column != "RTE":
            folder.scored("VeRA", column, [score], label="vera")
    folder.sweep()
    frame = report.compared(report.scan(folder.path), "cdvft-1")
    complete, incomplete = line(frame, "LoRA", "Avg."), line(frame, "VeRA", "Avg.")
    assert complete.ours == pytest.approx(100 * sum(GLUE.values()) / 6)
    assert complete.difference == pytest.approx(complete.ours - 85.2)
    assert incomplete.isna().ours and incomplete.reason == "no average without RTE"
    assert line(frame, "FF", "Avg.").reason == ""


def test_states_and_reasons_are_shown(folder):
    folder.scored("LoRA", "SST-2", [0.9, 0.9])
    folder.failed("bad", seed=2)
    folder.cell("LoRA", "SST-2", "bad", 2)
    folder.cell("LoRA", "SST-2", "later", 3)
    folder.cell("VeRA", "SST-2", "bad", 2)
    folder.left_out = [{"row": "FF", "column": "", "reason": "too expensive"}]
    folder.left_out += [{"row": "", "column": "MRPC", "reason": "no data"}]
    folder.sweep()
    frame = report.compared(report.scan(folder.path), "cdvft-1")
    cell = line(frame, "LoRA", "SST-2")
    assert (cell.finished, cell.failed, cell.pending, cell.unreadable) == (2, 1, 1, 0)
    table = report.wide(frame)
    assert table.loc["LoRA", "SST-2"] == "95.1±0.2 | 90.0±0.0 (-5.1) [2 of 4; 1 failed, 1 pending]"
    assert table.loc["VeRA", "SST-2"] == "94.6±0.1 | 1 failed"
    assert table.loc["FF", "SST-2"] == "94.8 | left out"
    assert line(frame, "FF", "CoLA").reason == "too expensive" and line(frame, "LoRA", "MRPC").reason == "no data"


def test_resources_stand_beside_the_print(folder):
    folder.scored("base LoRA r=8", "SST-2", [0.94, 0.95], peak_bytes=13_000_000_000, flops=(2.6e8, 2.5e8))
    folder.sweep("c3a-2", "mean")
    frame = report.compared(report.scan(folder.path), "c3a-2")
    parameters = line(frame, "base LoRA r=8", "# Trainable Parameters")
    assert (parameters.printed, parameters.printed_value, parameters.ours) == ("295K", 295_000, 294_912)
    memory = line(frame, "base LoRA r=8", "Memory Cost (GB)")
    assert (memory.printed, memory.ours) == ("13.75", 13.0)
    assert line(frame, "base LoRA r=8", "adapter FLOPs per token").ours == pytest.approx(1e7)
    resources = frame[~frame.kind.isin(["score", "average"])]
    assert resources.difference.isna().all()
    assert report.wide(frame).loc["base LoRA r=8", "# Trainable Parameters"] == "295K | 294,912"


def test_columns_of_one_benchmark_take_only_its_runs(folder):
    folder.scored("LoRA", "MT-Bench Score", [-1.2], metric="negative_loss", parameters=33_554_432, label="lora:r=64")
    folder.scored("LoRA", "GSM8K Acc.", [0.37], task="gsm8k", parameters=28_049_408, label="lora:r=16")
    folder.scored("VeRA", "word_problems for MT-Bench Score", [0.1], parameters=7, printed_task=False, label="vera")
    folder.sweep("cdvft-3")
    frame = report.compared(report.scan(folder.path), "cdvft-3")
    assert line(frame, "LoRA", "MT-Bench Param.").ours == 33_554_432
    assert line(frame, "LoRA", "GSM8K Param.").ours == 28_049_408
    assert line(frame, "LoRA", "GSM8K Acc.").difference == pytest.approx(0.1)
    assert line(frame, "VeRA", "MT-Bench Param.").ours == 7 and line(frame, "VeRA", "GSM8K Param.").isna().ours
    loss = line(frame, "LoRA", "MT-Bench Score")  # a loss is not a judge's score
    assert loss.ours == -1.2 and loss.isna().difference and "judge" in loss.reason


def test_uncounted_resources_are_empty_and_not_zero(folder):
    folder.scored("LoRA", "GSM8K Acc.", [0.37], task="gsm8k", flops=(None, None), peak_bytes=0)
    folder.sweep("cdvft-3")
    frame = report.compared(report.scan(folder.path), "cdvft-3")
    assert line(frame, "LoRA", "GSM8K FLOPs").isna().ours and line(frame, "LoRA", "peak memory (GB)").isna().ours


def test_the_latest_sweep_unless_another_is_named(folder):
    other = type(folder)(folder.path.parent / "two")
    for sweep_folder, score, started in ((folder, 0.9, "2026-02-01"), (other, 0.8, "2026-01-01")):
        sweep_folder.scored("LoRA", "SST-2", [score])
        sweep_folder.sweep(started=started)
    found = report.scan(folder.path.parent)
    assert line(report.compared(found, "cdvft-1"), "LoRA", "SST-2").ours == pytest.approx(90)
    older = found.sweeps_of("cdvft-1")[1]
    assert line(report.compared(found, "cdvft-1", older), "LoRA", "SST-2").ours == pytest.approx(80)
    with pytest.raises(ValueError, match="not one of table 'cdvft-2', but of 'cdvft-1'; choices: none"):
        report.compared(found, "cdvft-2", older)


def test_a_sweep_without_a_printed_table(folder):
    folder.scored("mine", "sst2", [0.9, 0.92])
    folder.sweep("", name="blocks", statistic="mean")
    found = report.scan(folder.path)
    frame = report.compared(found, "blocks")
    assert report.wide(frame).loc["mine"].to_dict() == {
        "sst2": "91.00±1.41",
        "trainable parameters": "294,912",
        "peak memory (GB)": "13.75",
        "adapter FLOPs per token": "10.00M",
    }
    with pytest.raises(ValueError, match="unknown table 'block'; did you mean 'blocks'"):
        report.compared(found, "block")


@pytest.mark.parametrize("table", ["c3a-2", "c3a-3", "c3a-4", "cdvft-1", "cdvft-2", "cdvft-3"])
def test_without_a_sweep_only_the_print(table):
    frame = report.compared(report.empty(), table)
    assert frame.ours.isna().all() and (frame.reason == "").all() and frame.printed.astype(bool).all()
    assert all(cell.endswith(" | -") for cell in report.wide(frame).to_numpy().ravel())
