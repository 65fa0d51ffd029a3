"""The ways to compute a layer that are compared on a GPU, and the rows that measure them; here on a CPU."""

import doctest
import json

import pytest
import torch

from circpeft.ops.backends import leaf_torch, leaf_triton
from circpeft.ops.backends.leaf_algebra import coarse_size, coarse_sizes
from circpeft.ops.triton_launch import KernelFailed, Kernels

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def layers(load_benchmark):
    return load_benchmark("gpu_layers")


@pytest.fixture(scope="module")
def cases(layers):
    import gpu_cases  # by its own name, as the other modules import it

    return gpu_cases


@pytest.mark.parametrize(
    "name", ["gpu_cases", "gpu_errors", "gpu_layers", "gpu_print", "gpu_rule", "gpu_targets", "gpu_timing"]
)
def test_the_examples_of_the_docstrings(load_benchmark, name):
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(load_benchmark(name), optionflags=options).failed == 0


def test_lora_is_compared_with_both_dtypes_of_adapters(cases):
    half, single = (cases.all_ways(cases.Size(8, 64, 64, 32, dtype)) for dtype in ("bfloat16", "float32"))
    assert {f"lora r={r}{suffix}" for r in (8, 32) for suffix in ("", " bfloat16")} <= half.keys()
    dtypes = {}
    for name in ("lora r=8", "lora r=8 bfloat16"):
        model = cases.model_of(half[name], cases.Size(8, 64, 64, 32, "bfloat16"), CPU, {})
        dtypes[name] = {p.dtype for p in cases.trained(model)}
    assert dtypes == {"lora r=8": {torch.float32}, "lora r=8 bfloat16": {torch.bfloat16}}
    assert {"c3a fold", "cdvft fold"} <= single.keys() and "c3a fold" not in half and "peft c3a" in half


def test_every_backend_and_every_r_of_a_block_size_takes_part(cases):
    size = cases.Size(8, 4096, 4096, 4096, "bfloat16")
    ways = cases.our_ways(size, every_r=True)
    assert {ways[f"c3a leaf R={r}"].leaves for r in (16, 32)} == {16, 32} and coarse_size(4096) == 64
    assert (
        ways["c3a leaf apart"].apart
        and "c3a leaf R=64" not in ways
        and {"c3a", "c3a rfft", "c3a leaf", "cdvft leaf"} <= ways.keys()
    )
    assert not any("leaf" in name for name in cases.our_ways(cases.Size(8, 127, 127, 127, "float32")))


def test_forced_leaves_reach_the_products_and_are_undone(cases):
    assert coarse_sizes(64) == [8, 16, 64] and leaf_torch.leaf_size(64) == 64
    with cases.forced(cases.Way(None, "leaf", 16)):
        assert leaf_torch.leaf_size(64) == leaf_triton.leaf_size(64) == leaf_triton.coarse_size(64) == 16
    assert leaf_triton.coarse_size is coarse_size and leaf_torch.leaf_size(64) == 64


def test_a_way_whose_kernels_fail_does_not_fall_back_to_torch(layers, cases, monkeypatch):
    def fails(kernels, kernel, *arguments, **constants):
        raise KernelFailed(f"{kernel} failed")

    monkeypatch.setattr(Kernels, "launch", fails)
    monkeypatch.setattr(Kernels, "are_usable", lambda kernels, device: True)
    size = cases.Size(4, 64, 64, 64, "float32")
    ways = {n: w for n, w in cases.all_ways(size).items() if n in ("frozen", "c3a rfft", "c3a leaf", "cdvft leaf")}
    row = layers.gpu_row(size, ways, CPU, 1e9, repeats=1)
    assert row["failed"] == {name: "KernelFailed: leaf_matrices failed" for name in ("c3a leaf", "cdvft leaf")}
    assert row["beyond_frozen_ms"].keys() == {"c3a rfft"}


@pytest.mark.parametrize("backend", ["rfft", "leaf", "reference"])
def test_the_backend_that_auto_took_is_seen_by_its_calls(cases, backend):
    size = cases.Size(3, 64, 64, 32, "float32")
    way = cases.Way(cases.our_ways(size)["c3a"].config, backend)
    model = cases.model_of(way, size, CPU, {})
    with cases.forced(way):
        assert cases.chosen_backend(lambda: model(size.inputs(CPU))) == backend
    with cases.forced(cases.Way(None, "fold")):
        assert cases.chosen_backend(lambda: model(size.inputs(CPU))) == "fold"


def test_apart_the_frozen_layer_is_called_by_itself(cases):
    size, built = cases.Size(3, 64, 64, 32, "float32"), {}
    ways = cases.our_ways(size, every_r=True)
    models = [cases.model_of(ways[name], size, CPU, built) for name in ("c3a leaf", "c3a leaf apart")]
    assert models[0] is not models[1] and models[0] is cases.model_of(ways["c3a rfft"], size, CPU, built)
    hooks = [model.base_model.model[0].base_layer._forward_hooks for model in models]
    assert not hooks[0] and len(hooks[1]) == 1


