"""The script that settles the backends of a GPU: targets, the table for the rule, the time limit, and a trial."""

import json

import pytest
import torch

BASE = {"tokens": 2048, "d_in": 4096, "d_out": 4096, "precision": "bfloat16", "auto": {"c3a": "rfft"}}


@pytest.fixture(scope="module")
def settle(load_benchmark):
    return load_benchmark("gpu_settle")


def layer(b: int, **medians: float) -> dict:
    added = {name.replace("_", " "): {"both": [ms / 2, ms, 2 * ms]} for name, ms in medians.items()}
    return BASE | {"block_size": b, "frozen_ms": {"both": [0.1, 0.2, 0.3]}, "beyond_frozen_ms": added}


def results(targets, record: dict) -> dict[str, tuple]:
    return {row["target"]: (row["result"], row["ratio"], row["best"]) for row in targets.evaluated(record)}


def test_a_target_is_met_at_its_limit_and_missed_beyond_it(load_benchmark):
    targets = load_benchmark("gpu_targets")
    lora = {targets.LORA: 0.08}
    rows = [
        layer(32, **lora, **{"peft c3a": 0.5, "c3a": 0.1}),
        layer(64, **lora, **{"peft c3a": 0.4, "c3a": 0.12, "c3a leaf R=16": 0.06}),
    ]
    found = results(targets, {"layers": rows})
    assert found["C3A b=32, 4096, bfloat16, over lora r=32 bfloat16"] == ("pass", 1.25, ["c3a", 1.25])
    assert found["C3A b=64, 4096, bfloat16, over lora r=32 bfloat16"] == ("fail", 1.5, ["c3a leaf R=16", 0.75])
    assert found["C3A b=32, 4096, bfloat16, over PEFT's"] == ("pass", 0.2, ["c3a", 0.2])
    assert found["C3A b=64, 4096, bfloat16, over PEFT's"] == ("fail", 0.3, ["c3a leaf R=16", 0.15])
    assert found["C3A b=128, 4096, bfloat16, over PEFT's"] == ("not measured", None, None)


def test_targets_of_steps_are_read_from_their_model_and_precision(load_benchmark):
    targets = load_benchmark("gpu_targets")
    step = {"model": targets.LLAMA, "precision": "bfloat16", "peak_bytes": {"lora r=32": 100, "c3a": 101}}
    step |= {"step_ms": {"lora r=32": [1, 100, 120], "c3a": [99, 105, 106], "c3a leaf": [90, 99, 100]}}
    roberta = {"model": targets.ROBERTA, "precision": "float32", "step_ms": {"lora r=8": [1, 2, 3]}, "peak_bytes": {}}
    found = results(targets, {"steps": [step, roberta]})
    assert found["step of 8 layers of LLaMA2-7B, C3A over LoRA"] == ("pass", 1.05, ["c3a leaf", 0.99])
    assert found["memory of 8 layers of LLaMA2-7B, C3A over LoRA"] == ("fail", 1.01, ["c3a", 1.01])
    assert {found[f"step of RoBERTa-base, {how}, C3A over LoRA"][0] for how in ("float32", "autocast")} == {
        "not measured"
    }
    other = {"steps": [step | {"model": "small LLaMA"}]}
    assert {result for result, _, _ in results(targets, other).values()} == {"not measured"}


def test_a_time_that_noise_made_negative_is_no_ratio(load_benchmark):
    targets = load_benchmark("gpu_targets")
    found = results(targets, {"layers": [layer(32, **{targets.LORA: -0.01, "c3a": 0.1})]})
    assert found["C3A b=32, 4096, bfloat16, over lora r=32 bfloat16"] == ("not measured", None, None)
    assert len(targets.lines(targets.evaluated({}))) == len(targets.TARGETS)


def test_the_table_names_the_fastest_way_and_a_slower_choice_of_auto(load_benchmark):
    rule = load_benchmark("gpu_rule")
    slow = layer(64, **{"c3a": 0.3, "c3a rfft": 0.3, "c3a leaf": 0.2, "c3a leaf R=16": 0.1, "lora r=8": 0.05})
    right = layer(32, **{"c3a": 0.12, "c3a rfft": 0.1, "c3a leaf": 0.2})  # a difference of noise
    rows = rule.rule_rows([slow, right, layer(16, **{"lora r=8": 0.1})])
    assert [(r["b"], r["fastest"], r["auto"], r["slower"]) for r in rows] == [
        (32, "rfft", "rfft", pytest.approx(0.067)),
        (64, "leaf R=16", "rfft", pytest.approx(0.667)),
    ]
    _, first, second = rule.lines(rows)
    assert "SLOWER" not in first and "AUTO IS 67 % SLOWER" in second
    assert "leaf R=16 100, leaf 200, rfft 300" in second
    assert {size.precision for size in rule.SIZES} == {"bfloat16", "float32", "autocast", "tf32"}


