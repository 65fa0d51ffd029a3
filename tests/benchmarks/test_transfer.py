"""Best rates and power laws of synthetic scores come out as they went in; the page has the table of the record."""

import json
import math

import pytest

WIDTHS, RATES = (64, 128, 256), (1e-3, 3e-3, 1e-2, 3e-2)


@pytest.fixture(scope="module")
def benchmark(load_benchmark):
    return load_benchmark("transfer")


def row(width: int, b: int | None, rate: float, seed: int, best: float, method: str = "c3a") -> dict:
    """Return a row with scores and losses that are parabolas over log(rate), the best rate varying with the seed."""
    distance = math.log(rate / best) + 0.1 * (seed - 1)
    setting = {"task": "digits", "width": width, "method": method, "block_size": b, "learning_rate": rate, "seed": seed}
    values = {"score": 0.9 - 0.02 * distance**2, "loss": 0.4 + 0.1 * distance**2, "train_loss": 0.1}
    where = {"device": "CPU, 1 threads", "versions": {"torch": "2"}, "commit": "0"}
    return {**setting, **values, "epochs": 3, "rows": 1611, **where}


def rows(p: float, q: float) -> list[dict]:
    """Return runs whose best rates for the plain sum are ``b^p d^q``, up to a constant, so about 5e-3 as they run."""
    found = []
    for d in WIDTHS:
        for b in (d, d // 2, d // 4, d // 16):
            best = 5e-3 * (b / 64) ** p * (d / 64) ** q * math.sqrt(d / b)
            found += [row(d, b, rate, seed, best) for rate in RATES for seed in range(3)]
        found += [row(d, None, rate, seed, 5e-3, "lora") for rate in RATES for seed in range(3)]
    return found


@pytest.mark.parametrize(("p", "q"), [(0.5, -0.5), (0.6, -0.55)])
def test_the_fit_finds_the_power_law_of_the_scores(benchmark, p, q):
    text = benchmark.part_text(rows(p, q))
    for measure in ("score", "loss"):
        assert f"By {measure}: p = {p:.2f} (standard error 0.00) and q = {q:.2f}" in text


def test_the_best_rate_has_the_spread_of_its_seeds(benchmark):
    best = benchmark.best_rate(benchmark.values([row(64, 64, r, s, 5e-3) for r in RATES for s in range(3)], "score"))
    assert best.inside and best.rate == pytest.approx(5e-3, rel=1e-3)
    # The mean of three seeds drawn from -0.1, 0, 0.1.
    assert best.spread == pytest.approx(math.sqrt(0.02 / 3 / 3), rel=0.1)


def test_a_best_rate_at_the_end_of_the_range_is_named_and_left_out_of_the_fit(benchmark):
    best = benchmark.best_rate({rate: {0: -abs(math.log(rate))} for rate in RATES})
    assert not best.inside and best.rate == 3e-2
    assert benchmark.rate_text(best) == "0.03, at the end"
    assert "too few settings" in benchmark.law_text("score", [(64, 64, best)] * 9)


def test_a_single_width_has_no_exponent_of_the_width(benchmark):
    text = benchmark.part_text([r for r in rows(0.5, -0.5) if r["width"] == 128])
    assert "fitted by c b^p. The scale 1 / sqrt(k) predicts p = 0.5." in text and "By loss: p = 0.50" in text


def test_fewer_than_three_rates_have_no_best_rate(benchmark):
    with pytest.raises(ValueError, match="needs three rates, got 2"):
        benchmark.best_rate({1e-3: {0: 0.5}, 1e-2: {0: 0.6}})


def test_the_picture_shifts_smaller_blocks_by_the_root_of_their_number(benchmark):
    figure = benchmark.transfer_figure.picture(rows(0.5, -0.5))
    lines = [trace for trace in figure.data if trace.name == "b = d/16"]
    assert len(lines) == 2 * len(WIDTHS)
    assert list(lines[0].x) == pytest.approx(RATES) and list(lines[1].x) == pytest.approx([r / 4 for r in RATES])
    assert sum(trace.name == "LoRA" for trace in figure.data) == len(WIDTHS)


def test_the_planned_runs_have_one_rate_and_the_block_sizes_of_the_width(benchmark, tmp_path):
    arguments = benchmark.parser().parse_args(["--run", "--to", str(tmp_path), "--seeds", "4"])
    runs = benchmark.planned(arguments)
    assert all(run.rates[0] == run.rates[1] and run.seed == 4 and run.epochs == 3 for run in runs)
    sizes = {run.hyperparameters["block_size"] for run in runs if run.method == "c3a"}
    assert sizes == {128, 64, 32, 8} and len({run.name for run in runs}) == len(runs) == 7 * len(RATES)


def test_the_page_has_the_table_of_the_record(benchmark):
    if not benchmark.RECORD.exists():
        pytest.skip("nothing is recorded yet")
    record = json.loads(benchmark.RECORD.read_text(encoding="utf-8"))
    assert benchmark.PART.read() == benchmark.part_text(record)
    assert [benchmark.sort_key(row) for row in record] == sorted(map(benchmark.sort_key, record))
