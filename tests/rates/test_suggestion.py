"""Suggested rates: from the shapes of the layers."""

import json
import math

import pytest
from transformers import BertConfig, MixtralConfig

from circpeft.costs import MODELS
from circpeft.method_specs import SPECS
from circpeft.rates import suggest
from circpeft.rates.shapes import adapted_shapes
from circpeft.rates.suggestion import TRIED, _source_of_default

TARGETS = {"target_modules": ["query", "value"]}


@pytest.mark.parametrize("method", SPECS)
def test_every_method_has_a_rate_and_reasons(tiny, method):
    found = suggest(tiny.bert(), method, target_modules=["query", "output.dense"])
    low, high = found.interval
    assert low < found.rate < high and found.head_rate > 0 and len(found.rates) == 5
    assert len(found.reasons) >= 2 and all(reason.endswith(".") for reason in found.reasons)
    assert [layer.count for layer in found.layers] in ([], [4, 2])
    assert json.loads(json.dumps(found.to_dict()))["rate"] == found.rate and f"{found.rate:g}" in found.text


@pytest.mark.parametrize("block_size", ["auto", 64])
def test_with_lora_the_rate_is_that_of_lora_for_every_width_and_block_size(block_size):
    for model in ("roberta-base", "roberta-large"):
        found = suggest(model, "c3a", block_size=block_size, **TARGETS)
        assert found.rate == suggest(model, "lora", **TARGETS).rate == found.lora_rate
        assert suggest(model, "c3a", block_size=block_size, lora_rate=2e-4, **TARGETS).rate == 2e-4


@pytest.mark.parametrize("alpha", ["paper", 3.0])
@pytest.mark.parametrize("model", ["roberta-base", "roberta-large"])
def test_every_scale_moves_the_weight_as_fast(model, alpha):
    lora = suggest(model, "c3a", block_size=128, **TARGETS)
    other = suggest(model, "c3a", block_size=128, alpha=alpha, **TARGETS)
    assert other.rate != lora.rate
    assert other.layers[0].step == pytest.approx(lora.layers[0].step, rel=0.05)
    assert other.rate == pytest.approx(other.layers[0].rates["given"], rel=0.05)


def test_layers_of_different_widths_need_different_rates_at_the_papers_scale():
    targets = {"target_modules": ["query", "output.dense"]}
    found = suggest("roberta-base", "c3a", alpha="paper", **targets)
    asked = {layer.d_in: layer.rates["given"] for layer in found.layers}
    assert asked[3072] == pytest.approx(4 * asked[768])
    assert asked[768] < found.rate < asked[3072]
    assert "no single rate suits layers of different widths" in found.text
    assert "no single rate" not in suggest("roberta-base", "c3a", **targets).text
    assert "no single rate" not in suggest("roberta-base", "c3a", alpha="paper", **TARGETS).text


@pytest.mark.parametrize("method", ["lora", "dora"])
def test_the_step_of_a_lora_without_alpha_is_that_of_alpha_r(method):
    """As `methods.baselines` applies it; PEFT's own default would be 8 at every rank."""
    plain, given, half = (
        suggest("roberta-base", method, r=16, **more, **TARGETS) for more in ({}, {"alpha": 16}, {"alpha": 8})
    )
    assert plain.layers == given.layers and plain.layers[0].scale == 1.0
    assert half.layers[0].scale == 0.5 and half.layers[0].step != plain.layers[0].step


@pytest.mark.parametrize("model", ["minilm", "small-vit", "small-llama"])
def test_the_models_of_the_course_have_the_rates_that_were_measured(model):
    assert suggest(model).rate == SPECS["c3a"].rates_for(model)[0]
    paper = suggest(model, "c3a", alpha="paper")
    assert paper.rate == SPECS["c3a"].rates_for(model, "paper")[0]
    # What was measured and what follows from the shapes agree to the distance of two tries.
    asked = [math.log(layer.rates["paper"]) for layer in paper.layers for _ in range(layer.count)]
    assert 1 / 3 < paper.rate / math.exp(sum(asked) / len(asked)) < 3


