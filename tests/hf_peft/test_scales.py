"""Named scales through PEFT: saved and read, in patterns, sums, merges, experts, the card, and PEFT's own C3A."""

import json
import math

import peft
import pytest
import torch
from peft import PeftModel, get_peft_model

from circpeft import C3AConfig, CDVFTConfig, inject, load_peft_c3a, merge, save_peft_c3a
from circpeft.hf_peft.layer import CirculantLayer
from circpeft.hf_peft.model_card import section

CONFIGS = [C3AConfig, CDVFTConfig]
ALPHAS = ["lora", "paper", 1.0, 3.0]


def layers(model):
    return {name: m for name, m in model.named_modules() if isinstance(m, CirculantLayer)}


def changes(model, adapter="default"):
    return [layer.get_delta_weight(adapter).detach() for layer in layers(model).values() if adapter in layer.adapters]


def scaled(config, adapter):
    """Return the factor of ΔW for a layer's adapter that a config must give, from the formulas."""
    k = math.ceil(min(adapter.d_in, adapter.d_out) / adapter.block_size)
    lora = (adapter.d_in if type(config) is C3AConfig else 1) / math.sqrt(k)
    return {"lora": lora, "paper": 1.0}.get(config.alpha, config.alpha)


@pytest.mark.parametrize("cls", CONFIGS)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_scale_is_saved_as_it_was_given_and_gives_the_same_change(cls, alpha, tiny, tmp_path):
    config = cls(target_modules=["query", "dense"], block_size=8, alpha=alpha, init_weights=False)
    model = get_peft_model(tiny.bert(), config)
    for layer in layers(model).values():
        assert layer.adapters["default"].alpha == pytest.approx(scaled(config, layer.adapters["default"]))
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["alpha"] == alpha
    loaded = PeftModel.from_pretrained(tiny.bert(), tmp_path)
    assert loaded.peft_config["default"].alpha == alpha
    assert all(map(torch.equal, changes(loaded), changes(model)))
    assert torch.equal(tiny.logits(loaded), tiny.logits(model))


