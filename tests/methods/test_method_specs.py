"""One `MethodSpec` per method: a new method needs nothing else, and no module decides by a method's name."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import circpeft
from circpeft import costs, method_specs, methods, recipes, results
from circpeft.method_specs import SPECS, MethodSpec, get_spec
from circpeft.recipes import Recipe
from circpeft.training import base_model, distributed, saving

PACKAGE = Path(circpeft.__file__).parent


def test_every_spec_is_complete():
    for name, spec in SPECS.items():
        assert spec.name == name and spec.trains in ("adapter", "head", "part", "all")
        assert spec.implementation is methods.METHODS[name]
        assert spec.learning_rate > 0 and spec.head_learning_rate > 0
        assert set(spec.quantization) <= {"8bit", "4bit"} and (spec.trains_adapter or not spec.quantization)
    assert set(costs.METHODS) <= set(SPECS)
    assert list(recipes.LEARNING_RATES) == list(methods.METHODS) == list(SPECS)


def test_an_unknown_name_comes_with_the_nearest():
    with pytest.raises(ValueError, match="unknown method 'lorra'; did you mean 'lora'"):
        get_spec("lorra")
    for view in (methods.METHODS, recipes.LEARNING_RATES):
        with pytest.raises(KeyError, match="lorra"):
            view["lorra"]


class Callback:
    """A stand-in for a Trainer callback that is made with the model."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model


def scale(model: nn.Module, target_modules: object = None, start: "float" = 1.0) -> nn.Module:
    """A toy method: freeze the model and train one scale."""
    model.requires_grad_(False)
    model.scale = nn.Parameter(torch.tensor(float(start)))
    return model


@pytest.fixture
def toy(monkeypatch):
    spec = MethodSpec(
        "toy",
        f"{__name__}.scale",
        trains="adapter",
        learning_rate=0.25,
        model_rates={"small-vit": 0.5},
        head_learning_rate=0.125,
        quantization=("4bit",),
        callback=f"{__name__}.Callback",
        no_fsdp="is a toy",
    )
    monkeypatch.setitem(SPECS, "toy", spec)
    return spec


def test_a_new_method_needs_only_a_spec(toy):
    model = methods.apply(nn.Sequential(nn.Linear(2, 2)), "toy", start=3.0)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["scale"] and model.scale == 3.0
    assert list(methods.METHODS)[-1] == "toy" and methods.METHODS["toy"].__name__ == "scale"
    with pytest.raises(ValueError, match="method 'toy': start must be a finite number, got nan"):
        methods.check("toy", {"start": float("nan")})
    with pytest.raises(ValueError, match="method 'toy' has no hyperparameter 'strat'; did you mean 'start'"):
        methods.check("toy", {"strat": 1.0})
    with pytest.raises(ValueError, match="unknown method 'tooy'; did you mean 'toy'"):
        methods.check("tooy", {})


def test_recipes_know_a_new_method_and_its_rates(toy):
    assert recipes.parse_methods("all")[-1] == ("toy", {})
    assert recipes.LEARNING_RATES["toy"] == 0.25
    assert Recipe("entailment", "toy").rates == (0.25, 0.125)
    assert Recipe("digits", "toy", model="small-vit").rates == (0.5, 0.125)
    with pytest.raises(ValueError, match="no learning_rate for method 'tooy'; did you mean 'toy'"):
        _ = Recipe("entailment", "tooy").rates


def test_training_decides_by_the_spec_of_a_new_method(toy, monkeypatch):
    recipe = Recipe("entailment", "toy", output_dir="runs")
    assert saving.weights_of(recipe).parent == Path("runs/adapters")
    with pytest.raises(ValueError, match="method 'toy' cannot use the rounded weights.*it has no adapter"):
        base_model.check(Recipe("entailment", "toy", quantization="8bit"))
    with pytest.raises(ValueError, match="choose one of: ia3, lora, dora, .*cdvft, toy"):
        base_model.check(Recipe("entailment", "head", quantization="4bit"))
    model = nn.Linear(2, 2)
    (callback,) = toy.callbacks(model)
    assert type(callback).__name__ == "Callback" and callback.model is model and SPECS["lora"].callbacks(model) == []
    assert method_specs.reads_targets("toy") and not method_specs.reads_targets("head")
    monkeypatch.setattr(distributed, "sharded", lambda: True)
    monkeypatch.setattr(distributed, "is_shared", lambda: True)
    monkeypatch.setenv("FSDP_VERSION", "2")
    with pytest.raises(ValueError, match="method 'toy' is a toy; launch without FSDP"):
        distributed.check(recipe)


