"""The launches that notebook 11 lists are those that are counted from the layers, and their FLOPs the cost model's."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from circpeft import costs, results, use_backend
from circpeft.benchmarking import Case, frozen_layer, layer_cases
from circpeft.course import gpu_limits
from circpeft.course.layer_launches import Launch, Layer, dense, frozen, leaves, lora, methods, totals, transforms

LAYERS = [
    Layer(2048, 4096, 4096, 128),
    Layer(2048, 4096, 4096, 4096),
    Layer(8192, 768, 768, 768, number_bytes=4),
    Layer(512, 768, 768, 48, number_bytes=4),
]
DTYPES = {2: torch.bfloat16, 4: torch.float32}


def forward_launches(counted, case):
    with use_backend(case.backend):
        counted(lambda: case.model(case.x))  # makes tables that later calls have
        return counted(lambda: case.model(case.x))[0]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_launches_and_bytes_are_those_of_the_layers(load_benchmark, layer):
    counted = load_benchmark("launches").counted
    t, width, _, b, s = layer
    cases = layer_cases(t, width, width, b, DTYPES[s], "meta", r=32)
    without_adapter = forward_launches(counted, cases["frozen"])
    ways = {"lora r=32": lora, "c3a dense": dense, "c3a rfft": transforms, "c3a leaf": leaves}
    for name, launches in {name: way(layer) for name, way in ways.items()}.items():
        with_adapter = forward_launches(counted, cases[name])
        assert len(launches) == len(with_adapter) - len(without_adapter), name
        moved = sum(moved for _, moved in with_adapter) - sum(moved for _, moved in without_adapter)
        # The tables of the leaves' transform are counted there, too.
        assert sum(a.reads + a.writes for a in launches) == pytest.approx(moved, rel=1e-2 if "leaf" in name else 1e-9)


def test_adapters_in_bfloat16_need_no_casts(load_benchmark):
    counted, layer, target = load_benchmark("launches").counted, LAYERS[0], LoraConfig(r=32, target_modules=["0"])
    base = frozen_layer(layer.d_in, layer.d_out, torch.bfloat16, "meta")
    without_adapter = forward_launches(
        counted, Case(base, torch.empty(2048, 4096, dtype=torch.bfloat16, device="meta"))
    )
    x = torch.empty(2048, 4096, dtype=torch.bfloat16, device="meta", requires_grad=True)
    with_adapter = forward_launches(counted, Case(get_peft_model(base, target, autocast_adapter_dtype=False), x))
    launches = lora(layer, adapter_bytes=2)
    assert len(launches) == len(with_adapter) - len(without_adapter) == 4
    moved = sum(moved for _, moved in with_adapter) - sum(moved for _, moved in without_adapter)
    assert sum(a.reads + a.writes for a in launches) == moved


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_flops_are_those_of_the_cost_model(layer):
    t, d_in, d_out, b, _ = layer
    for backend, launches in {"rfft": transforms(layer), "leaf": leaves(layer)}.items():
        expected = costs.flops("c3a", d_in, d_out, tokens=t, block_size=b, backend=backend)
        assert sum(a.flops for a in launches) == pytest.approx(expected, abs=1)
    assert sum(a.flops for a in lora(layer)) == costs.flops("lora", d_in, d_out, tokens=t, r=32)


def test_a_launch_takes_the_longer_of_moving_and_computing():
    gpu = gpu_limits.Gpu(bytes_per_second=10.0, half=100.0, tf32=50.0, float32=5.0)
    assert Launch("moves", 20, 10, 10, "half").seconds(gpu) == 3.0
    assert Launch("computes", 20, 10, 40, "float32").seconds(gpu) == 8.0
    assert Launch("thrice", 0, 0, 50, "tf32x3").seconds(gpu) == pytest.approx(3.0)
    both = totals([Launch("a", 20, 10, 0), Launch("b", 0, 0, 40)], gpu)
    assert both["least µs"] == 11e6 and both["launches"] == 2


def test_narrow_and_rectangular_layers():
    layer = Layer(64, 768, 3072, 384)
    assert [a.flops for a in frozen(layer)] == [2 * 64 * 768 * 3072]
    assert dense(layer)[1].flops == frozen(layer)[0].flops
    assert leaves(layer)[2].flops == pytest.approx(frozen(layer)[0].flops * 2 / 32)
    assert "leaves" not in methods(Layer(64, 7 * 127, 127, 127))
    with pytest.raises(ValueError, match="block size 127"):
        leaves(Layer(64, 127, 127, 127))
    with pytest.raises(ValueError, match="10 points"):
        leaves(layer, 10)
    with pytest.raises(ValueError, match="100"):
        methods(Layer(64, 768, 768, 100))
    with pytest.raises(ValueError, match="number_bytes is 8"):
        methods(Layer(64, 768, 768, 96, number_bytes=8))
    with pytest.raises(ValueError, match="H100"):
        gpu_limits.find("H1000")


def test_the_page_has_the_least_times():
    page = (results.ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    h100, layer = gpu_limits.find("H100"), LAYERS[0]
    rows = {"`W0 x`, the frozen layer": frozen(layer), "dense ΔW": dense(layer), "`rfft`": transforms(layer)}
    rows |= {"LoRA r=32": lora(layer), "LoRA r=32, adapters in bfloat16": lora(layer, adapter_bytes=2)}
    rows["`leaf`"] = leaves(layer)
    for name, launches in rows.items():
        row = totals(launches, h100)
        assert f"| {name} | {row['GFLOP']:.1f} | {row['MB']:.0f} | {row['least µs']:.0f} |" in page, name