@pytest.mark.parametrize("cls", CONFIGS)
def test_an_adapter_with_alpha_one_gives_what_it_gave_before_there_were_names(cls, tiny, tmp_path, error):
    """The formulas of the modules with alpha = 1 are computed here from the saved numbers."""
    model = get_peft_model(tiny.mlp(), cls(target_modules=["0"], block_size=4, alpha=1.0, init_weights=False))
    model.save_pretrained(tmp_path)
    file = tmp_path / "adapter_config.json"
    saved = json.loads(file.read_text())
    assert saved["alpha"] == 1.0 and type(saved["alpha"]) is float
    loaded = PeftModel.from_pretrained(tiny.mlp(), tmp_path)
    adapter = loaded.base_model.model[0].adapters["default"]
    assert adapter.alpha == 1.0 and loaded.peft_config["default"].alpha == 1.0
    [change] = changes(loaded)
    if cls is C3AConfig:
        rows = adapter.kernel.shape[0] * 4
        expected = torch.empty(rows, 8)
        for i in range(rows):
            for j in range(8):
                expected[i, j] = adapter.kernel[i // 4, j // 4, (j - i) % 4] / 8
        assert error(change, expected) < 1e-6
    loaded.peft_config["default"].alpha = "paper"
    assert all(map(torch.equal, changes(loaded), changes(model)))


@pytest.mark.parametrize("cls", CONFIGS)
def test_a_pattern_mixes_names_and_numbers(cls, tiny, tmp_path):
    pattern = {"query": "paper", "value": 2.5, "output.dense": "lora"}
    config = cls(target_modules=["query", "key", "value", "output.dense"], block_size=4, alpha_pattern=pattern)
    model = get_peft_model(tiny.bert(), config)
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(tiny.bert(), tmp_path)
    assert loaded.peft_config["default"].alpha_pattern == pattern
    for name, layer in layers(loaded).items():
        adapter = layer.adapters["default"]
        expected = {"query": 1.0, "value": 2.5}.get(name.rsplit(".", 1)[-1], adapter.alpha_of("lora"))
        assert adapter.alpha == expected, name


@pytest.mark.parametrize("cls", CONFIGS)
@pytest.mark.parametrize("alpha", ["1.0", "lroa", None, True])
def test_one_error_names_the_choices_and_a_set_value_stays(cls, alpha):
    message = f"must be a finite number, 'lora' or 'paper', got {alpha!r}; "
    config = cls()
    for field, value in (("alpha", alpha), ("alpha_pattern", {"query": alpha})):
        with pytest.raises(ValueError) as raised:
            cls(**{field: value})
        assert message in str(raised.value) and str(raised.value).startswith(field)
        with pytest.raises(ValueError, match=field):
            setattr(config, field, value)
    assert config.alpha == "lora" and config.alpha_pattern == {}


@pytest.mark.parametrize("alpha", ["lora", "paper", -3.0])
@pytest.mark.parametrize("layout", ["row", "column"])
def test_pefts_c3a_gets_the_scale_in_its_kernel_and_back_it_is_the_papers(alpha, layout, tiny, tmp_path, error):
    options = {"target_modules": ["query", "dense"], "block_size": 8, "layout": layout, "init_weights": False}
    model = get_peft_model(tiny.bert(), C3AConfig(alpha=alpha, alpha_pattern={"query": 2.0}, **options))
    save_peft_c3a(model, tmp_path)
    theirs = PeftModel.from_pretrained(tiny.bert(), tmp_path)
    back = load_peft_c3a(tiny.bert(), tmp_path)
    assert back.peft_config["default"].alpha == "paper"
    assert all(layer.adapters["default"].alpha == 1.0 for layer in layers(back).values())
    for ours, before in zip(changes(back), changes(model), strict=True):
        assert error(ours, before) < 1e-6 and before.norm() > 0.01
    assert error(tiny.logits(theirs), tiny.logits(model)) < 1e-5


def test_a_checkpoint_of_pefts_c3a_gives_its_change_bit_for_bit(tiny, tmp_path):
    config = peft.C3AConfig(target_modules=["query"], block_size=4, init_weights="gaussian")
    theirs = get_peft_model(tiny.bert(), config)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_peft_c3a(tiny.bert(), tmp_path / "theirs")
    # The formula with the scale 1: the kernel over d_in, without another rounding.
    for name, layer in layers(ours).items():
        kernel = theirs.get_submodule(name).c3a_kernel["default"].detach()
        adapter = layer.adapters["default"]
        assert torch.equal(adapter.kernel, kernel) and torch.equal(adapter.scaled_kernel, kernel * (1.0 / layer.d_in))
    ours.save_pretrained(tmp_path / "ours")
    again = PeftModel.from_pretrained(tiny.bert(), tmp_path / "ours")
    assert all(map(torch.equal, changes(again), changes(ours)))


def mixed(tiny, cls, first, second):
    options = {"target_modules": ["0", "2"], "block_size": 2, "init_weights": False}
    model = get_peft_model(tiny.mlp(), cls(alpha=first, **options))
    model.add_adapter("other", cls(alpha=second, **options))
    if cls is CDVFTConfig:  # a sum is exact if one factor differs
        for layer in layers(model).values():
            own, other = layer.adapters["default"], layer.adapters["other"]
            with torch.no_grad():
                other.diagonal_0.copy_(own.diagonal_0)
                other.diagonal_1.copy_(own.diagonal_1)
    return model


PAIRS = [("lora", "paper", "lora"), (2.0, "lora", "lora"), ("paper", "lora", "paper"), (1.0, 2.0, 1.0)]


@pytest.mark.parametrize("cls", CONFIGS)
@pytest.mark.parametrize(("first", "second", "of_sum"), PAIRS)
def test_a_sum_of_adapters_with_different_scales_is_exact(cls, first, second, of_sum, tiny, tmp_path, error):
    model = mixed(tiny, cls, first, second)
    for layer in layers(model).values():
        layer.set_scale("other", 0.5)  # counts in the sum
    model.base_model.add_weighted_adapter(["default", "other"], [2.0, -1.0], "sum")
    assert model.peft_config["sum"].alpha == of_sum
    parts = zip(changes(model), changes(model, "other"), changes(model, "sum"), strict=True)
    assert all(error(total, 2.0 * a - b) < 1e-6 for a, b, total in parts)
    model.set_adapter("sum")
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(tiny.mlp(), tmp_path / "sum")
    assert all(map(torch.equal, changes(loaded), changes(model, "sum")))


@pytest.mark.parametrize("cls", CONFIGS)
def test_a_layer_scales_a_named_scale_and_returns_to_it(cls, tiny, error):
    config = cls(target_modules=["0"], block_size=4, init_weights=False)
    model = get_peft_model(tiny.mlp(), config).eval()
    [layer], [before] = layers(model).values(), changes(model)
    alpha = layer.adapters["default"].alpha
    layer.set_scale("default", 0.5)
    assert error(changes(model)[0], 0.5 * before) < 1e-6
    layer.scale_layer(4)
    layer.unscale_layer()
    assert layer.adapters["default"].alpha == alpha and torch.equal(changes(model)[0], before)
    x = torch.randn(3, 8)
    expected = model(x)
    model.merge_adapter()
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)
    model.unmerge_adapter()
    assert torch.equal(model(x), expected)
    torch.testing.assert_close(merge(model)(x), expected, rtol=1e-5, atol=1e-5)


