"""Base layers that accelerate keeps on the CPU or on disk: outputs, gradients, merges and saved files as in memory."""

import copy

import accelerate
import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from circpeft import merge

from .moe_models import CONFIGS, experts_of, moe, tokens
from .moe_models import adapted as moe_adapted

IDS = torch.arange(12).reshape(2, 6)
PLACES = {"embed_tokens": "cpu", "layers.0": "cpu", "layers.1": "disk", "norm": "cpu", "rotary_emb": "cpu"}
DEVICE_MAP = {f"model.{name}": place for name, place in PLACES.items()} | {"lm_head": "disk"}
close = {"atol": 1e-5, "rtol": 1e-5}
HOW = ["device_map", "cpu_offload", "disk_offload"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    folder = tmp_path_factory.mktemp("llama")
    LlamaForCausalLM(LlamaConfig(vocab_size=30, num_key_value_heads=2, **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture(params=HOW)
def offloaded(request, folder, tmp_path):
    if request.param == "device_map":
        return AutoModelForCausalLM.from_pretrained(folder, device_map=DEVICE_MAP, offload_folder=tmp_path / "off")
    model = AutoModelForCausalLM.from_pretrained(folder)
    if request.param == "cpu_offload":
        return accelerate.cpu_offload(model, execution_device="cpu")
    accelerate.disk_offload(model, str(tmp_path / "off"), execution_device="cpu")
    return model


def adapted(base, method):
    model = peft.get_peft_model(base, method(target_modules=["q_proj", "down_proj"], block_size=4))
    torch.manual_seed(7)
    for _, parameter in sorted((n, p) for n, p in model.named_parameters() if p.requires_grad):
        parameter.data.copy_(0.3 * torch.randn(parameter.shape))
    return model.eval()


@torch.no_grad()
def logits(model):
    return model.eval()(IDS).logits


def test_an_adapter_runs_trains_and_is_saved_as_in_memory(method, folder, offloaded, tmp_path):
    model, plain = adapted(offloaded, method), adapted(AutoModelForCausalLM.from_pretrained(folder), method)
    torch.testing.assert_close(logits(model), logits(plain), **close)
    for each in (model, plain):
        each(IDS, labels=IDS).loss.backward()
    trained = [[p for p in each.parameters() if p.requires_grad] for each in (model, plain)]
    for parameter, expected in zip(*trained, strict=True):
        assert parameter.device.type == "cpu"
        torch.testing.assert_close(parameter.grad, expected.grad, **close)
    model.save_pretrained(tmp_path / "adapter")
    again = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), tmp_path / "adapter")
    torch.testing.assert_close(logits(again), logits(plain), **close)


@pytest.mark.parametrize("how", ["merge", "merge_and_unload"])
def test_a_merge_keeps_the_outputs_and_leaves_the_layers_offloaded(method, offloaded, how):
    model = adapted(offloaded, method)
    before = logits(model)
    merged = merge(model) if how == "merge" else model.merge_and_unload()
    torch.testing.assert_close(logits(merged), before, **close)
    assert merged.model.layers[1].mlp.down_proj.weight.is_meta


def test_unmerging_restores_every_bit(method, offloaded):
    model = adapted(offloaded, method)
    before, base = logits(model), None
    with model.disable_adapter():
        base = logits(model)
    for _ in range(2):
        model.merge_adapter()
        torch.testing.assert_close(logits(model), before, **close)
        model.unmerge_adapter()
        assert torch.equal(logits(model), before)
    model.merge_adapter()
    with model.disable_adapter():
        assert torch.equal(logits(model), base)


@pytest.mark.parametrize("offloaded", ["device_map"], indirect=True)
def test_a_merged_model_is_saved_whole(method, offloaded, tmp_path):
    model = adapted(offloaded, method)
    before = logits(model)
    merge(model).save_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "merged")), before, **close)


@pytest.mark.parametrize("offloaded", ["cpu_offload", "disk_offload"], indirect=True)
def test_a_saved_adapter_is_loaded_onto_offloaded_layers_and_merged(method, folder, offloaded, tmp_path):
    plain = adapted(AutoModelForCausalLM.from_pretrained(folder), method)
    plain.save_pretrained(tmp_path / "adapter")
    model = peft.PeftModel.from_pretrained(offloaded, tmp_path / "adapter")
    torch.testing.assert_close(logits(model), logits(plain), **close)
    torch.testing.assert_close(logits(merge(model, safe_merge=True)), logits(plain), **close)


@pytest.mark.parametrize("offloaded", ["device_map"], indirect=True)
def test_transformers_loads_no_adapter_onto_offloaded_layers_but_peft_sets_it(method, folder, offloaded, tmp_path):
    plain = adapted(AutoModelForCausalLM.from_pretrained(folder), method)
    plain.save_pretrained(tmp_path / "adapter")
    modules = list(offloaded.named_modules())
    with pytest.raises(ValueError, match="'model.layers.1.*offloaded.*set_peft_model_state_dict"):
        offloaded.load_adapter(str(tmp_path / "adapter"))
    assert list(offloaded.named_modules()) == modules and not hasattr(offloaded, "peft_config")
    model = peft.get_peft_model(offloaded, plain.peft_config["default"])
    peft.set_peft_model_state_dict(model, load_file(tmp_path / "adapter" / "adapter_model.safetensors"))
    torch.testing.assert_close(logits(model), logits(plain), **close)


@pytest.mark.parametrize("offload", ["cpu", "disk"])
@pytest.mark.parametrize("method", CONFIGS)
def test_offloaded_experts_run_and_are_merged_and_unmerged(method, offload, tmp_path):
    base = moe("mixtral")
    plain, wanted = copy.deepcopy(base), moe_adapted(copy.deepcopy(base), method)(tokens()).logits
    if offload == "cpu":
        accelerate.cpu_offload(base, execution_device="cpu")
    else:
        accelerate.disk_offload(base, str(tmp_path / "off"), execution_device="cpu")
    model = moe_adapted(base, method)
    assert experts_of(base).get_base_layer().down_proj.is_meta
    torch.testing.assert_close(model(tokens()).logits, wanted)
    for _ in range(2):
        model.merge_adapter()
        torch.testing.assert_close(model(tokens()).logits, wanted, **close)
        model.unmerge_adapter()
        with model.disable_adapter():
            assert torch.equal(model(tokens()).logits, plain(tokens()).logits)
    torch.testing.assert_close(merge(model)(tokens()).logits, wanted, **close)