@pytest.mark.parametrize("method", ["c3a", "cdvft"])
@pytest.mark.parametrize("alpha", ["lora", "paper", 2.0, -100.0])
@pytest.mark.parametrize("settings", [{}, {"block_size": 64}])
@pytest.mark.parametrize("model", ["minilm", "roberta-base"])
def test_a_rate_other_than_the_default_of_a_recipe_names_that_default(model, settings, alpha, method):
    found = suggest(model, method, alpha=alpha, **settings, **TARGETS)
    default = SPECS[method].rates_for(model, alpha)[0]
    assert (found.rate == pytest.approx(default)) != (f"`circpeft train` takes {default:g} unless" in found.text)
    assert 1 / 4 < found.rate / default < 4


def test_the_source_of_a_rate_is_said():
    said = {alpha: suggest("minilm", "c3a", alpha=alpha, **TARGETS).reasons[0] for alpha in ("lora", "paper", 2.0)}
    assert said["lora"] == "The rate 0.001 is LoRA's rate on minilm."
    assert said["paper"] == "The rate 0.3 is the best of the rates tried on minilm."
    assert said[2.0].endswith("tried on minilm at the papers' scale, divided by alpha.")


def test_no_rate_is_said_to_be_tried_on_a_model_that_has_only_the_general_ones():
    assert all(set(spec.model_rates) <= TRIED for spec in SPECS.values())
    assert _source_of_default("smollm2", "lora", None) == "the package's default for other models"


def test_fused_experts_are_layers():
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    config = MixtralConfig(vocab_size=30, intermediate_size=32, num_local_experts=4, **sizes)
    found = suggest(config, "c3a", target_modules=["q_proj"], target_parameters=["experts.down_proj"], alpha="paper")
    shapes = {(layer.d_in, layer.d_out, layer.count, layer.block_size) for layer in found.layers}
    assert shapes == {(16, 16, 2, 16), (32, 16, 8, 16)}
    with pytest.raises(ValueError, match="'experts.down' matches no parameter"):
        suggest(config, "c3a", target_parameters=["experts.down"])
    with pytest.raises(ValueError, match="'vera' has no hyperparameter 'target_parameters'"):
        suggest(config, "vera", target_parameters=["experts.down_proj"])


@pytest.mark.parametrize("alpha", ["lora", "paper", 2.0])
def test_one_diagonal_has_no_formula(alpha):
    found = suggest("minilm", "cdvft", num_factors=1, alpha=alpha, **TARGETS)
    assert found.layers == () and "trains one diagonal, so there is no formula" in found.text
    assert "A3" not in found.text and found.rate == (5e-4 if alpha == 2.0 else 1e-3)


def test_a_config_and_its_folder_give_the_same_layers(tmp_path):
    config = BertConfig(vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    config.save_pretrained(tmp_path)  # no weights
    shapes = adapted_shapes(config, ["query", "intermediate.dense"])
    assert shapes == adapted_shapes(str(tmp_path), ["query", "intermediate.dense"]) == [(16, 16, 2), (16, 32, 2)]


def test_a_module_stays_as_it_is(tiny):
    model = tiny.mlp()
    names = [name for name, _ in model.named_parameters()]
    assert suggest(model, "c3a", target_modules=["0"]).layers[0].block_size == 4
    assert [name for name, p in model.named_parameters() if p.requires_grad] == names


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        (("roberta-base", "c3b"), {}, ValueError, "unknown method 'c3b'; did you mean 'c3a'"),
        (("minlm", "c3a"), {}, FileNotFoundError, "did you mean 'minilm'"),
        ((3, "c3a"), {}, TypeError, "model must be a module, a config, a folder or a name, got 3"),
        (("roberta-base", "c3a"), {"blok_size": 8}, ValueError, "did you mean 'block_size'"),
        (("roberta-base", "c3a"), {"block_size": 100}, ValueError, "nearest .*divisors: 96, 128"),
        (("roberta-base", "c3a"), {"alpha": "papr"}, ValueError, "did you mean 'paper'"),
        (("roberta-base", "c3a"), {"alpha": 0.0}, ValueError, "alpha=0 leaves ΔW at zero"),
        (("roberta-base", "c3a"), {"target_modules": ["querry"]}, ValueError, "'querry' matches no layer"),
        (("roberta-base", "c3a"), {"lora_rate": -1e-3}, ValueError, "above 0, got -0.001"),
    ],
)
def test_wrong_values_are_named(arguments, settings, error, message):
    assert "roberta-base" in MODELS
    with pytest.raises(error, match=message):
        suggest(*arguments, **{**TARGETS, **settings})
