"""The fits of the evidence: controls, differences from records that no run made, skipped models, and resumption."""

import json
import time
from types import SimpleNamespace

import pytest
import torch

from circpeft import block_circulant, results


@pytest.fixture(scope="module")
def benchmark(load_benchmark):
    return load_benchmark("evidence_fits")


@pytest.fixture(scope="module")
def claims(load_benchmark):
    return load_benchmark("evidence_fit_claims")


@pytest.fixture
def options(benchmark, tmp_path):
    return benchmark.Options(folder=tmp_path)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rows_of(benchmark, updates, model="minilm", block_size=8) -> list[dict]:
    rows = []
    for i, update in enumerate(updates):
        for target, matrix in benchmark.controls(update, i).items():
            place = {"model": model, "layer": str(i), "shape": list(matrix.shape), "target": target}
            rows.append({**place, "asked": block_size, **benchmark.fitted(matrix, block_size, sweeps=5)})
    return rows


def record_of(rows: list[dict]) -> dict:
    run = {"task": "entailment", "rows": {"train": 4000}, "start_score": 0.5, "test_score": 0.9}
    run |= {"device": "CPU, 1 threads", "versions": {"torch": "2"}}
    return {"part": "fits", "planned": 2, "rows": rows, "trained": {"minilm": run}, "skipped": {"smollm2": "no wheel"}}


