"""PEFT's operations on adapters of fused experts: merging, saving, several adapters."""

import copy
import subprocess
import sys
from pathlib import Path

import peft
import pytest
import torch

import circpeft

from .moe_models import (
    BOTH,
    CONFIGS,
    adapted,
    config,
    layers,
    moe,
    tokens,
    with_dense_change,
)


def test_trainable_parameters_are_those_of_every_expert():
    model = adapted(moe("mixtral"), "c3a")
    per_layer = 32 * 32 // 8 + 4 * (32 * 96 + 48 * 32) // 8
    assert model.get_nb_trainable_parameters()[0] == 2 * per_layer
    assert model.num_parameters(only_trainable=True) == 2 * per_layer
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float64}


@pytest.mark.parametrize("method", CONFIGS)
@pytest.mark.parametrize("kind", ["mixtral", "gpt_oss"])
def test_merge_unmerge_and_unload(kind, method):
    base = moe(kind)
    model = adapted(copy.deepcopy(base), method)
    outputs = model(tokens()).logits
    model.merge_adapter()
    torch.testing.assert_close(model(tokens()).logits, outputs, rtol=1e-6, atol=1e-6)
    model.unmerge_adapter()
    for name, p in base.named_parameters():
        holder, _, last = name.rpartition(".")
        module = model.base_model.model.get_submodule(holder)
        module = module.get_base_layer() if hasattr(module, "get_base_layer") else module
        assert torch.equal(getattr(module, last), p), name
    assert torch.equal(model(tokens()).logits, outputs)
    for unloaded in (circpeft.merge(copy.deepcopy(model), safe_merge=True), copy.deepcopy(model).merge_and_unload()):
        assert {n for n, _ in unloaded.named_parameters()} == {n for n, _ in base.named_parameters()}
        torch.testing.assert_close(unloaded(tokens()).logits, outputs, rtol=1e-6, atol=1e-6)
    assert torch.equal(model.unload()(tokens()).logits, base(tokens()).logits)


def test_a_merge_of_a_broken_adapter_changes_nothing():
    model = adapted(moe("mixtral"), "c3a")
    layer = list(layers(model).values())[-1]
    with torch.no_grad():
        layer.adapters["default"].down_proj_kernel[3, 0, 0, 0] = torch.nan
    before = {name: p.clone() for name, p in model.named_parameters()}
    with pytest.raises(ValueError, match="seems to be broken"):
        circpeft.merge(model, safe_merge=True)
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters() if "kernel" not in n)


@pytest.mark.parametrize("method", CONFIGS)
def test_save_and_load(tmp_path, method):
    base = moe("mixtral")
    model = adapted(copy.deepcopy(base), method)
    outputs = model(tokens()).logits
    model.save_pretrained(tmp_path)
    for low_memory in (False, True):
        loaded = peft.PeftModel.from_pretrained(
            copy.deepcopy(base), tmp_path, autocast_adapter_dtype=False, low_cpu_mem_usage=low_memory
        ).eval()
        torch.testing.assert_close(loaded(tokens()).logits, outputs, rtol=1e-5, atol=1e-5)
    loaded.load_adapter(tmp_path, "second", autocast_adapter_dtype=False)
    loaded.set_adapter("second")
    torch.testing.assert_close(loaded(tokens()).logits, outputs, rtol=1e-5, atol=1e-5)
    loaded.load_adapter(tmp_path, "second", autocast_adapter_dtype=False)  # once more, over itself
    in_transformers = copy.deepcopy(base)
    in_transformers.load_adapter(str(tmp_path))
    torch.testing.assert_close(in_transformers(tokens()).logits, outputs, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="the adapter was made for another base model"):
        peft.PeftModel.from_pretrained(moe("qwen3_moe"), tmp_path)


