"""An adapter file changes adapter weights and nothing else, whichever way it is loaded."""

import re

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

import circpeft
from circpeft import resume
from circpeft.hf_peft.other_methods import only_adapter_weights
from tests.peft_versions import needs_saved_biases

TARGETS = ["query", "value"]
QUERY = "base_model.model.bert.encoder.layer.0.attention.self.query"


@pytest.fixture
def saved(tiny, method, tmp_path):
    get_peft_model(tiny.bert(), method(target_modules=TARGETS, task_type="SEQ_CLS")).save_pretrained(tmp_path / "good")
    return tmp_path / "good"


def add(folder, key, tensor):
    file = folder / "adapter_model.safetensors"
    save_file({**load_file(file), key: tensor}, file, metadata={"format": "pt"})


def values(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(model, before):
    after = model.state_dict()
    return after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)


FOREIGN = {
    "base layer": (f"{QUERY}.base_layer.weight", (16, 16)),
    "plain name": (f"{QUERY}.weight", (16, 16)),
    "bias": (f"{QUERY}.base_layer.bias", (16,)),
    "embedding": ("base_model.model.bert.embeddings.word_embeddings.weight", (30, 16)),
    "original head": ("base_model.model.classifier.original_module.weight", (2, 16)),
    "copy of another adapter": ("base_model.model.classifier.modules_to_save.other.weight", (2, 16)),
    "unknown": ("base_model.model.nowhere.weight", (1,)),
    "without the prefix": ("bert.embeddings.word_embeddings.weight", (30, 16)),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_keys_are_refused_by_name(saved, tiny, method, name):
    key, shape = FOREIGN[name]
    add(saved, key, torch.ones(shape))
    bare, adapted = tiny.bert(), get_peft_model(tiny.bert(), method(target_modules=TARGETS, task_type="SEQ_CLS"))
    ways = [
        (bare, lambda: PeftModel.from_pretrained(bare, saved)),
        (bare, lambda: bare.load_adapter(str(saved))),  # by transformers
        (adapted, lambda: adapted.load_adapter(saved, "other")),
        (adapted, lambda: adapted.load_adapter(saved, "default")),
    ]
    for model, load in ways:
        before = values(model)
        with pytest.raises(ValueError, match=re.escape(key)) as raised:
            load()
        assert str(saved) in str(raised.value)
        assert same(model, before)


def test_an_adapter_does_not_overwrite_another_one(saved, tiny, method):
    adapted = get_peft_model(tiny.bert(), method(target_modules=TARGETS, task_type="SEQ_CLS"))
    own = next(key for key in load_file(saved / "adapter_model.safetensors") if "adapters." in key)
    key = own.replace("adapters.", "adapters.default.")
    add(saved, key, torch.ones_like(load_file(saved / "adapter_model.safetensors")[own]))
    before = values(adapted)
    with pytest.raises(ValueError, match=re.escape(key)):
        adapted.load_adapter(saved, "other")
    assert same(adapted, before)


@needs_saved_biases
def test_modules_to_save_and_biases_of_the_config_are_loaded(tiny, method, tmp_path):
    options = {"target_modules": TARGETS, "task_type": "SEQ_CLS", "modules_to_save": ["pooler"], "bias": "all"}
    model = get_peft_model(tiny.bert(), method(**options))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.5)
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(tiny.bert(), tmp_path)
    assert torch.allclose(tiny.logits(loaded), tiny.logits(model), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_kernels_are_floating_point_numbers(saved, tiny, dtype):
    file = saved / "adapter_model.safetensors"
    state = load_file(file)
    key = next(key for key in state if "adapters." in key)
    save_file({**state, key: torch.zeros(state[key].shape).to(dtype)}, file, metadata={"format": "pt"})
    bare = tiny.bert()
    before = values(bare)
    with pytest.raises(ValueError, match=rf"{re.escape(key)}' has values of type \w+; expected one of F64, F32"):
        PeftModel.from_pretrained(bare, saved)
    assert same(bare, before)


def test_a_pickle_is_not_opened(saved, tiny, method, tmp_path):
    """The pickle would create a file if it were read."""

    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "sprung"), "w")

    (saved / "adapter_model.safetensors").unlink()
    torch.save(Trap(), saved / "adapter_model.bin")
    adapted = get_peft_model(tiny.bert(), method(target_modules=TARGETS, task_type="SEQ_CLS"))
    loads = [
        lambda: PeftModel.from_pretrained(tiny.bert(), saved),
        lambda: tiny.bert().load_adapter(str(saved)),
        lambda: adapted.load_adapter(saved, "other"),
        lambda: adapted.load_adapter(saved, "default"),
        lambda: method.config.from_pretrained(saved),
        lambda: circpeft.load_peft_c3a(tiny.bert(), saved),
    ]
    for load in loads:
        with pytest.raises(ValueError, match=r"adapter_model\.bin is a pickle.*convert it in its folder: python -c"):
            load()
    assert not (tmp_path / "sprung").exists()


