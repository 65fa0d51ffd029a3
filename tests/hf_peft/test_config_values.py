"""Values of configs: converted or refused when they are set, and saved whole or not at all."""

import json
from collections import UserDict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftConfig, PeftModel, get_peft_model

NAMES = {"query", "value"}
CONVERTED = [
    ("block_size", np.int64(8), 8),
    ("block_size", torch.tensor(8), 8),
    ("block_size", np.str_("auto"), "auto"),
    ("alpha", np.float32(2), 2.0),
    ("alpha", torch.tensor(2.0, requires_grad=True), 2.0),
    ("alpha", -1.5, -1.5),
    ("dropout", np.float16(0.5), 0.5),
    ("init_weights", np.bool_(False), False),
    ("init_weights", torch.tensor(True), True),
    ("target_modules", ("query", "value"), NAMES),
    ("target_modules", frozenset(NAMES), NAMES),
    ("target_modules", dict.fromkeys(["query", "value"]).keys(), NAMES),
    ("target_modules", np.array(["query", "value"]), NAMES),
    ("exclude_modules", pd.Series(["query", "value"]), NAMES),
    ("modules_to_save", "classifier", ["classifier"]),
    ("modules_to_save", {"classifier"}, ["classifier"]),
    ("layers_to_transform", range(2), [0, 1]),
    ("layers_to_transform", np.arange(2), [0, 1]),
    ("layers_to_transform", torch.arange(2), [0, 1]),
    ("layers_to_transform", {1, 0}, [0, 1]),
    ("layers_to_transform", np.int32(1), 1),
    ("layers_to_transform", [2**31 - 1], [2**31 - 1]),
    ("block_size", 2**31 - 1, 2**31 - 1),
    ("block_size_pattern", {"query": np.int64(4)}, {"query": 4}),
    ("alpha_pattern", UserDict({"query": np.float64(3)}), {"query": 3.0}),
    ("inference_mode", np.bool_(True), True),
    ("base_model_name_or_path", Path("models") / "base", str(Path("models") / "base")),
    ("revision", np.str_("main"), "main"),
]
REFUSED = [
    ("block_size", "8", "remove the quotes"),
    ("block_size", True, "True"),
    ("block_size", 8.0, "8.0"),
    ("block_size", -8, "-8"),
    ("block_size", 0, "0"),
    ("block_size", 2**31, "at most 2147483647"),
    ("block_size", torch.tensor([8]), "tensor"),
    ("alpha", "2", "remove the quotes"),
    ("alpha", float("nan"), "nan"),
    ("alpha", np.float32("inf"), "inf"),
    ("alpha", True, "True"),
    ("alpha", torch.float32, "torch.float32"),
    ("dropout", -0.1, "-0.1"),
    ("dropout", 1, "[0, 1)"),
    ("init_weights", "True", "without quotes"),
    ("init_weights", None, "None"),
    ("target_modules", [], "names no layer"),
    ("target_modules", ["query", None], "None"),
    ("target_modules", ["query", ""], "''"),
    ("target_modules", [["query"]], "['query']"),
    ("target_modules", b"query", "b'query'"),
    ("target_modules", {"query": 8}, "query"),
    ("target_modules", Path("query"), "Path"),
    ("target_modules", "query(", "not a valid regex"),
    ("exclude_modules", 3, "3"),
    ("modules_to_save", [3], "3"),
    ("layers_to_transform", [], "is empty"),
    ("layers_to_transform", [-1], "-1"),
    ("layers_to_transform", [2**31], "at most 2147483647"),
    ("layers_to_transform", "1", "remove the quotes"),
    ("layers_to_transform", [1.5], "1.5"),
    ("layers_to_transform", [True], "True"),
    ("layers_to_transform", np.array([1.0]), "1.0"),
    ("block_size_pattern", {"query": {4}}, "{4}"),
    ("block_size_pattern", {4: 4}, "4"),
    ("block_size_pattern", {"query[": 4}, "not a valid regex"),
    ("alpha_pattern", {"query": float("inf")}, "inf"),
    ("alpha_pattern", [("query", 2)], "query"),
    ("inference_mode", "True", "'True'"),
    ("base_model_name_or_path", 3, "3"),
    ("auto_mapping", {"a": {1}}, "{1}"),
    ("auto_mapping", {1: "a"}, "{1: 'a'}"),
]


def needed(field):
    return {"target_modules": ["query", "value"]} if field != "target_modules" else {}


@pytest.mark.parametrize(("field", "given", "held"), CONVERTED)
def test_a_value_that_is_accepted_is_held_plain_and_read_back_equal(method, tmp_path, field, given, held):
    config = method(**needed(field), **{field: given})
    value = getattr(config, field)
    assert value == held and type(value) is type(held)
    config.save_pretrained(tmp_path)
    assert PeftConfig.from_pretrained(tmp_path) == config