def test_load_in_a_fresh_process(tmp_path):
    base = moe("gpt_oss", dtype=torch.float32)
    model = adapted(copy.deepcopy(base), "cdvft")
    base.save_pretrained(tmp_path / "base")
    model.save_pretrained(tmp_path / "adapter")
    torch.save(model(tokens()).logits.detach(), tmp_path / "logits.pt")
    code = f"""
import torch, circpeft
from peft import PeftModel
from transformers import AutoModelForCausalLM
base = AutoModelForCausalLM.from_pretrained({str(tmp_path / "base")!r})
model = PeftModel.from_pretrained(base, {str(tmp_path / "adapter")!r}).eval()
ids = torch.randint(3, 64, (3, 7), generator=torch.Generator().manual_seed(1))
torch.testing.assert_close(model(ids).logits, torch.load({str(tmp_path / "logits.pt")!r}), rtol=1e-4, atol=1e-4)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr


def test_several_adapters(tmp_path):
    base = moe("mixtral")
    model = adapted(copy.deepcopy(base), "c3a")
    torch.manual_seed(2)
    # Other parameters than the first adapter's, on the same modules.
    model.add_adapter("down", config("c3a", target_modules=[], target_parameters=["experts.down_proj"]))
    model.double()
    layer = next(iter(layers(model).values()))
    assert layer.adapters["down"].weights == ["down_proj"]
    for names in (["default"], ["down"], ["default", "down"]):
        model.base_model.set_adapter(names)
        expected = with_dense_change(base, model, names)(tokens()).logits
        torch.testing.assert_close(model(tokens()).logits, expected, rtol=1e-5, atol=1e-5)
        trainable = {n for n, p in model.named_parameters() if p.requires_grad and "experts" in n}
        assert trainable == {
            n for n, _ in model.named_parameters() if any(f".{a}." in n for a in names) and "experts" in n
        }
    with model.disable_adapter():
        assert torch.equal(model(tokens()).logits, base(tokens()).logits)
    model.delete_adapter("default")
    torch.testing.assert_close(
        model(tokens()).logits, with_dense_change(base, model, ["down"])(tokens()).logits, rtol=1e-5, atol=1e-5
    )
    model.save_pretrained(tmp_path)
    loaded = peft.PeftModel.from_pretrained(copy.deepcopy(base), tmp_path / "down", autocast_adapter_dtype=False)
    torch.testing.assert_close(loaded.eval()(tokens()).logits, model(tokens()).logits, rtol=1e-5, atol=1e-5)


def test_weighted_sums(tmp_path):
    base = moe("mixtral")
    model = adapted(copy.deepcopy(base), "c3a")
    torch.manual_seed(2)
    model.add_adapter("down", config("c3a", alpha=5.0, target_modules=["k_proj"], target_parameters=BOTH[1:]))
    model.double()
    model.base_model.add_weighted_adapter(["default", "down"], [0.5, -2.0], "sum")
    layer = next(iter(layers(model).values()))
    for weight in ("gate_up_proj", "down_proj"):
        expected = 0.5 * layer.get_delta_weight("default", weight)
        if weight == "down_proj":
            expected = expected - 2.0 * layer.get_delta_weight("down")
        torch.testing.assert_close(layer.get_delta_weight("sum", weight).double(), expected, rtol=1e-5, atol=1e-6)
    model.set_adapter("sum")
    model.save_pretrained(tmp_path)
    loaded = peft.PeftModel.from_pretrained(copy.deepcopy(base), tmp_path / "sum", autocast_adapter_dtype=False).eval()
    torch.testing.assert_close(loaded(tokens()).logits, model(tokens()).logits, rtol=1e-4, atol=1e-4)

    model = adapted(moe("mixtral"), "cdvft", target_modules=[])
    model.add_adapter("other", config("cdvft", target_modules=[]))
    with pytest.raises(ValueError, match=r"experts': 'gate_up_proj', expert 0: .*not a product of 3 factors"):
        model.base_model.add_weighted_adapter(["default", "other"], [1.0, 1.0], "sum")
    assert "sum" not in model.peft_config


def test_a_batch_that_mixes_adapters_of_experts_is_an_error():
    base = moe("mixtral")
    model = adapted(copy.deepcopy(base), "c3a")
    model.add_adapter("attention", config("c3a", target_parameters=None))
    model.double()
    outputs = model(tokens()).logits
    torch.testing.assert_close(model(tokens(), adapter_names=["default"] * 3).logits, outputs, rtol=1e-6, atol=1e-6)
    mixed = model(tokens(), adapter_names=["attention", "__base__", "attention"]).logits
    torch.testing.assert_close(mixed[1], base(tokens()).logits[1], rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="a batch cannot mix __base__, default"):
        model(tokens(), adapter_names=["default", "__base__", "default"])


def test_scales():
    model = adapted(moe("mixtral"), "c3a")
    layer = next(iter(layers(model).values()))
    before = layer.get_delta_weight("default", "down_proj")
    layer.set_scale("default", 2.0)
    torch.testing.assert_close(layer.get_delta_weight("default", "down_proj"), 2 * before)
    layer.unscale_layer()
    assert torch.equal(layer.get_delta_weight("default", "down_proj"), before)


def test_save_peft_c3a_refuses_experts(tmp_path):
    with pytest.raises(ValueError, match="MixtralExperts"):
        circpeft.save_peft_c3a(adapted(moe("mixtral"), "c3a"), tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()


class ExpertsWithRouter(torch.nn.Module):
    """Experts whose module has a linear layer of its own."""

    is_transposed = False

    def __init__(self):
        super().__init__()
        self.router, self.up = torch.nn.Linear(8, 2), torch.nn.Parameter(torch.randn(2, 8, 8))

    def forward(self, x):
        shares = self.router(x).softmax(-1)
        return sum(shares[:, e : e + 1] * torch.nn.functional.linear(x, self.up[e]) for e in range(2))


@pytest.mark.parametrize("method", CONFIGS)
def test_a_layer_within_adapted_experts_is_found_again(method, tmp_path):
    base = torch.nn.Sequential(torch.nn.Linear(8, 8), ExpertsWithRouter())
    x = torch.randn(5, 8)
    targets = {"target_modules": ["0", "router"], "target_parameters": ["1.up"], "block_size": 2}
    model = adapted(copy.deepcopy(base), method, **targets)
    model.save_pretrained(tmp_path)
    loaded = peft.PeftModel.from_pretrained(copy.deepcopy(base), tmp_path)
    assert torch.equal(loaded(x), model(x))
    torch.testing.assert_close(loaded.merge_and_unload()(x), model(x))
