"""Adapters of PEFT's own C3A, read and written: the same outputs, and errors that name the file."""

import json
import warnings

import peft
import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file

from circpeft import C3AConfig, CDVFTConfig, inject, load_peft_c3a, save_peft_c3a
from circpeft.hf_peft.layer import CirculantLayer

SETTINGS = [
    {"target_modules": ["query", "value"], "block_size": 8},
    {"target_modules": ["query", "dense"], "block_size": 16, "block_size_pattern": {"layer.1.output.dense": 4}},
    {"target_modules": r".*layer\.1.*(key|query)", "block_size": 2},
    {"target_modules": ["value"], "block_size": 4, "layers_to_transform": [1]},
    {"target_modules": ["value"], "block_size": 4, "task_type": "SEQ_CLS"},
]


def theirs(tiny, **options):
    torch.manual_seed(3)
    return get_peft_model(tiny.bert(), peft.C3AConfig(init_weights="gaussian", **options)).eval()


@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_an_adapter_of_peft_loads_as_circpefts_and_back(tiny, tmp_path, options, error):
    model = theirs(tiny, **options)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if "modules_to_save" in n:
                p.mul_(1.5)
    before = tiny.logits(model)
    model.save_pretrained(tmp_path / "theirs")
    ours = load_peft_c3a(tiny.bert(), tmp_path / "theirs")
    assert any(isinstance(m, CirculantLayer) for m in ours.modules())
    assert error(tiny.logits(ours.eval()), before) < 1e-5 and error(before, tiny.logits(tiny.bert())) > 0.01
    assert {n.rsplit(".", 1)[-1] for n, p in ours.named_parameters() if p.requires_grad and "circ" in n} == {"kernel"}
    save_peft_c3a(ours, tmp_path / "back")
    back = PeftModel.from_pretrained(tiny.bert(), tmp_path / "back").eval()
    assert error(tiny.logits(back), before) < 1e-5
    first, last = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("theirs", "back"))
    assert first.keys() == last.keys() and all(torch.equal(first[key], last[key]) for key in first)


LOADS_WITHOUT = """
import sys, torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification
base = AutoModelForSequenceClassification.from_pretrained(sys.argv[1] + "/base")
model = PeftModel.from_pretrained(base, sys.argv[1] + "/adapter").eval()
with torch.no_grad():
    out = model(torch.arange(12).view(2, 6)).logits
assert "circpeft" not in sys.modules
torch.testing.assert_close(out, torch.load(sys.argv[1] + "/out.pt"), rtol=1e-5, atol=1e-5)
print("same")
"""


@pytest.mark.parametrize("layout", ["row", "column"])
def test_an_adapter_with_alpha_pattern_and_layout_loads_in_peft_without_circpeft(tiny, tmp_path, layout, run_python):
    tiny.bert().save_pretrained(tmp_path / "base")
    config = C3AConfig(
        target_modules=["query", "dense"],
        block_size_pattern={"intermediate.dense": 8},
        alpha=20.0,
        alpha_pattern={"query": -3.0},
        layout=layout,
        init_weights="gaussian",
    )
    model = get_peft_model(tiny.bert(), config, adapter_name="mine")
    torch.save(tiny.logits(model), tmp_path / "out.pt")
    save_peft_c3a(model, tmp_path / "adapter", adapter_name="mine")
    assert run_python(LOADS_WITHOUT, tmp_path).split() == ["same"]
    assert sorted(p.name for p in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_a_model_from_inject_can_be_saved_for_peft(tiny, tmp_path, error):
    model = inject(tiny.bert(), C3AConfig(target_modules=["value"], init_weights="gaussian", alpha=9.0))
    save_peft_c3a(model, tmp_path)
    assert error(tiny.logits(PeftModel.from_pretrained(tiny.bert(), tmp_path)), tiny.logits(model)) < 1e-5


def test_a_block_circulant_adapter_without_diagonals_is_c3a_in_the_column_layout(error):
    """BCA (block-circulant adapters): first-column blocks, no scale; alpha cancels the division by d_in."""
    from circpeft import block_circulant

    kernel, x = torch.randn(3, 2, 4), torch.randn(5, 8)
    config = C3AConfig(target_modules=["0"], block_size=4, layout="column", alpha=8.0)
    model = inject(torch.nn.Sequential(torch.nn.Linear(8, 12)), config)
    with torch.no_grad():
        model[0].adapters["default"].kernel.copy_(kernel)
    assert error(model(x) - model[0].base_layer(x), x @ block_circulant(kernel, layout="column").T) < 1e-5


def test_a_folder_without_an_adapter_of_pefts_c3a_raises(tiny, tmp_path):
    get_peft_model(tiny.bert(), peft.LoraConfig(target_modules=["value"])).save_pretrained(tmp_path / "lora")
    base = tiny.bert()
    modules = list(base.named_modules())
    with pytest.raises(ValueError, match="lora.*is an adapter of LORA; expected one of PEFT's C3A"):
        load_peft_c3a(base, tmp_path / "lora")
    theirs(tiny, target_modules=["value"], block_size=8).save_pretrained(tmp_path / "c3a")
    file = tmp_path / "c3a" / "adapter_model.safetensors"
    good = file.read_bytes()
    file.write_bytes(good[:500])
    with pytest.raises(ValueError, match="adapter_model.safetensors.*truncated"):
        load_peft_c3a(base, tmp_path / "c3a")
    file.unlink()
    with pytest.raises(ValueError, match="adapter_model.safetensors is missing"):
        load_peft_c3a(base, tmp_path / "c3a")
    file.write_bytes(good)
    config = tmp_path / "c3a" / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "target_modules": ["query"]}))
    with pytest.raises(ValueError, match="adapter_model.safetensors.*value.*another base model"):
        load_peft_c3a(base, tmp_path / "c3a")
    assert list(base.named_modules()) == modules


