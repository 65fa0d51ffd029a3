"""Every variant changes the optimizer, the clipping or the recipe as its name says, and nothing else."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from circpeft import C3A

SHAPES = ((8, 8, 8), (24, 8, 8), (8, 24, 4))  # d_in, d_out, b


@pytest.fixture(scope="module")
def benchmark(load_benchmark):
    return load_benchmark("steadiness")


def adapters(alpha: str) -> nn.ModuleList:
    return nn.ModuleList(C3A(d_in, d_out, b, alpha=alpha) for d_in, d_out, b in SHAPES)


def plain(recipe, model, head):
    return torch.optim.AdamW([{"params": list(model.parameters()), "lr": recipe.rate}], weight_decay=0.5)


def made(benchmark, name: str, model: nn.Module) -> torch.optim.Optimizer:
    variant = benchmark.VARIANTS[name]
    recipe = SimpleNamespace(rate=variant.rate, weight_decay=0.5)
    return benchmark.optimizer_of(variant, plain)(recipe, model, [])


def moved(benchmark, name: str) -> list[torch.Tensor]:
    """Return ΔW of every layer after a step of the variant's optimizer; all signs of the gradients are positive."""
    model = adapters(benchmark.VARIANTS[name].alpha)
    optimizer = made(benchmark, name, model)
    sum(adapter.delta_weight().sum() for adapter in model).backward()
    optimizer.step()
    return [adapter.delta_weight().detach() for adapter in model]


@pytest.mark.parametrize(("name", "other"), [("paper-as-lora", "baseline"), ("lora-as-paper", "paper")])
def test_rates_of_layers_move_every_layer_as_at_the_other_scale(benchmark, name, other):
    for delta, wanted in zip(moved(benchmark, name), moved(benchmark, other), strict=True):
        torch.testing.assert_close(delta, wanted, rtol=1e-4, atol=1e-9)


def test_one_rate_moves_layers_of_more_inputs_less_at_the_papers_scale(benchmark):
    small, large, _ = (delta.abs().mean() for delta in moved(benchmark, "paper"))
    assert large / small == pytest.approx(1 / 3, rel=1e-4)


def test_the_scale_by_inputs_differs_in_layers_with_more_inputs_than_outputs_and_not_in_others(benchmark):
    ratios = [
        a.norm() / b.norm() for a, b in zip(moved(benchmark, "inputs"), moved(benchmark, "baseline"), strict=True)
    ]
    assert [float(ratio) for ratio in ratios] == pytest.approx([1, 3**-0.5, 1], rel=1e-4)


def test_the_scale_by_inputs_moves_every_layer_as_the_rates_do(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark.c3a, "c3a_alpha", benchmark.by_inputs)
    by_scale = moved(benchmark, "inputs-scale")
    monkeypatch.undo()
    for delta, wanted in zip(by_scale, moved(benchmark, "inputs"), strict=True):
        torch.testing.assert_close(delta, wanted, rtol=1e-4, atol=1e-9)


def noted(load_benchmark, update: torch.Tensor) -> dict:
    """Return what is noted of a step that moves all kernels of a layer by ``update`` at rate 0.5."""
    layer = C3A(update.shape[-1], update.shape[-1], update.shape[-1])
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.5, "params": list(layer.parameters())}])
    spectrum = load_benchmark("update_spectrum").UpdateSpectrum()
    spectrum.on_pre_optimizer_step(None, SimpleNamespace(global_step=0), None, model=layer)
    with torch.no_grad():
        layer.kernel += update
    spectrum.on_optimizer_step(None, SimpleNamespace(global_step=0), None, optimizer=optimizer)
    [row] = spectrum.rows
    return row


def test_steps_of_equal_signs_are_all_at_frequency_zero(load_benchmark):
    row = noted(load_benchmark, torch.full((16,), 0.5))
    assert row == {"step": 0, "zero": 4.0, "others": 0.0, "largest": 4.0}


def test_steps_of_random_signs_are_the_same_at_every_frequency(load_benchmark):
    signs = torch.randint(0, 2, (4096,), generator=torch.Generator().manual_seed(0)) * 1.0 - 0.5
    row = noted(load_benchmark, signs)
    assert row["others"] == pytest.approx(1, rel=0.05) and 2 < row["largest"] < 4


