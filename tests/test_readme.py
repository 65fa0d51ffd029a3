"""The README: its length, its tables, and its code, which runs on the base installation."""

import json
import re

from circpeft import models, results

README = (results.ROOT / "README.md").read_text(encoding="utf-8")
HUB_ID = "FacebookAI/roberta-base"
# What the extras add to the base installation, as far as another base package does not need it.
EXTRAS = ["datasets", "pandas", "sklearn", "scipy", "PIL", "plotly", "matplotlib", "papermill", "IPython", "ray"]


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_the_table_of_results_is_that_of_the_record(load_benchmark):
    benchmark = load_benchmark("entailment")
    rows = json.loads(benchmark.RECORD.read_text(encoding="utf-8"))
    assert benchmark.part_text(rows) == benchmark.PART.read()
    assert benchmark.PICTURE.stat().st_size > 5_000
    assert f"![Test accuracy against trainable parameters on the embedded entailment task]({_relative(benchmark)})" in (
        README
    )


def _relative(benchmark) -> str:
    return benchmark.PICTURE.relative_to(results.ROOT).as_posix()


def test_the_record_keeps_the_promises(load_benchmark):
    """Over three seeds, C3A and CDVFT are within two points of full fine-tuning, with LoRA's learning rate and a small
    share of its parameters. On two idle cores, a run takes less than three minutes.
    """
    rows = json.loads(load_benchmark("entailment").RECORD.read_text(encoding="utf-8"))
    mean = {
        label: sum(scores) / len(scores)
        for label in {row["label"] for row in rows}
        for scores in [[row["test_score"] for row in rows if row["label"] == label]]
    }
    count = {row["label"]: row["trainable_parameters"] for row in rows}
    shares = {"c3a": 0.1, "cdvft": 0.25, "c3a:block_size=64": 0.5}
    for label, share in shares.items():
        assert count[label] <= share * count["lora"]
        assert mean[label] > mean["head"] + 0.4 and round(mean["full"] - mean[label], 6) <= 0.02
        assert {row["seed"] for row in rows if row["label"] == label} == {0, 1, 2}
    rates = {(r["label"], r["settings"]["learning_rate"], r["settings"]["head_learning_rate"]) for r in rows}
    assert {(label, 1e-3, 1e-3) for label in shares} == {rate for rate in rates if rate[0] in shares}
    assert [rate for label, rate, _ in rates if label == "lora"] == [1e-3]
    on_two_cores = [row for row in rows if row["device"] == "CPU, 2 threads"]
    ours = [row for row in on_two_cores if row["method"] in ("c3a", "cdvft")]
    assert "c3a" in {row["method"] for row in ours}
    assert max(row["seconds"] for row in ours) < 180


def test_the_tables_of_speed_are_those_of_the_records(load_benchmark):
    cpu, gpu = load_benchmark("speed_table"), load_benchmark("gpu_table")
    assert cpu.steps_text(json.loads(cpu.RECORD.read_text(encoding="utf-8"))) == cpu.README.read()
    steps, _, layers = gpu.read()
    assert gpu.readme_text(steps, layers) == gpu.README.read()


def test_the_readme_says_where_pefts_c3a_is_faster_on_a_gpu(load_benchmark):
    """On LLaMA2-7B, and in three of four layers, PEFT's C3A is faster than ours, and LoRA is faster than both."""
    gpu = load_benchmark("gpu_table")
    steps, _, layers = gpu.read()
    speed = {(r["model"], r["label"], r["backend"]): r["tokens_per_second"] for r in steps if "error" not in r}
    ours, theirs, lora = (
        speed["llama2-7b", label, "auto"] for label in ("c3a:block_size=128", "c3a-peft:block_size=128", "lora:r=32")
    )
    assert ours < theirs < lora
    assert (
        f"PEFT's C3A is faster than ours on LLaMA2-7B ({theirs:,.0f} against {ours:,.0f} tokens per second)" in README
    )
    added = [{name: of["both"][1] for name, of in row["beyond_frozen_ms"].items()} for row in layers["rows"]]
    lost = [row for row in added if row["peft c3a"] < row["c3a"]]
    assert f"in {len(lost)} of {len(added)} single layers in float32" in README
    assert all(row["lora r=8"] < min(row["c3a"], row["peft c3a"]) for row in lost)


def test_the_code_runs_on_the_base_installation(run_python):
    """The code is the README's, with a local model in place of the one from the hub."""
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line and not line.startswith("#")]) <= 10
    assert code.count(HUB_ID) == 1
    script = "\n".join(
        [
            "import sys",
            f"sys.modules.update(dict.fromkeys({EXTRAS}))  # an import of these raises ImportError",
            code.replace(HUB_ID, models.resolve("minilm")),
            "print([sum(p.numel() for p in group['params']) for group in optimizer.param_groups])",
        ]
    )
    [trained] = json.loads(run_python(script).splitlines()[-1])
    layers, d, b, classes = 6, 384, 96, 2
    assert trained == layers * 2 * d * d // b + classes * (d + 1)
