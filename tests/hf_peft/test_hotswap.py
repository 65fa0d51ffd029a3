"""Hot-swapping: the weights of another adapter with the same settings, in place and without compiling again."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.utils.other import ModulesToSaveWrapper
from torch import nn

from circpeft import C3AConfig, CDVFTConfig
from circpeft.hf_peft.hotswap import hotswap_adapter, prepare_model_for_compiled_hotswap
from tests.peft_versions import needs_saved_biases
from tests.versions import COMPILES_PEFT

TARGETS = ["0", "3"]


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 8), nn.Linear(8, 2))


def adapted(config, **options):
    return get_peft_model(network(), config(**{"target_modules": TARGETS, **options}))


def images():
    return torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(2))


def saved(config, folder, seed=5, **options):
    """Save another adapter, and return the outputs of its model."""
    model = adapted(config, **options)
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.normal_()
    model.save_pretrained(folder)
    return model(images())


@needs_saved_biases
def test_the_weights_change_in_place(method, tmp_path):
    options = {"modules_to_save": ["4"], "bias": f"{method.prefix}only"}
    other = saved(method, tmp_path, **options)
    model = adapted(method, **options)
    before = {name: (p, p.data_ptr(), p.requires_grad) for name, p in model.named_parameters()}
    model.train()
    hotswap_adapter(model, tmp_path, "default")
    assert torch.equal(model(images()), other)
    after = {name: (p, p.data_ptr(), p.requires_grad) for name, p in model.named_parameters()}
    assert all(after[n][0] is before[n][0] and after[n][1:] == before[n][1:] for n in before | after)
    assert model.training
    copies = [m for m in model.modules() if isinstance(m, ModulesToSaveWrapper)]
    assert len(copies) == 1 and not torch.equal(copies[0].original_module.weight, copies[0].weight)


@COMPILES_PEFT
def test_a_compiled_model_is_not_compiled_again(tmp_path):
    other = saved(C3AConfig, tmp_path)
    model = adapted(C3AConfig).eval()
    prepare_model_for_compiled_hotswap(model)
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(model, backend=backend)
    with torch.no_grad():
        first = compiled(images())
        count = len(graphs)
        hotswap_adapter(compiled, tmp_path, "default")
        second = compiled(images())
    assert count == len(graphs) == 1
    assert not torch.allclose(first, second)
    torch.testing.assert_close(second, other)


def test_one_adapter_of_several(method, tmp_path):
    other = saved(method, tmp_path)
    model = adapted(method)
    first = model(images())
    model.add_adapter("second", method(target_modules=TARGETS))
    hotswap_adapter(model, tmp_path, "second")
    assert torch.equal(model(images()), first)
    model.set_adapter("second")
    assert torch.equal(model(images()), other)


@pytest.mark.parametrize(
    ("config", "options", "text"),
    [
        (C3AConfig, {"block_size": 2}, "block_size is 8 in layer '3' on the model and 2 there"),
        (C3AConfig, {"alpha": 3.0}, "alpha is .* in layer '0' on the model and 3.0 there"),
        (C3AConfig, {"layout": "column"}, "layout is 'row' in layer '0' on the model and 'column' there"),
        (C3AConfig, {"target_modules": ["3"]}, r"target_modules is \['0', '3'\] on the model and \['3'\] there"),
        (C3AConfig, {"modules_to_save": ["4"]}, r"modules_to_save is \[\] on the model and \['4'\] there"),
        (CDVFTConfig, {}, "'default' of CIRCONV, and .* has one of CDVFT"),
    ],
)
def test_other_settings_are_refused_by_name(config, options, text, tmp_path):
    saved(config, tmp_path, **options)
    model = adapted(C3AConfig, init_weights=False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=text) as error:
        hotswap_adapter(model, tmp_path, "default")
    assert "\n" not in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_another_base_model_is_refused(tmp_path):
    network_of_saved = nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 8))
    get_peft_model(network_of_saved, C3AConfig(target_modules=TARGETS, block_size=2)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="'0'.* 8 outputs in the file, but .*4 in this model"):
        hotswap_adapter(adapted(C3AConfig, block_size=2), tmp_path, "default")


def test_a_merged_adapter_and_unknown_names_are_refused(tmp_path):
    saved(C3AConfig, tmp_path)
    model = adapted(C3AConfig)
    with pytest.raises(ValueError, match="Adapter defualt does not exist; did you mean 'default'"):
        hotswap_adapter(model, tmp_path, "defualt")
    model.merge_adapter()
    with pytest.raises(ValueError, match=r"'default' is merged, so it cannot be replaced; call unmerge_adapter\(\)"):
        hotswap_adapter(model, tmp_path, "default")
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(ValueError, match="a config without an adapter file"):
        hotswap_adapter(adapted(C3AConfig), tmp_path, "default")
    with pytest.raises(ValueError, match="expected a PeftModel.*got a Sequential"):
        hotswap_adapter(network(), tmp_path, "default")


def test_the_check_before_compiling():
    model = adapted(C3AConfig)
    with pytest.raises(ValueError, match="target_rank=4 is for LoRA: adapters of CIRCONV"):
        prepare_model_for_compiled_hotswap(model, target_rank=4)
    with pytest.raises(ValueError, match="unknown check_compiled 'eror'; did you mean 'error'"):
        prepare_model_for_compiled_hotswap(model, check_compiled="eror")
    compiled = torch.compile(model)
    with pytest.raises(ValueError, match="before the model is compiled"):
        prepare_model_for_compiled_hotswap(compiled)
    with pytest.warns(UserWarning, match="before the model is compiled"):
        prepare_model_for_compiled_hotswap(compiled, check_compiled="warn")
    prepare_model_for_compiled_hotswap(compiled, check_compiled="ignore")


def test_a_lora_is_passed_on_to_peft(tmp_path):
    other = saved(LoraConfig, tmp_path, r=2)
    model = adapted(LoraConfig, r=2)
    prepare_model_for_compiled_hotswap(model, target_rank=4)
    hotswap_adapter(model, str(tmp_path), "default", torch_device="cpu")
    torch.testing.assert_close(model(images()), other)
