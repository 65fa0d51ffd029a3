"""Runs that were computed differently are neither averaged nor drawn as one point, and the page says so."""

import json

import pytest

from circpeft import computation, report, results

FLOAT32 = {"device": "cuda", "precision": "float32", "float32_products": "float32", "processes": 1, "switches": {}}
TF32 = FLOAT32 | {"float32_products": "tf32"}
CELL = ("LoRA", "SST-2")


def scored(folder, row, column, *runs, **values):
    """Add a cell with a seed for each pair of a score and a computation."""
    for seed, (score, facts) in enumerate(runs):
        name = f"{row}-{column}-{seed}".replace(" ", "-")
        folder.cell(row, column, name, seed)
        folder.finished(name, seed=seed, test_score=score, computation=facts, **values)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (TF32, "float32_products: float32, tf32"),
        (FLOAT32 | {"precision": "bf16"}, "precision: float32, bf16"),
        (FLOAT32 | {"device": "cpu"}, "device: cuda, cpu"),
        (FLOAT32 | {"compiled": "inductor"}, ""),  # the first record does not say
        (FLOAT32 | {"switches": {"cudnn.enabled": False}}, "switches: default, cudnn.enabled=no"),
    ],
)
def test_a_cell_of_runs_that_were_computed_differently_has_no_average(folder, other, words):
    scored(folder, *CELL, (0.8, FLOAT32), (0.9, other))
    folder.sweep()
    frame = report.compared(report.scan(folder.path), "cdvft-1")
    line = frame.query("row == 'LoRA' and column == 'SST-2'").iloc[0]
    memory = frame.query("row == 'LoRA' and kind == 'memory'").iloc[0]
    if not words:
        assert line.ours == pytest.approx(85) and memory.seeds == 2
        return
    assert line.isna().ours and line.seeds == 0 and line.finished == 2
    assert line.reason == f"computed differently ({words}): not averaged"
    assert report.wide(frame).loc[CELL] == "95.1±0.2 | not averaged"
    assert memory.isna().ours and words in memory.reason
    assert frame.query("row == 'LoRA' and kind == 'parameters'").iloc[0].ours == 294_912


def test_markdown_says_why_a_cell_has_no_average(folder):
    scored(folder, *CELL, (0.8, FLOAT32 | {"batch": 1}), (0.9, FLOAT32 | {"batch": 16}))
    folder.sweep()
    lines = report.FORMATS["markdown"](report.scan(folder.path), "cdvft-1", None).splitlines()
    assert "LoRA, SST-2: computed differently (batch: 1, 16): not averaged" in lines[lines.index("") + 1 :]


def test_the_memory_of_a_row_is_over_tasks_with_settings_of_their_own(folder):
    scored(folder, *CELL, (0.8, FLOAT32 | {"batch": 32}), (0.9, FLOAT32 | {"batch": 32}), peak_bytes=10**9)
    scored(folder, "LoRA", "MRPC", (0.8, FLOAT32 | {"batch": 16, "attention": "eager"}), peak_bytes=4 * 10**9)
    folder.sweep()
    memory = report.compared(report.scan(folder.path), "cdvft-1").query("row == 'LoRA' and kind == 'memory'").iloc[0]
    assert memory.ours == 1.0 and memory.seeds == 3  # the median
    scored(folder, "LoRA", "RTE", (0.8, TF32 | {"batch": 16}), peak_bytes=4 * 10**9)
    folder.sweep()
    memory = report.compared(report.scan(folder.path), "cdvft-1").query("row == 'LoRA' and kind == 'memory'").iloc[0]
    assert memory.reason == "computed differently (float32_products: float32, tf32): not averaged"


def test_runs_with_more_processes_or_unknown_facts_are_averaged(folder):
    scored(folder, *CELL, (0.8, FLOAT32), (0.9, FLOAT32 | {"processes": 2, "threads": 8}), (1.0, {}))
    folder.sweep()
    line = report.compared(report.scan(folder.path), "cdvft-1").query("row == 'LoRA' and column == 'SST-2'").iloc[0]
    assert line.ours == 90 and line.seeds == 3


