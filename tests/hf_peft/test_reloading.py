"""Saved adapters under names in use, on renamed models, and why one does not fit."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

SETTINGS = {"block_size": 8, "target_modules": ["query"]}
DIFFERENT = [
    ({"alpha": 3.0}, "alpha is .* and 3.0"),
    ({"alpha_pattern": {"query": 2.0}}, "alpha is .* and 2.0"),
    ({"block_size": 4}, "block_size is 8 .* and 4"),
    ({"target_modules": ["value"]}, r"target_modules is \['query'\] .* and \['value'\]"),
    ({"layers_to_transform": [1]}, r"layers_to_transform is None .* and \[1\]"),
    ({"modules_to_save": ["classifier"]}, r"modules_to_save is \[\] .* and \['classifier'\]"),
    ({"dropout": 0.5}, "dropout is 0.0 .* and 0.5"),
]


def trained(model, seed=7):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.3 * torch.randn(p.shape, generator=generator))
    return model.eval()


@pytest.fixture
def save(tiny, method, tmp_path):
    def saved(name, seed=7, **changed):
        model = trained(get_peft_model(tiny.bert(), method(**{**SETTINGS, **changed})), seed)
        model.save_pretrained(tmp_path / name)
        return tmp_path / name, tiny.logits(model)

    return saved


@pytest.mark.parametrize(("changed", "message"), DIFFERENT, ids=str)
def test_other_settings_under_a_name_in_use_are_named(save, tiny, changed, message):
    first, before = save("first")
    second, wanted = save("second", 8, **changed)
    model = PeftModel.from_pretrained(tiny.bert(), first)
    with pytest.raises(ValueError, match=f"adapter 'default' with other settings.*second: {message}"):
        model.load_adapter(second, "default")
    assert torch.equal(tiny.logits(model), before)
    model.load_adapter(second, "other")
    model.set_adapter("other")
    torch.testing.assert_close(tiny.logits(model.eval()), wanted)


def test_other_settings_of_only_one_method(methods, tiny, tmp_path):
    for method, changed in zip(methods, ({"layout": "column"}, {"num_factors": 5}), strict=True):
        folder = tmp_path / method.name
        get_peft_model(tiny.bert(), method(**SETTINGS, **changed)).save_pretrained(folder)
        model = get_peft_model(tiny.bert(), method(**SETTINGS))
        with pytest.raises(ValueError, match=next(iter(changed))):
            model.load_adapter(folder, "default")


def test_equal_settings_are_loaded_over_a_name_in_use(save, tiny):
    first, _ = save("first")
    # Written in another way, these settings are the same.
    second, wanted = save("second", 8, target_modules=r".*\.query", block_size=2, block_size_pattern={"query": 8})
    model = PeftModel.from_pretrained(tiny.bert(), first)
    model.load_adapter(second, "default")
    torch.testing.assert_close(tiny.logits(model), wanted)


def test_another_method_under_a_name_in_use(methods, tiny, tmp_path):
    lora = get_peft_model(tiny.bert(), LoraConfig(target_modules=["query"]))
    lora.save_pretrained(tmp_path / "lora")
    get_peft_model(tiny.bert(), methods[1](**SETTINGS)).save_pretrained(tmp_path / "cdvft")
    model = get_peft_model(tiny.bert(), methods[0](**SETTINGS))
    for folder, kind in (("lora", "LORA"), ("cdvft", "CDVFT")):
        with pytest.raises(ValueError, match=f"'default' of CIRCONV, and .*{folder} has one of {kind}"):
            model.load_adapter(tmp_path / folder, "default")


def test_a_config_made_by_hand_for_a_saved_adapter(save, tiny, method):
    folder, wanted = save("first")
    config = method(**{**SETTINGS, "alpha": 1.0})
    model = PeftModel.from_pretrained(tiny.bert(), folder, config=config)
    assert model.peft_config["default"].alpha == 1.0
    with pytest.raises(ValueError, match="saved with block size 8, but the settings give 4"):
        PeftModel.from_pretrained(tiny.bert(), folder, config=method(**{**SETTINGS, "block_size": 4}))


def renamed(folder, rename):
    file = folder / "adapter_model.safetensors"
    state = {rename(key): value for key, value in load_file(file).items()}
    save_file(state, file, metadata={"format": "pt"})


@pytest.mark.parametrize("through", ["PeftModel", "load_adapter", "transformers"])
def test_keys_that_transformers_has_renamed(method, tiny, tmp_path, through):
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    text = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 30,
    }
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlavaConfig(
        text_config=LlamaConfig(**text), vision_config=CLIPVisionConfig(image_size=8, patch_size=4, **vision)
    )

    def llava():
        torch.manual_seed(0)
        return LlavaForConditionalGeneration(config).eval()

    adapter = method(target_modules=r".*language_model.*\.q_proj", block_size=8)
    model = trained(get_peft_model(llava(), adapter))
    model.save_pretrained(tmp_path)
    renamed(tmp_path, lambda key: key.replace("model.language_model.layers", "language_model.model.layers"))
    assert all("language_model.model.layers" in key for key in load_file(tmp_path / "adapter_model.safetensors"))
    if through == "PeftModel":
        loaded = PeftModel.from_pretrained(llava(), tmp_path)
    elif through == "load_adapter":
        loaded = get_peft_model(llava(), adapter)
        loaded.load_adapter(tmp_path, "other")
        loaded.set_adapter("other")
    else:
        loaded = llava()
        loaded.load_adapter(str(tmp_path))
    torch.testing.assert_close(tiny.logits(loaded.eval()), tiny.logits(model))
    renamed(tmp_path, lambda key: key.replace("layers.0", "layers.3"))
    with pytest.raises(ValueError, match=r"layers\.3.*no such layer.*the nearest is .*layers\.0"):
        PeftModel.from_pretrained(llava(), tmp_path)


def test_a_key_mapping_of_the_user(save, tiny):
    folder, wanted = save("first")
    renamed(folder, lambda key: key.replace("encoder.layer", "blocks"))
    with pytest.raises(ValueError, match="blocks.*no such layer"):
        PeftModel.from_pretrained(tiny.bert(), folder)
    model = PeftModel.from_pretrained(tiny.bert(), folder, key_mapping={r"bert\.blocks": "bert.encoder.layer"})
    torch.testing.assert_close(tiny.logits(model), wanted)


def wider(tiny):
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig(vocab_size=30, **{**tiny.sizes, "hidden_size": 24}))


class Around(torch.nn.Module):
    """A model around another."""

    def __init__(self, net):
        super().__init__()
        self.net = net


REASONS = [
    (
        lambda tiny: wider(tiny),
        None,
        "has 16 inputs and 16 outputs in the file, but 24 and 24 in.*another base model",
    ),
    (lambda tiny: Around(tiny.bert()), None, "has its layers under 'net.'"),
    (lambda tiny: tiny.bert(), lambda key: key.replace("bert.", "net.bert."), "with this model as the part 'net.'"),
    (lambda tiny: tiny.bert(), lambda key: key.replace("layer.1", "layer.9"), "no such layer.*nearest is .*layer.1"),
    (lambda tiny: tiny.bert(), lambda key: key.split("adapters.")[0][:-8] + "lora_A.weight", "parameters of LORA"),
    (lambda tiny: tiny.bert(), lambda key: key.removeprefix("base_model.model."), "begin with 'base_model.model.'"),
]


@pytest.mark.parametrize(("base", "rename", "reason"), REASONS, ids=[reason for _, _, reason in REASONS])
def test_what_does_not_fit_says_why(methods, tiny, tmp_path, base, rename, reason):
    get_peft_model(tiny.bert(), methods[0](target_modules=["query"])).save_pretrained(tmp_path)
    if rename:
        renamed(tmp_path, rename)
    model = base(tiny)
    modules = list(model.named_modules())
    with pytest.raises(ValueError, match=reason):
        PeftModel.from_pretrained(model, tmp_path)
    assert list(model.named_modules()) == modules


def test_a_module_that_was_not_saved_is_named(save, tiny, method):
    folder, _ = save("first", modules_to_save=["classifier"])
    file = folder / "adapter_model.safetensors"
    state = load_file(file)
    save_file({key: value for key, value in state.items() if "classifier" not in key}, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="lacks 'base_model.model.classifier"):
        PeftModel.from_pretrained(tiny.bert(), folder)