def test_the_conversion_of_a_pickle_that_the_error_prints(saved, tiny, monkeypatch):
    state = load_file(saved / "adapter_model.safetensors")
    (saved / "adapter_model.safetensors").unlink()
    torch.save(state, saved / "adapter_model.bin")
    with pytest.raises(ValueError, match="is a pickle") as raised:
        PeftModel.from_pretrained(tiny.bert(), saved)
    program = re.search('python -c "(.*)"', str(raised.value))[1]
    monkeypatch.chdir(saved)
    exec(program, {})
    assert {k: v.tolist() for k, v in load_file(saved / "adapter_model.safetensors").items()} == {
        k: v.tolist() for k, v in state.items()
    }
    PeftModel.from_pretrained(tiny.bert(), saved)


@pytest.mark.parametrize("key", ["base_layer.weight", "base_layer.bias"])
def test_other_methods_within_circpeft(tiny, tmp_path, key):
    """circpeft merges and resumes adapters of PEFT's own methods, too."""
    model = get_peft_model(tiny.bert(), LoraConfig(target_modules=TARGETS, r=2, task_type="SEQ_CLS"))
    model.save_pretrained(tmp_path)
    with only_adapter_weights():
        PeftModel.from_pretrained(tiny.bert(), tmp_path)
        model.load_adapter(tmp_path, "default")  # as the Trainer does
    add(tmp_path, f"{QUERY}.{key}", torch.ones(16, 16) if "weight" in key else torch.ones(16))
    before = values(model)
    with only_adapter_weights():
        for load in (
            lambda: PeftModel.from_pretrained(tiny.bert(), tmp_path),
            lambda: model.load_adapter(tmp_path, "default"),
        ):
            with pytest.raises(ValueError, match=rf"{key}', which is not a weight of its adapter"):
                load()
    assert same(model, before)
    PeftModel.from_pretrained(tiny.bert(), tmp_path)  # outside, PEFT's own methods are PEFT's


def test_checkpoints_with_other_files_of_weights(tmp_path):
    (tmp_path / "adapter_model.safetensors").touch()
    resume.check_checkpoint(str(tmp_path), trains_adapter=True)
    (tmp_path / "model.safetensors").touch()
    resume.check_checkpoint(str(tmp_path), trains_adapter=False)
    with pytest.raises(
        ValueError, match=r"model\.safetensors, weights of a whole model, but the run trains an adapter"
    ):
        resume.check_checkpoint(str(tmp_path), trains_adapter=True)
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(ValueError, match=r"pytorch_model\.bin, a pickle"):
        resume.check_checkpoint(str(tmp_path), trains_adapter=False)


def test_peft_c3a_files(tiny, tmp_path):
    import peft

    theirs = peft.get_peft_model(tiny.bert(), peft.C3AConfig(target_modules=TARGETS, block_size=4))
    theirs.save_pretrained(tmp_path)
    circpeft.load_peft_c3a(tiny.bert(), tmp_path)
    add(tmp_path, f"{QUERY}.base_layer.weight", torch.ones(16, 16))
    bare = tiny.bert()
    before = values(bare)
    with pytest.raises(ValueError, match=r"query\.base_layer\.weight', a weight of the base model"):
        circpeft.load_peft_c3a(bare, tmp_path)
    assert same(bare, before)


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/b", "a\\b", "C:x", "x" * 101, "a\0b", "a\nb"])
def test_names_of_adapters_are_not_paths(tiny, method, name):
    bare = tiny.bert()
    with pytest.raises(ValueError, match="adapter name"):
        get_peft_model(bare, method(target_modules=TARGETS), adapter_name=name)
    assert not [part for part, _ in bare.named_modules() if "adapters" in part]