def test_rows_that_were_computed_differently_are_named_on_the_page(folder):
    scored(folder, *CELL, (0.8, FLOAT32))
    scored(folder, "VeRA", "SST-2", (0.9, TF32))
    folder.sweep()
    html = report.page(report.scan(folder.path))
    assert "The runs were computed differently (float32_products: float32, tf32)" in html
    assert "cuda, float32, tf32 products in float32" in html


def test_a_figure_draws_them_as_separate_points(folder):
    scored(folder, *CELL, (0.8, FLOAT32), (0.9, TF32), (0.7, TF32))
    [figure] = report.scatter(report.scan(folder.path), "memory")
    points = {trace.name: trace.y[0] for trace in figure.data}
    assert points == {
        "lora:r=8 (float32_products: float32)": pytest.approx(0.8),
        "lora:r=8 (float32_products: tf32)": pytest.approx(0.8),
    }


def test_a_table_of_records_has_separate_rows(folder):
    scored(folder, *CELL, (0.8, FLOAT32), (0.6, FLOAT32), (0.9, TF32))
    table = results.table(results.read_all(folder.path)).set_index("method")
    assert table.test.to_dict() == {
        "lora:r=8 (float32_products: float32)": pytest.approx(0.7),
        "lora:r=8 (float32_products: tf32)": 0.9,
    }


def test_the_table_of_runs_says_how_each_was_computed(folder):
    scored(folder, *CELL, (0.8, TF32 | {"attention": "sdpa", "processes": 2, "sharded": True}), (0.9, {}))
    frame = report.runs_table(report.scan(folder.path))
    assert list(frame.computation) == [
        "cuda, float32, tf32 products in float32, sdpa attention, 2 processes (FSDP)",
        "",
    ]


def test_records_of_earlier_versions_are_read(folder):
    path = folder.finished("old")
    data = json.loads(path.read_text())
    del data["computation"]
    path.write_text(json.dumps(data))
    assert results.read(path).computation == {}
    assert report.scan(folder.path).runs[0].result.computation == {}
    path.write_text(json.dumps(data | {"computation": "fast"}))
    [problem] = report.scan(folder.path).problems
    assert problem.reason == "has computation = 'fast', expected an object"


@pytest.mark.parametrize("removed", ["dft", "triton"])
def test_records_that_a_removed_backend_computed_are_read_and_compared(folder, removed):
    facts = FLOAT32 | {"backend": removed, "circulant_products": [removed]}
    scored(folder, *CELL, (0.8, facts), (0.9, facts))
    folder.sweep()
    found = report.scan(folder.path)
    assert not found.problems and {*report.runs_table(found).computation} == {f"cuda, float32, backend {removed}"}
    assert report.compared(found, "cdvft-1").query("row == 'LoRA' and column == 'SST-2'").iloc[0].ours == 85
    assert f"cuda, float32, backend {removed}" in report.page(found)
    scored(folder, "VeRA", "SST-2", (0.9, FLOAT32 | {"backend": "leaf"}))
    folder.sweep()
    assert f"computed differently (backend: {removed}, leaf)" in report.page(report.scan(folder.path))


def test_a_record_without_facts_is_the_same_as_any():
    assert computation.is_same({}, TF32) and not computation.is_same(FLOAT32, TF32)
    assert computation.is_same(TF32 | {"device": "mps"}, FLOAT32)
    assert not computation.is_same(TF32 | {"backend": "rfft"}, {"device": "cpu", "backend": "auto"})


def test_the_page_says_which_methods_left_experts_frozen(folder):
    frozen = {"mlp.experts.down_proj": 8192, "mlp.experts.gate_up_proj": 16384}
    scored(folder, *CELL, (0.8, FLOAT32), label="lora:r=8")
    folder.sweep()
    page = report.page(report.scan(folder.path))
    assert "frozen" not in page and "unadapted" not in page
    scored(folder, "VeRA", "SST-2", (0.9, FLOAT32), label="vera:r=256", unadapted=frozen)
    folder.sweep()
    found = report.scan(folder.path)
    page = report.page(found)
    assert "experts stayed frozen with vera:r=256; other methods" in page
    assert "mlp.experts.down_proj, mlp.experts.gate_up_proj" in page
    assert sorted(report.runs_table(found).unadapted) == ["", "mlp.experts.down_proj, mlp.experts.gate_up_proj"]