@pytest.mark.parametrize(("field", "given", "word"), REFUSED, ids=str)
def test_another_value_is_refused_at_once(method, field, given, word):
    with pytest.raises(ValueError) as raised:
        method(**needed(field), **{field: given})
    assert field in str(raised.value) and word in str(raised.value)


def test_the_only_word_for_a_block_size_is_auto(method):
    assert method(block_size="auto").block_size == "auto"
    for word in ("Auto", "lora", "8", ""):
        with pytest.raises(ValueError, match=f'block_size must be a positive integer or "auto", got {word!r}'):
            method(block_size=word)


def test_names_from_a_generator(method):
    assert method(target_modules=(name for name in ("query", "value"))).target_modules == NAMES


def test_fields_of_one_method(methods):
    c3a, cdvft = methods
    assert type(c3a(layout=np.str_("column")).layout) is str
    assert type(cdvft(num_factors=np.int64(5)).num_factors) is int
    with pytest.raises(ValueError, match="num_factors.*True"):
        cdvft(num_factors=True)
    with pytest.raises(ValueError, match="layout.*None"):
        c3a(layout=None)


def test_values_are_checked_when_they_are_set_later(method):
    config = method(target_modules=["query"])
    config.alpha = np.float32(3)
    assert type(config.alpha) is float
    with pytest.raises(ValueError, match="alpha.*'3'"):
        config.alpha = "3"
    assert config.alpha == 3.0
    with pytest.raises(AttributeError, match="'lora_alpha'; its counterpart is 'alpha'"):
        config.lora_alpha = 3


@pytest.mark.parametrize(
    ("field", "hint"),
    [("r", "'block_size'"), ("rank_pattern", "'block_size_pattern'"), ("alhpa", "did you mean 'alpha'")],
)
def test_a_field_of_another_method_is_named_with_its_counterpart(method, field, hint):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{field}'.*{hint}"):
        method(**{field: 8})


CHANGES = {
    "block_size_pattern": lambda config: config.block_size_pattern.update(query={4}),
    "auto_mapping": lambda config: setattr(config, "auto_mapping", {"a": object()}),
    "modules_to_save": lambda config: config.modules_to_save.append(None),
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_value_that_cannot_be_saved_leaves_the_files_of_an_earlier_save(method, tiny, tmp_path, field):
    model = get_peft_model(tiny.bert(), method(target_modules=["query"], modules_to_save=["classifier"]))
    folders = [tmp_path / "earlier", tmp_path / "new"]
    model.save_pretrained(folders[0])
    before = {path.name: path.read_bytes() for path in folders[0].iterdir()}
    CHANGES[field](model.peft_config["default"])
    for folder in folders:
        for save in (model.save_pretrained, model.peft_config["default"].save_pretrained):
            with pytest.raises(ValueError, match=field):
                save(folder)
    assert {path.name: path.read_bytes() for path in folders[0].iterdir()} == before and not folders[1].exists()


def test_a_value_put_into_a_dict_later_is_converted_when_saved(method, tiny, tmp_path):
    model = get_peft_model(tiny.bert(), method(target_modules=["query"]))
    model.peft_config["default"].alpha_pattern["query"] = np.float32(2)
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["alpha_pattern"] == {"query": 2.0}


@pytest.mark.parametrize("written", ["weights", "config"])
def test_a_disk_that_is_full_leaves_the_earlier_adapter(method, tiny, tmp_path, monkeypatch, written):
    model = get_peft_model(tiny.bert(), method(target_modules=["query"]))
    model.save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*args, **kwargs):
        if written == "weights":
            Path(args[1]).write_bytes(b"half")
        raise OSError("No space left on device")

    place = "peft.peft_model.safe_save_file" if written == "weights" else "circpeft.hf_peft.configs.write_atomically"
    monkeypatch.setattr(place, full)
    with pytest.raises(OSError, match="No space"):
        model.save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_weights_in_the_other_format_are_replaced_too(method, tiny, tmp_path):
    model = get_peft_model(tiny.bert(), method(target_modules=["query"]))
    (tmp_path / "adapter_model.bin").write_bytes(b"of an earlier save")
    with torch.no_grad():
        next(p for p in model.parameters() if p.requires_grad).add_(1)
    with pytest.warns(UserWarning, match="safe_serialization=False is ignored"):
        model.save_pretrained(tmp_path, safe_serialization=False)
    assert not (tmp_path / "adapter_model.bin").exists()
    assert torch.equal(tiny.logits(PeftModel.from_pretrained(tiny.bert(), tmp_path)), tiny.logits(model))
