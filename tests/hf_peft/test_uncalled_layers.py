"""Layers that a model reads without calling them get no adapter, because it would have no effect."""

import pytest
import torch
from torch import nn
from transformers import (
    MambaConfig,
    MambaForCausalLM,
    SiglipConfig,
    SiglipForImageClassification,
    WavLMConfig,
    WavLMModel,
)

from circpeft import inject
from circpeft.hf_peft.uncalled_layers import uncalled_layers

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 32, "num_attention_heads": 2}


def mamba() -> nn.Module:
    torch.manual_seed(0)
    return MambaForCausalLM(MambaConfig(vocab_size=20, hidden_size=16, num_hidden_layers=2, state_size=4))


def siglip() -> nn.Module:
    torch.manual_seed(0)
    return SiglipForImageClassification(
        SiglipConfig(vision_config={**SIZES, "image_size": 16, "patch_size": 8}, text_config=SIZES)
    )


def adapted(model: nn.Module) -> set[str]:
    return {name.split(".")[-1] for name, layer in model.named_modules() if hasattr(layer, "base_layer")}


def test_all_linear_leaves_out_uncalled_layers(method):
    with pytest.warns(
        UserWarning, match=r"all-linear leaves out 6 layers, backbone\.layers\.0\.mixer\.dt_proj, .*, \.\.\.: "
    ):
        model = inject(mamba(), method(target_modules="all-linear"))
    assert adapted(model) == {"in_proj"}
    with pytest.warns(UserWarning, match=r"leaves out 1 layers, vision_model\.head\.attention\.out_proj: the model"):
        model = inject(siglip(), method(target_modules="all-linear", exclude_modules=["classifier"]))
    assert adapted(model) == {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"}
    assert not hasattr(model.vision_model.head.attention.out_proj, "base_layer")


@pytest.mark.parametrize("name", ["x_proj", "dt_proj", "out_proj"])
def test_an_uncalled_layer_that_is_named_raises(method, name):
    with pytest.raises(TypeError, match=rf"the fused kernel of mamba reads the weight of layer '.*\.{name}' without"):
        inject(mamba(), method(target_modules=[name]))


def test_a_layer_of_the_same_name_in_another_model_is_adapted(method):
    inject(siglip(), method(target_modules=[r"self_attn.out_proj"]))
    assert {name.rsplit(".", 1)[-1] for name in uncalled_layers(mamba())} == {"x_proj", "dt_proj", "out_proj"}
    assert list(uncalled_layers(siglip())) == ["vision_model.head.attention.out_proj"]


def test_all_linear_raises_for_a_model_without_linear_layers(method):
    from transformers import ResNetConfig, ResNetForImageClassification

    sizes = {"embedding_size": 8, "hidden_sizes": [8], "depths": [1], "num_labels": 3}
    model = ResNetForImageClassification(ResNetConfig(**sizes))
    config = method(target_modules="all-linear", exclude_modules=["1"])
    with pytest.raises(
        ValueError,
        match="'all-linear' finds no layer: ResNetForImageClassification has no linear layer except its head",
    ):
        inject(model, config)
    assert config.target_modules == "all-linear"


def test_an_excluded_layer_does_not_warn(method, recwarn):
    inject(siglip(), method(target_modules="all-linear", exclude_modules=r".*head.*|classifier"))
    assert not [w for w in recwarn if "leaves out" in str(w.message)]


def test_a_model_inside_of_another(method):
    model = nn.ModuleDict({"a": mamba(), "b": nn.ModuleDict({"out_proj": nn.Linear(4, 4)})})
    assert {name.split(".")[0] for name in uncalled_layers(model)} == {"a"}
    with pytest.raises(TypeError, match="the fused kernel of mamba reads the weight of layer 'a"):
        inject(model, method(target_modules=["out_proj"]))


@torch.no_grad()
def test_wavlms_attention_calls_none_of_its_layers():
    sizes = {**SIZES, "conv_dim": [8], "conv_kernel": [4], "conv_stride": [2], "num_conv_pos_embeddings": 4}
    model = WavLMModel(WavLMConfig(**sizes, num_conv_pos_embedding_groups=2, num_feat_extract_layers=1)).eval()
    called = []
    for name, layer in model.named_modules():
        layer.register_forward_hook(lambda *_, name=name: called.append(name))
    model(torch.randn(1, 400))
    uncalled = uncalled_layers(model)
    assert len(uncalled) == 4 and not {*uncalled} & {*called}
    assert {"encoder.layers.0.feed_forward.output_dense"} <= {*called}
