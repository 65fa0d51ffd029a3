"""Adapters of models in torch's wrappers load onto models with and without them, in both directions."""

import pytest
import torch
from peft import PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

import circpeft
from circpeft.hf_peft.configs import SAVES_BIASES
from circpeft.hf_peft.written_keys import keep_own_keys
from tests.versions import needs

CONFIG = {"target_modules": ["query", "value"], "task_type": "SEQ_CLS"}


def compiled(module):
    return torch.compile(module, backend="eager")


def layers(wrap):
    def wrapped(model):
        for i, layer in enumerate(model.bert.encoder.layer):
            model.bert.encoder.layer[i] = wrap(layer)
        return model

    return wrapped


def head(model):
    model.classifier = compiled(model.classifier)
    return model


WRAPS = {
    "plain": lambda model: model,
    "compiled": compiled,
    "compiled layers": layers(compiled),
    "checkpointed layers": layers(checkpoint_wrapper),
    "data parallel": nn.DataParallel,
}


def trained(model):
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.3 * torch.randn(p.shape, generator=generator))
    return model.eval()


@pytest.mark.parametrize(
    ("saved_from", "loaded_onto"),
    [*((name, "plain") for name in WRAPS), *(("plain", name) for name in WRAPS), ("compiled", "compiled")],
)
def test_an_adapter_and_its_head_load_again(method, tiny, tmp_path, saved_from, loaded_onto):
    config = method(target_modules=["query", "value"], modules_to_save=["classifier"])
    model = trained(get_peft_model(WRAPS[saved_from](tiny.bert()), config))
    wanted = tiny.logits(model)
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(WRAPS[loaded_onto](tiny.bert()), tmp_path)
    torch.testing.assert_close(tiny.logits(loaded.eval()), wanted)
    loaded.load_adapter(tmp_path, "other")
    loaded.set_adapter("other")
    torch.testing.assert_close(tiny.logits(loaded.eval()), wanted)
    loaded.load_adapter(tmp_path, "default")


def test_saved_keys_have_no_part_of_a_wrapper(method, tiny, tmp_path):
    bias = f"{method.prefix}only" if SAVES_BIASES else "none"
    for number, wrap in enumerate(("plain", "compiled", "checkpointed layers")):
        model = get_peft_model(WRAPS[wrap](tiny.bert()), method(**CONFIG, bias=bias))
        model.save_pretrained(tmp_path / str(number))
    keys = [load_file(tmp_path / str(n) / "adapter_model.safetensors").keys() for n in range(3)]
    assert keys[0] == keys[1] == keys[2] == {key.replace("_orig_mod.", "") for key in keys[0]}
    assert len([key for key in keys[0] if key.endswith("base_layer.bias")]) == 4 * SAVES_BIASES
    assert len([key for key in keys[0] if ".classifier." in key]) == 2


@pytest.mark.parametrize("part", ["_orig_mod", "_checkpoint_wrapped_module"])
def test_a_written_file_gets_plain_keys_and_keeps_the_head(method, tiny, tmp_path, part):
    """PEFT up to 0.20 writes the parts of wrappers."""
    model = get_peft_model(tiny.bert(), method(**CONFIG))
    model.save_pretrained(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    state = load_file(file)
    save_file({key.replace("base_model.model.", f"base_model.model.{part}."): v for key, v in state.items()}, file)
    keep_own_keys(model, "default", file)
    assert load_file(file).keys() == state.keys() and any(".classifier." in key for key in state)
    assert all(torch.equal(value, state[key]) for key, value in load_file(file).items())


@pytest.mark.parametrize("loaded_onto", ["plain", "compiled"])
@pytest.mark.parametrize("part", ["_orig_mod.", "module.", "_fsdp_wrapped_module."])
def test_a_file_with_parts_of_wrappers_in_its_keys(method, tiny, tmp_path, part, loaded_onto):
    model = trained(get_peft_model(tiny.bert(), method(**CONFIG)))
    model.save_pretrained(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    state = {key.replace("base_model.model.", f"base_model.model.{part}"): v for key, v in load_file(file).items()}
    save_file(state, file, metadata={"format": "pt"})
    loaded = PeftModel.from_pretrained(WRAPS[loaded_onto](tiny.bert()), tmp_path)
    torch.testing.assert_close(tiny.logits(loaded.eval()), tiny.logits(model))
    with pytest.raises(ValueError, match=part):  # transformers does not rename such keys
        tiny.bert().load_adapter(str(tmp_path))


@pytest.mark.parametrize("targets", ["all-linear", r"bert\.encoder\.layer\.\d\.attention\.self\.query"])
def test_settings_name_layers_as_if_there_were_no_wrapper(method, tiny, tmp_path, targets):
    config = {
        "target_modules": targets,
        "task_type": "SEQ_CLS",
        "block_size": 4,
        "block_size_pattern": {r"layer\.0\.attention\.self\.query": 2},
    }
    models = []
    for name in WRAPS:
        if name != "data parallel":
            torch.manual_seed(0)
            models.append(trained(get_peft_model(WRAPS[name](tiny.bert()), method(**config))))
    wanted = tiny.logits(models[0])
    for number, model in enumerate(models):
        torch.testing.assert_close(tiny.logits(model), wanted)
        model.save_pretrained(tmp_path / str(number))
        torch.testing.assert_close(tiny.logits(PeftModel.from_pretrained(tiny.bert(), tmp_path / str(number))), wanted)


@needs("peft", "0.21", "older versions compare the keys as they are")
def test_parameters_set_by_hand_on_a_compiled_model(method, tiny):
    config = {"target_modules": ["query"]}
    model, other = (get_peft_model(wrap(tiny.bert()), method(**config)) for wrap in (WRAPS["plain"], compiled))
    set_peft_model_state_dict(other, get_peft_model_state_dict(trained(model)))
    torch.testing.assert_close(tiny.logits(other.eval()), tiny.logits(model))


def test_a_weighted_sum_on_a_compiled_model(methods, tiny, tmp_path):
    model = get_peft_model(WRAPS["compiled layers"](tiny.bert()), methods[0](target_modules=["query"]))
    trained(model).base_model.add_weighted_adapter(["default"], [1.0], "sum")
    model.set_adapter("sum")
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(tiny.bert(), tmp_path / "sum")
    torch.testing.assert_close(tiny.logits(loaded.eval()), tiny.logits(model.eval()))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_compiled_head_is_saved(method, tiny, tmp_path):
    model = trained(get_peft_model(head(tiny.bert()), method(**CONFIG)))
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(tiny.logits(PeftModel.from_pretrained(tiny.bert(), tmp_path)), tiny.logits(model))


def test_a_layer_that_is_compiled_on_its_own_is_refused(method, tiny):
    model = tiny.mlp()
    model[0] = compiled(model[0])
    with pytest.raises(TypeError, match=r"layer '0' is compiled on its own.*add the adapter first"):
        circpeft.inject(model, method(target_modules=["0"]))


def test_peft_c3a_loads_onto_a_compiled_model(tiny, tmp_path):
    config = circpeft.C3AConfig(block_size=8, init_weights=False, **CONFIG)
    model = trained(get_peft_model(tiny.bert(), config))
    circpeft.save_peft_c3a(model, tmp_path)
    loaded = circpeft.load_peft_c3a(compiled(tiny.bert()), tmp_path)
    torch.testing.assert_close(tiny.logits(loaded.eval()), tiny.logits(model))