@pytest.mark.parametrize("precision", ["tf32", "float32", "bfloat16"])
def test_tf32_is_allowed_only_where_it_is_measured(layers, cases, precision):
    matmul, seen = torch.backends.cuda.matmul, []
    before = matmul.fp32_precision
    size = cases.Size(4, 64, 64, 32, precision)
    [(model, call)] = layers.passes_of({"frozen": cases.Way()}, size, CPU, {}).values()
    model.register_forward_hook(lambda *_: seen.append(matmul.fp32_precision))
    model.register_full_backward_hook(lambda *_: seen.append(matmul.fp32_precision))
    call()
    assert seen == ["tf32" if precision == "tf32" else "ieee"] * 2 and matmul.fp32_precision == before


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "autocast"])
def test_a_row_has_every_way_with_its_bytes_and_its_difference(layers, cases, precision):
    size = cases.Size(4, 64, 96, 32, precision)
    ways = cases.all_ways(size, every_r=True)
    row = layers.gpu_row(size, ways, CPU, 1e9, repeats=2)
    assert row["failed"] == row["uncounted"] == {} and json.loads(json.dumps(row)) == row
    assert {"frozen", *row["beyond_frozen_ms"]} == ways.keys() and row["auto"].keys() == {"c3a", "cdvft"}
    assert all(ms["both"] == sorted(ms["both"]) for ms in row["beyond_frozen_ms"].values())
    assert all(difference < 1e-2 for difference in row["difference"].values())
    assert {"c3a leaf", "cdvft leaf"} <= row["difference"].keys()
    if precision == "autocast":  # not counted
        assert row["times_roofline"] == {}
        return
    moved, added = row["beyond_frozen_bytes"], row["beyond_frozen_ms"]["c3a rfft"]["both"][1]
    assert moved["c3a"] == moved[f"c3a {row['auto']['c3a']}"] > 0
    assert row["times_roofline"]["c3a rfft"] == pytest.approx(
        added / 1000 / (moved["c3a rfft"] / 1e9), rel=0.01, abs=0.02
    )


def test_a_way_that_cannot_be_built_is_recorded_in_its_row(layers, cases):
    size = cases.Size(4, 64, 96, 64, "float32")  # PEFT's C3A needs a divisor of 96
    ways = {name: way for name, way in cases.all_ways(size).items() if name in ("frozen", "peft c3a", "cdvft rfft")}
    row = layers.gpu_row(size, ways, CPU, 1e9, repeats=1)
    assert row["failed"].keys() == {"peft c3a"} and "64" in row["failed"]["peft c3a"]
    assert row["beyond_frozen_ms"].keys() == {"cdvft rfft"}
    assert layers.host_row(size, ways, CPU, 1)["host_us"].keys() == {"frozen", "cdvft rfft"}


def test_autocast_begins_anew_in_every_pass(layers, cases):
    """Otherwise a graph would use weights that were rounded before it was captured."""
    size = cases.Size(4, 64, 64, 32, "autocast")
    _, call = layers.passes_of({"lora r=8": cases.all_ways(size)["lora r=8"]}, size, CPU, {})["lora r=8"]
    with torch.profiler.profile() as first:
        call()
    with torch.profiler.profile() as second:
        call()
    rounded = [sum(e.name == "aten::_to_copy" for e in profile.events()) for profile in (first, second)]
    assert rounded[0] == rounded[1] > 0


def test_errors_are_small_for_every_backend_and_a_wrong_product_is_named(load_benchmark, monkeypatch):
    errors = load_benchmark("gpu_errors")
    rows = [errors.error_row(size, CPU) for size in errors.SMALL_SIZES]
    assert errors.beyond_bounds(rows) == [] and [row["failed"] for row in rows] == [{}] * len(errors.BOUNDS)
    assert {"y", "dx", "ddiagonal_0", "ddiagonal_1", "dkernel_0"} == rows[0]["errors"]["cdvft leaf"].keys()
    matmul = leaf_torch.diagonal_matmul
    monkeypatch.setattr(leaf_torch, "diagonal_matmul", lambda *a: (matmul(*a), a[6].mul_(1.1)))
    wrong = errors.beyond_bounds([errors.error_row(errors.SMALL_SIZES[2], CPU)], errors.WRONG)
    assert len(wrong) == 2 and "c3a leaf" in wrong[0] and "cdvft leaf" in wrong[1]
    assert errors.beyond_bounds([{"size": "", "bound": 1, "errors": {"c3a": {"y": float("nan")}}}])