def test_a_model_from_inject_has_the_default_scale(tiny):
    model = inject(tiny.mlp(), C3AConfig(target_modules=["0"], block_size=4))
    assert model[0].adapters["default"].alpha == 8 / math.sqrt(min(8, model[0].d_out) / 4)
    assert "('lora')" in repr(model[0])


CARDS = [(C3AConfig(alpha="lora"), ["alpha='lora'", "C(w) / sqrt(min(d_in, d_out) / b)", "learning rates of LoRA"])]
CARDS += [(C3AConfig(alpha=alpha), [f"alpha={alpha!r}", "C(w) / d_in", "such as 0.3"]) for alpha in ("paper", 1.0)]
CARDS += [(C3AConfig(alpha=4.0), ["alpha=4.0", "(alpha / d_in) * C(w)", "divided by alpha"])]
CARDS += [(CDVFTConfig(alpha="lora"), ["A3 C2 A1 / sqrt(ceil(min(d_in, d_out) / b))", "learning rates of LoRA"])]
CARDS += [(CDVFTConfig(alpha=2.0, num_factors=5), ["alpha=2.0", "alpha * A5 C4 A3 C2 A1"])]
CARDS += [(C3AConfig(alpha_pattern={"query": "paper", "value": 2.0}), ["query: 'paper', value: 2.0"])]


@pytest.mark.parametrize(("config", "words"), CARDS, ids=lambda value: getattr(value, "alpha", None))
def test_the_card_has_the_scale_its_formula_and_the_learning_rate(config, words):
    [line] = [line for line in section(config).splitlines() if line.startswith("- scale: ")]
    assert all(word in line for word in words), line


OTHERS = [("lora_alpha", 16, "lora_alpha = r .*multiply the learning rate by lora_alpha / r")]
OTHERS += [("use_rslora", True, "alpha='lora', which already divides by the square root of the number of blocks")]
OTHERS += [("r", 8, "'block_size'.*d_in \\* d_out / block_size parameters"), ("scale", 2.0, "counterpart is 'alpha'")]


@pytest.mark.parametrize("cls", CONFIGS)
@pytest.mark.parametrize(("field", "value", "hint"), OTHERS)
def test_a_field_of_lora_beside_alpha_raises_with_what_to_write(cls, field, value, hint):
    with pytest.raises(TypeError, match=f"'{field}'; .*{hint}"):
        cls(alpha="lora", **{field: value})
    with pytest.raises(AttributeError, match=f"'{field}'; .*{hint}"):
        setattr(cls(), field, value)