def test_controls_keep_what_their_name_says(benchmark):
    update = randn(12, 20) @ torch.diag(torch.arange(20.0))
    controls = benchmark.controls(update, seed=1)
    assert {matrix.shape for matrix in controls.values()} == {update.shape} and controls["update"] is update
    values = torch.linalg.svdvals(update)
    for name in ("singular values", "permuted"):
        torch.testing.assert_close(torch.linalg.svdvals(controls[name]), values, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(controls["permuted"].flatten().sort().values, update.flatten().sort().values)
    assert abs(float(controls["gaussian"].std()) - 1) < 0.2
    again, other = (benchmark.controls(update, seed=seed)["permuted"] for seed in (1, 2))
    assert torch.equal(again, controls["permuted"]) and not torch.equal(other, again)


@pytest.mark.parametrize("name", ["gaussian", "singular values"])
def test_of_a_random_control_the_circulant_represents_one_in_b(benchmark, name):
    update = torch.outer(torch.ones(16), randn(32)) + 0.1 * randn(16, 32, seed=1)  # nearly of rank one
    shares = []
    for seed in range(150):
        matrix = benchmark.controls(update, seed)[name]
        circulant = block_circulant(benchmark.fits.block_circulant_fit(matrix, 8))
        shares.append(benchmark.fits.share(matrix, circulant))
    shares = torch.tensor(shares)
    assert abs(shares.mean() - 1 / 8) < 4 * shares.std() / 150**0.5


def test_low_rank_has_as_many_parameters_as_the_other_form(benchmark):
    found = benchmark.fitted(randn(16, 16), 8, sweeps=2)
    assert found["b"] == 8 and set(found["starts"]) == {"ones", "rank one", "sizes", "random 0"}
    energies = torch.linalg.svdvals(randn(16, 16)).square()
    energies /= energies.sum()
    assert found["low_rank_circulant"] == pytest.approx(float(energies[0]), abs=1e-5)  # 32 parameters: rank 1
    assert found["low_rank_product"] == pytest.approx(float(energies[:2].sum()), abs=1e-5)  # 64: rank 2
    assert found["product"] >= max(found["circulant"], float(energies[0])) - 1e-6


def test_a_circulant_part_of_the_updates_is_found_and_stated(benchmark, claims):
    updates = [0.5 * block_circulant(randn(2, 2, 8, seed=i)) + randn(16, 16, seed=i + 50) for i in range(6)]
    found = claims.comparisons(record_of(rows_of(benchmark, updates)))
    circulant, product = found.rows
    assert circulant[:3] == ("minilm", "8 x 8", "block-circulant") and product[2] == "A3 C A1"
    assert all(cell.startswith("**+0.1") for cell in circulant[3:6])  # minus each control
    assert found.notes == ["smollm2 was skipped: no wheel."]


def test_random_updates_are_not_distinguishable_from_their_controls(benchmark, claims):
    found = claims.comparisons(record_of(rows_of(benchmark, [randn(16, 16, seed=i) for i in range(8)])))
    circulant = found.rows[0]
    assert not any("**" in cell for cell in circulant[3:6]) and circulant[6].startswith("**-0.")


def test_the_page_and_the_picture_have_every_target(benchmark, claims):
    record = record_of(rows_of(benchmark, [randn(16, 16, seed=i) for i in range(2)]))
    page = claims.page_text(record)
    assert page.count("| minilm | 8 x 8 |") == 4 and "| control: permuted |" in page
    assert "minilm: full fine-tuning on entailment, 4,000 rows, test score 0.500 before and 0.900 after." in page
    assert "Of 2 fits of ΔW by A3 C A1, the best start was:" in page
    assert len(claims.figure(record).data) == 4


def test_updates_are_the_differences_of_the_weights_in_the_blocks(benchmark, monkeypatch, tmp_path, tiny):
    before, after = tiny.bert(), tiny.bert()
    changed = after.bert.encoder.layer[1].attention.self.key.weight
    with torch.no_grad():
        changed.add_(0.5)
    monkeypatch.setattr(benchmark.base_model, "config_of", lambda *_: None)
    monkeypatch.setattr(benchmark.base_model, "load", lambda *_: before)
    monkeypatch.setattr(benchmark.training, "load_trained", lambda _: (after, None))
    found = dict(benchmark.updates(benchmark.recipe("minilm", tmp_path), (1,)))
    assert len(found) == 6 and all(".layer.1." in name for name in found)  # neither the pooler nor the head
    for name, update in found.items():
        torch.testing.assert_close(update, torch.full_like(update, 0.5 if "self.key" in name else 0.0))


@pytest.fixture
def stand_ins(benchmark, monkeypatch):
    """Replace training by nothing, and the updates of every model by three small matrices. Return the fitted ones."""
    fitted, real = [], benchmark.fitted

    def counted(matrix, block_size, sweeps):
        fitted.append(matrix)
        return real(matrix, 8, 2)

    updates = [(f"layers.{i}", randn(16, 16, seed=i)) for i in range(3)]
    names = ("task", "seed", "start_score", "test_score", "rows", "settings", "device", "versions", "commit")
    monkeypatch.setattr(benchmark.training, "run", lambda _: SimpleNamespace(**dict.fromkeys(names, 0)))
    monkeypatch.setattr(benchmark, "updates", lambda *_: iter(updates))
    monkeypatch.setattr(benchmark, "fitted", counted)
    monkeypatch.setattr(results, "code_version", lambda: "code")
    monkeypatch.setattr(benchmark, "missing_models", lambda: {})
    return fitted


def test_what_is_fitted_is_not_fitted_again(benchmark, stand_ins, options):
    first = benchmark.run("fits", options)
    assert len(first["rows"]) == 2 * 3 * 2 * 4 == len(stand_ins)
    assert benchmark.run("fits", options) == first and len(stand_ins) == len(first["rows"])
    json.dumps(first)


def test_an_interrupted_part_continues_with_the_next_layer(benchmark, stand_ins, options, monkeypatch):
    def stop(*arguments, **options):
        if len(stand_ins) == 8:  # the first layer has eight fits
            raise KeyboardInterrupt
        return counted(*arguments, **options)

    counted = benchmark.fitted
    with monkeypatch.context() as patch:
        patch.setattr(benchmark, "fitted", stop)
        with pytest.raises(KeyboardInterrupt):
            benchmark.run("fits", options)
    assert {row["layer"] for row in benchmark._finished(options)} == {"layers.0"}
    assert len(benchmark.run("fits", options)["rows"]) == 48 == len(stand_ins)


def test_rows_of_other_code_are_fitted_again(benchmark, stand_ins, options, monkeypatch):
    benchmark.run("fits", options)
    monkeypatch.setattr(results, "code_version", lambda: "other")
    assert benchmark._finished(options) == []


def test_nothing_begins_after_the_time_limit(benchmark, stand_ins, options):
    over = benchmark.Options(folder=options.folder, minutes=1, started=time.monotonic() - 61)
    assert benchmark.run("fits", over)["rows"] == [] and not stand_ins


def test_a_model_that_is_not_installed_is_skipped_and_keeps_its_earlier_rows(
    benchmark, stand_ins, options, monkeypatch, capsys
):
    earlier = benchmark.run("fits", options)
    monkeypatch.setattr(benchmark, "missing_models", lambda: {"smollm2": "Run make smollm2"})
    record = benchmark.run("fits", options, earlier)
    assert "skipped: Run make smollm2" in capsys.readouterr().err
    assert record["rows"] == earlier["rows"] and record["skipped"] == {}
    alone = benchmark.run("fits", options)
    assert {row["model"] for row in alone["rows"]} == {"minilm"} and alone["skipped"] == {"smollm2": "Run make smollm2"}


def test_a_missing_model_is_named_with_the_way_to_install_it(benchmark, monkeypatch):
    def resolve(model, dtype):
        raise FileNotFoundError(f"the model {model!r} is not installed. Run make {model}")

    monkeypatch.setattr(benchmark.models, "resolve", resolve)
    assert "Run make smollm2" in benchmark.missing_models()["smollm2"]


def test_the_estimate_counts_what_is_left(benchmark, stand_ins, options):
    total = sum(sum(study.minutes) for study in benchmark.STUDIES.values())
    assert benchmark.counts("fits", options) == (2, 2, pytest.approx(total))
