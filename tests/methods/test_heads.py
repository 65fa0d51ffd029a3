"""The head of each kind of transformers model, and models without a head."""

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageClassification, AutoModelForSequenceClassification

from circpeft import methods
from circpeft.methods.model import head_names

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 32, "num_attention_heads": 2}
VISION = {"vision_config": {**SIZES, "image_size": 16, "patch_size": 8}, "text_config": SIZES}
STAGES = {"hidden_sizes": [16] * 4, "depths": [1] * 4}
TEXTS = {
    "bert": (SIZES, ["classifier"]),
    "distilbert": ({"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}, ["pre_classifier", "classifier"]),
    "bart": ({"d_model": 16, "encoder_layers": 1, "decoder_layers": 1}, ["classification_head"]),
    "xlnet": ({"d_model": 16, "n_layer": 1, "n_head": 2}, ["sequence_summary", "logits_proj"]),
    "llama": (SIZES, ["score"]),
    "modernbert": (SIZES, ["head", "classifier"]),
}
IMAGES = {
    "vit": ({**SIZES, "image_size": 16, "patch_size": 8}, ["classifier"]),
    # They lack the attribute that their prefix names.
    "clip": (VISION, ["classifier"]),
    "siglip": (VISION, ["classifier"]),
    "hgnet_v2": ({}, ["fc"]),
    "pp_lcnet": ({"scale": 0.25}, ["last_convolution", "head"]),
    # Their last norm has the same name as inner norms, which PEFT would train, too.
    "poolformer": (STAGES, ["classifier"]),
    "swiftformer": ({"embed_dims": [16] * 4, "depths": [1] * 4}, ["head", "dist_head"]),
}


def made(auto: type, kind: str, sizes: dict, classes: int = 3) -> nn.Module:
    config = AutoConfig.for_model(kind, **sizes, num_labels=classes)
    config.architectures = [kind]
    with torch.device("meta"):
        return auto.from_config(config)


CASES = [(AutoModelForSequenceClassification, kind, *case) for kind, case in TEXTS.items()]
CASES += [(AutoModelForImageClassification, kind, *case) for kind, case in IMAGES.items()]


@pytest.mark.parametrize(("auto", "kind", "sizes", "head"), CASES, ids=[case[1] for case in CASES])
def test_the_head_trains_beside_an_adapter(auto, kind, sizes, head):
    model = made(auto, kind, sizes)
    assert head_names(model) == head == head_names(made(auto, kind, sizes, classes=30_000))
    size = sum(p.numel() for name in head for p in model.get_submodule(name).parameters())
    assert methods.trainable_parameters(methods.apply(model, "head")) == size
    if kind in ("hgnet_v2", "pp_lcnet", "poolformer"):  # only convolutions
        return
    model = made(auto, kind, sizes)
    adapted = methods.apply(model, "lora", target_modules="all-linear", r=1)
    trained = {name.removeprefix("base_model.model.") for name, p in adapted.named_parameters() if p.requires_grad}
    whole = {name for name in trained if ".modules_to_save." in name}
    assert {name.split(".")[0] for name in whole} == {*head}
    assert all("lora_" in name and name.split(".")[0] not in head for name in trained - whole)


@pytest.mark.parametrize("auto", [AutoModelForSequenceClassification, AutoModelForImageClassification])
def test_a_base_model_and_a_model_with_an_inner_head_have_no_head(auto):
    perceiver = {"num_latents": 2, "d_latents": 8, "d_model": 8, "num_blocks": 1, "num_self_attends_per_block": 1}
    model = made(auto, "perceiver", perceiver)
    assert head_names(model) == head_names(model.perceiver) == []


def test_base_models_have_no_head():
    clip = made(AutoModelForImageClassification, "clip", VISION)
    assert head_names(clip.vision_model) == [] == head_names(nn.Sequential(nn.Linear(2, 2)))
    assert head_names(made(AutoModelForImageClassification, "poolformer", STAGES).poolformer) == []