def test_an_adapter_that_peft_cannot_hold_raises_and_nothing_is_written(tiny, tmp_path):
    other = get_peft_model(tiny.bert(), CDVFTConfig(target_modules=["value"]))
    with pytest.raises(ValueError, match="no C3A adapter 'default'"):
        save_peft_c3a(other, tmp_path / "a")
    model = get_peft_model(tiny.bert(), C3AConfig(target_modules=["value"]))
    with pytest.raises(ValueError, match="no C3A adapter 'defualt'.*'default'"):
        save_peft_c3a(model, tmp_path / "a", adapter_name="defualt")
    conv = get_peft_model(tiny.gpt2(), C3AConfig(target_modules=["c_attn"]))
    with pytest.raises(
        ValueError, match="'transformer.h.0.attn.c_attn' is a Conv1D, and PEFT's C3A supports only nn.Linear"
    ):
        save_peft_c3a(conv, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_failed_write_leaves_the_earlier_adapter(tiny, tmp_path, monkeypatch):
    model = get_peft_model(tiny.bert(), C3AConfig(target_modules=["value"], init_weights="gaussian"))
    save_peft_c3a(model, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()

    def full_disk(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr("circpeft.hf_peft.peft_c3a.save_file", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_peft_c3a(model, tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_the_loaded_adapter_has_the_right_gradient_and_pefts_has_not(tiny, tmp_path):
    """The first assertion fails once PEFT repairs its C3A, because both gradients then agree."""
    model = get_peft_model(tiny.mlp(), peft.C3AConfig(target_modules=["0"], block_size=4, init_weights="gaussian"))
    model.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = load_peft_c3a(tiny.mlp(), tmp_path)
    x = torch.randn(3, 8, requires_grad=True)
    grads = [torch.autograd.grad(m(x).square().sum(), x)[0] for m in (model, ours)]
    merged = ours.merge_and_unload()
    truth = torch.autograd.grad(merged(x).square().sum(), x)[0]
    torch.testing.assert_close(grads[1], truth, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(grads[0], truth, rtol=1e-2), "PEFT computes the right input gradient now: tell it in 02"


class Nested(torch.nn.Module):
    """Two layers. The name of one is the end of the other's."""

    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(8, 8)
        self.block = torch.nn.ModuleDict({"fc": torch.nn.Linear(8, 8)})

    def forward(self, x):
        return self.block["fc"](self.fc(x))


def test_a_layer_with_a_name_that_ends_like_an_adapted_one_is_unchanged(tmp_path, error):
    torch.manual_seed(0)
    base = Nested()
    state, x = {k: v.clone() for k, v in base.state_dict().items()}, torch.randn(3, 8)
    model = get_peft_model(base, C3AConfig(target_modules="fc", init_weights=False, alpha=20.0))
    before = model(x)
    save_peft_c3a(model, tmp_path)
    model.base_model.add_weighted_adapter(["default"], [1.0], "same")
    model.set_adapter("same")
    assert not isinstance(model.base_model.model.block["fc"], CirculantLayer) and error(model(x), before) < 1e-6
    other = Nested()
    other.load_state_dict(state)
    assert error(PeftModel.from_pretrained(other, tmp_path)(x), before) < 1e-5


def test_layers_whose_names_end_alike_keep_their_block_sizes(tmp_path, error):
    def base():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Sequential(torch.nn.Linear(8, 8)))

    sizes = {"target_modules": ["0"], "block_size": 2, "block_size_pattern": {"1.0": 4}}
    model, x = get_peft_model(base(), peft.C3AConfig(init_weights="gaussian", **sizes)), torch.randn(3, 8)
    model.save_pretrained(tmp_path)
    ours = load_peft_c3a(base(), tmp_path)
    layers = {name: layer for name, layer in ours.base_model.model.named_modules() if isinstance(layer, CirculantLayer)}
    assert {name: layer.adapters["default"].block_size for name, layer in layers.items()} == {"0": 2, "1.0": 4}
    assert error(ours(x), model(x)) < 1e-5


def test_an_unknown_field_of_pefts_config_is_named(tiny, tmp_path):
    theirs(tiny, target_modules=["query"], block_size=8).save_pretrained(tmp_path)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "use_flip": True}))
    with warnings.catch_warnings(), pytest.raises(ValueError, match="use_flip") as raised:
        warnings.simplefilter("ignore")
        load_peft_c3a(tiny.bert(), tmp_path)
    assert str(file) in str(raised.value)


def test_an_adapter_of_another_architecture_is_named(tiny, tmp_path):
    theirs(tiny, target_modules=["query"], block_size=8).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="adapter_model.safetensors.*'query' matches no layer"):
        load_peft_c3a(tiny.mlp(), tmp_path)


def test_a_model_with_a_compiled_part_is_saved_for_peft(tmp_path):
    base = torch.nn.Sequential(torch.compile(torch.nn.Sequential(torch.nn.Linear(8, 4))))  # compiled when it is called
    model = get_peft_model(base, C3AConfig(target_modules=["0.0"], block_size=2, init_weights=False))
    save_peft_c3a(model, tmp_path)
    assert "base_model.model.0.0.c3a_kernel" in load_file(tmp_path / "adapter_model.safetensors")
    plain = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Linear(8, 4)))
    loaded = PeftModel.from_pretrained(plain, tmp_path).base_model.model[0][0]
    ours = model.base_model.model[0]._orig_mod[0]
    torch.testing.assert_close(loaded.get_delta_weight("default"), ours.get_delta_weight("default"))