def test_target_layers_are_listed_only_for_methods_that_adapt_them():
    assert {name for name in SPECS if method_specs.reads_targets(name)} == {
        name for name, spec in SPECS.items() if spec.trains_adapter
    }
    assert not any(method_specs.reads_targets(name) for name in ("full", "head", "bitfit"))
    assert method_specs.reads_targets("a method of a newer version")
    assert results.reads_targets is method_specs.reads_targets


# Modules that name methods where no spec could: each has a reason.
MAY_NAME_METHODS = {
    "benchmarking.py": "the cases that a benchmark compares, some of PEFT's by other names",
    "costs/": "a formula for each method",
    "course/adapted_layers.py": "the configs of the methods that a notebook compares",
    "course/cost_explorer.py": "the range of each method's hyperparameter, and the methods that are drawn",
    "course/flop_parts.py": "the parts of each method's forward pass",
    "hosts/configs.py": "the methods that other programs can train",
    "learning_rates.py": "a formula for each method",
    "method_specs.py": "the specs",
    "papers/": "the methods of the printed tables",
    "rates/reasons.py": "the formulas of learning_rates.py in words",
    "rates/suggestion.py": "the formulas of learning_rates.py with numbers",
    "recipes/tables.py": "the rows of the printed tables",
}


def named_methods(source: str) -> list[str]:
    """Places where code compares with the name of a method, or lists or keys several names, as literals."""

    def name(node: ast.expr | None) -> bool:
        return isinstance(node, ast.Constant) and node.value in SPECS

    def listed(node: ast.AST) -> bool:
        parts = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
        return bool(parts) and all(map(name, parts))

    places = []
    for node in ast.walk(ast.parse(source)):
        compared = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        if any(getattr(side, "attr", "") == "trains" for side in compared):
            continue  # a field of the spec, one value of which is "head"
        several = isinstance(node, (ast.Tuple, ast.List, ast.Set, ast.Dict)) and listed(node)
        count = len(node.keys if isinstance(node, ast.Dict) else node.elts) if several else 0
        if any(name(side) or listed(side) for side in compared) or count > 1:
            places.append(f"line {node.lineno}: {ast.unparse(node)[:80]}")
    return places


def test_the_scan_sees_comparisons_and_lists():
    for line in (
        'if m == "lora": pass',
        'x = m in ("full", "head")',
        'W = ("full", "head")',
        'd = {"c3a": 1, "vera": 2}',
    ):
        assert named_methods(line), line
    for line in ('d = {"full": 1, "device": 2}', 'f("lora")', 'm == "mini"'):
        assert not named_methods(line), line


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_decides_by_the_name_of_a_method(path):
    module = path.relative_to(PACKAGE).as_posix()
    places = named_methods(path.read_text())
    if any(module == known or known.endswith("/") and module.startswith(known) for known in MAY_NAME_METHODS):
        return
    assert not places, f"{module}: read a field of its MethodSpec instead: {'; '.join(places)}"


LORAS = [("lora_alpha", 2, "leave it at alpha='lora'"), ("use_rslora", True, "already divides by the square root")]
LORAS += [("alpha", "lroa", "did you mean 'lora'"), ("alpha", True, "a finite number, 'lora' or 'paper', got True")]


@pytest.mark.parametrize(("name", "value", "hint"), LORAS)
@pytest.mark.parametrize("method", ["c3a", "cdvft"])
def test_a_setting_of_loras_scale_beside_alpha_is_refused_with_what_to_write(method, name, value, hint):
    with pytest.raises(ValueError, match=f"method '{method}'.*{hint}"):
        methods.check(method, {"alpha": "lora", name: value})


def test_lora_has_its_own_alpha_and_no_named_scale():
    for alpha in (16, None):  # None is its default: the rank
        methods.check("lora", {"alpha": alpha})
    with pytest.raises(ValueError, match="method 'lamda': alpha must be a finite number, got None"):
        methods.check("lamda", {"alpha": None})
    with pytest.raises(ValueError, match="method 'lora': alpha must be a finite number, got 'lora'"):
        methods.check("lora", {"alpha": "lora"})


def test_a_scale_that_is_a_number_of_numpy_divides_the_rate():
    assert SPECS["c3a"].rates_for("minilm", np.float32(2)) == SPECS["c3a"].rates_for("minilm", 2) == (0.15, 3e-4)