def test_the_limit_of_narrow_layers_is_below_the_first_width_where_another_way_is_faster(load_benchmark):
    rule = load_benchmark("gpu_rule")

    def rows(precision: str, **fastest: str) -> list[dict]:
        row = {"method": "c3a", "precision": precision, "tokens": 2048}
        return [row | {"d_in": int(w[1:]), "d_out": int(w[1:]), "fastest": name} for w, name in fastest.items()]

    half = rows("bfloat16", w768="dense", w1024="dense", w2048="leaf") + rows("tf32", w1024="dense", w1536="dense")
    assert rule.narrow_limit(half, ("bfloat16", "tf32"), "dense") == 1536
    assert rule.narrow_limit(half + rows("autocast", w768="leaf"), ("bfloat16", "autocast"), "dense") == 0
    few = [row | {"tokens": 512} for row in rows("bfloat16", w768="leaf")]
    assert rule.narrow_limit(half + few, ("bfloat16", "tf32"), "dense") == 1536
    first, second = rule.limit_lines(half)
    assert first.endswith(f"dense was the fastest up to width 1536; NARROW is {rule.NARROW}")
    assert "fold was not measured" in second
    assert "fold was the fastest at no width" in rule.limit_lines(rows("float32", w768="rfft"))[1]


def test_later_rows_are_skipped_when_the_time_is_over_and_failures_are_kept(settle, tmp_path, capsys):
    now, empty = [0.0], {"host_us": {}, "failed": {}}

    def row(seconds: float) -> dict:
        now[0] += seconds
        return {name: 1 for name in ("tokens", "d_in", "d_out", "block_size", "precision")} | empty

    def fails() -> dict:
        raise RuntimeError("out of memory")

    path = tmp_path / "settle.json"
    session = settle.Session(path, torch.device("cpu"), 1, clock=lambda: now[0])
    session.run(settle.Part("host", [lambda: row(10), fails, lambda: row(26), lambda: row(1), lambda: row(1)], 25))
    session.run(settle.Part("host", [lambda: row(20)], 20))
    session.run(settle.Part("steps", [fails, fails], 10))
    record = json.loads(path.read_text())
    assert [r.get("error", r["seconds"]) for r in record["host"]] == [10, "RuntimeError: out of memory", 26, 20]
    assert record["skipped"] == ["host: 2 of 5 rows, with 24 s left", "steps: 2 of 2 rows, with 4 s left"]
    assert len(session.measured("host")) == 3 and "skipped steps: 2 of 2 rows" in capsys.readouterr().out


@pytest.mark.full
def test_a_trial_runs_every_part_and_leaves_the_records_as_they_are(settle, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in settle.OUTPUT.parent.iterdir()}
    path = tmp_path / "settle.json"
    assert settle.main(["--dry", "--output", str(path)]) == 0
    record = json.loads(path.read_text())
    assert record["skipped"] == [] and record["device"] == "CPU, a trial"
    for part in ("compiled", "errors", "layers", "steps", "host", "profile", "rule"):
        assert record[part] and not any(row.get("error") or row["failed"] for row in record[part]), part
    assert {row["result"] for row in record["targets"]} == {"not measured"}
    assert {row["precision"] for row in record["fastest"]} == {"bfloat16", "float32", "autocast"}
    assert {row["precision"] for row in record["steps"]} == {"bfloat16", "float32", "autocast"}
    out = capsys.readouterr().out
    assert "C3A b=128, 4096, bfloat16, over PEFT's" in out and "fastest" in out
    assert {path: path.stat().st_mtime_ns for path in settle.OUTPUT.parent.iterdir()} == before


def test_without_a_gpu_only_a_trial_is_possible(settle, capsys):
    with pytest.raises(SystemExit):
        settle.main([])
    assert "--dry tries everything on a CPU" in capsys.readouterr().err


def test_nothing_is_timed_if_a_backend_is_wrong(settle, tmp_path, monkeypatch, capsys):
    row = {"size": "small", "bound": 1e-3, "errors": {"c3a leaf": {"y": 0.02}}, "failed": {}}
    monkeypatch.setattr(settle.gpu_errors, "error_row", lambda size, device: row)
    path = tmp_path / "settle.json"
    assert settle.main(["--dry", "--output", str(path)]) == 1
    record = json.loads(path.read_text())
    assert "c3a leaf: {'y': 0.02}, more than 0.01" in record["wrong"][0] and "layers" not in record
    assert "Nothing was timed" in capsys.readouterr().out


def test_kernels_are_compiled_once_for_each_size_and_way(load_benchmark):
    compiling = load_benchmark("gpu_compile")
    sizes = [compiling.Size(tokens, 64, 64, 64, "float32") for tokens in (32, 64)]
    tasks = compiling.tasks_of(sizes, ("c3a",), every_r=True)
    assert {size.tokens for size, _ in tasks} == {compiling.TOKENS} and len(tasks) == len(set(tasks))
    assert {"c3a leaf", "c3a leaf R=16"} <= {name for _, name in tasks} and not any("rfft" in n for _, n in tasks)
    row = compiling.compile_row([*tasks[:1], (compiling.Size(16, 64, 60, 64, "half"), "c3a leaf")], torch.device("cpu"))
    assert [name for _, name, _ in row["ways"]] == [tasks[0][1], "c3a leaf"]
    assert row["failed"].keys() == {"16 x 64 x 60, b=64, half: c3a leaf"}