def test_a_changed_option_is_in_every_group(benchmark):
    [group] = made(benchmark, "beta2-0.95", adapters("lora")).param_groups
    assert group["betas"] == (0.9, 0.95) and group["eps"] == 1e-8 and group["weight_decay"] == 0.5
    assert made(benchmark, "paper-small-eps", adapters("paper")).param_groups[0]["eps"] == 1e-12


def test_rates_of_layers_refuse_other_parameters(benchmark):
    with pytest.raises(ValueError, match="got 2 others"):
        made(benchmark, "paper-as-lora", nn.Linear(2, 2))


def test_clipping_is_off_only_where_the_name_says_so(benchmark):
    for name, variant in benchmark.VARIANTS.items():
        arguments = SimpleNamespace(max_grad_norm=1.0)
        benchmark.Clipping(variant.clip).on_train_begin(arguments, None, None)
        assert (arguments.max_grad_norm == 0) == name.endswith("no-clipping")


def test_the_recipes_differ_in_one_setting(benchmark, tmp_path):
    base = benchmark.planned("baseline", 0, tmp_path).settings
    changed = {
        name: {key for key, value in benchmark.planned(name, 0, tmp_path).settings.items() if value != base[key]}
        for name in benchmark.VARIANTS
    }
    rate = {"learning_rate", "head_learning_rate"}
    assert changed["warmup-0"] == {"warmup"} and changed["weight-decay"] == {"weight_decay"}
    assert changed["ten-epochs"] == {"epochs"} and changed["inputs"] == set()
    assert changed["half-rate"] == rate and changed["paper"] == rate | {"hyperparameters"}
    assert changed["no-clipping"] == changed["beta2-0.95"] == set()


def test_a_run_is_recorded_once_and_in_the_table(benchmark, tmp_path, capsys):
    record, command = tmp_path / "record.json", ["--variants", "paper-as-lora", "--seeds", "3"]
    settings = {"max_train": 16, "max_eval": 4, "epochs": 1, "max_new_tokens": 2}
    benchmark.main(command, record, tmp_path / "runs", **settings)
    [row] = json.loads(record.read_text(encoding="utf-8"))
    assert row["variant"] == "paper-as-lora" and row["seed"] == 3 and len(row["gradient_norms"]) == 1
    assert "| 0.000 | 0.000 |  | 0% |" in capsys.readouterr().out
    benchmark.main(command, record, tmp_path / "runs", **settings)
    assert "1 runs, 1 of them on record" in capsys.readouterr().out


def test_the_table_has_the_spread_of_each_change_and_the_sizes_of_the_steps(load_benchmark):
    table = load_benchmark("steadiness_table")
    run = {"device": "CPU, 1 threads", "versions": {"torch": "2"}, "gradient_norms": [0.5, 2.0]}
    notes = [{"zero": 0.3, "others": 0.1, "largest": 1.5}, {"zero": 0.4, "others": 0.1, "largest": 2.25}]
    rows = [
        {"variant": "baseline", "seed": 0, "test_score": 0.5, "updates": notes, **run},
        {"variant": "baseline", "seed": 2, "test_score": 0.7, "updates": [], **run},
        {"variant": "other", "seed": 2, "test_score": 0.1, "updates": notes[:1], **run},
    ]
    text = table.part_text(rows, [{"method": "lora", "seed": 1, "test_score": 1.0}], {"baseline": "A", "other": "B"})
    assert "| A | 0.500, 0.700 | 0.600 | 0.141 | 50% |" in text and "| B | -, 0.100 | 0.100 |  | 50% |" in text
    assert "| instead: lora |" in text and "every 25 steps: 0.35 and 0.10 (A). The largest" in text and "2.2;" in text


def test_the_page_has_the_table_of_the_record(benchmark):
    if not benchmark.RECORD.exists():
        pytest.skip("nothing is recorded yet")
    record = json.loads(benchmark.RECORD.read_text(encoding="utf-8"))
    assert benchmark.PART.read() == benchmark.part_text(record, benchmark.others(), benchmark.changes())
