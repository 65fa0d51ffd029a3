"""adapter_config.json: whatever is wrong with it is one ValueError with the file and the field, before any work."""

import json
import time

import pytest
from peft import PeftConfig, PeftModel, get_peft_model

import circpeft

TARGETS = ["query", "value"]


@pytest.fixture
def saved(tiny, method, tmp_path):
    get_peft_model(tiny.bert(), method(target_modules=TARGETS, task_type="SEQ_CLS")).save_pretrained(tmp_path)
    return tmp_path


def check_refused(tiny, method, folder, *words):
    adapted = get_peft_model(tiny.bert(), method(target_modules=TARGETS, task_type="SEQ_CLS"))
    start = time.process_time()
    for load in (
        lambda: PeftModel.from_pretrained(tiny.bert(), folder),
        lambda: adapted.load_adapter(folder, "other"),
        lambda: adapted.load_adapter(folder, "default"),
        lambda: tiny.bert().load_adapter(str(folder)),
        lambda: method.config.from_pretrained(folder),
        lambda: PeftConfig.from_pretrained(folder),
    ):
        with pytest.raises(ValueError) as raised:
            load()
        for word in (str(folder / "adapter_config.json"), *words):
            assert word in str(raised.value)
        assert len(str(raised.value)) < 2000
    assert list(adapted.peft_config) == ["default"]
    assert time.process_time() - start < 60


BROKEN = {
    "not text": (b"\xff\xfe\xff\xfe\xff", "is not text"),
    "not JSON": (b"{", "is not JSON"),
    "empty": (b"", "is not JSON"),
    "a list": (b"[1]", "is a JSON list, expected an object"),
    "null": (b"null", "is a JSON NoneType"),
    "nested": (b'{"a":' * 50_000, "is not JSON"),
    "repeated": (b'{"peft_type": "LORA", "peft_type": "CIRCONV"}', "'peft_type' occurs twice"),
    "long number": (b'{"peft_type": "CIRCONV", "alpha": ' + b"1" * 10_000 + b"}", "is not JSON"),
    "large": (b'{"a": "' + b" " * 5_000_000 + b'"}', "exceed the limit of 4.0 MiB; if you trust the file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_config_that_is_not_an_object(saved, tiny, method, name):
    content, message = BROKEN[name]
    (saved / "adapter_config.json").write_bytes(content)
    check_refused(tiny, method, saved, message)


VALUES = {
    "peft_type": [None, 3, [], {}, "CIRCONVV", ["CIRCONV"]],
    "task_type": [3, ["SEQ_CLS"], {}, "SEQ_CLSS"],
    "auto_mapping": [3, "x", []],
    "block_size": [None, 0, -1, 2.5, "8", True, [8], 10**30],
    "block_size_pattern": [3, "x", ["a"], {"query": "x"}, {"(": 4}],
    "alpha": [None, "x", [], {}, True, 10**400, float("nan"), float("inf")],
    "dropout": [1, -0.1, "0.1", None],
    "init_weights": [3, None, "True", []],
    "target_modules": [3, {}, [3], [None], [], "(", "(a+)+$", "(.*)*x", ".*a.*b.*c.*d.*e.*f"],
    "exclude_modules": [3, [[]], "(a|a)*b"],
    "layers_to_transform": [-1, "1", [True], [], 2.5],
    "layers_pattern": [3, [3]],
    "modules_to_save": [3, [3], {}],
    "bias": [None, "circ", 3, []],
    "inference_mode": ["yes", 1, None],
    "base_model_name_or_path": [3, []],
    "revision": [3, {}],
}


@pytest.mark.parametrize("field", VALUES)
def test_values_of_another_type(saved, tiny, method, field):
    file = saved / "adapter_config.json"
    good = json.loads(file.read_text())
    for value in VALUES[field]:
        file.write_text(json.dumps({**good, field: value}))
        with pytest.raises(ValueError) as raised:
            PeftModel.from_pretrained(tiny.bert(), saved)
        assert str(file) in str(raised.value) and field in str(raised.value), (value, str(raised.value))


def test_a_config_without_a_method(saved, tiny):
    file = saved / "adapter_config.json"
    file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "peft_type"}))
    with pytest.raises(ValueError, match="adapter_config.json: peft_type is None"):
        PeftModel.from_pretrained(tiny.bert(), saved)


@pytest.mark.parametrize("factors", [100_001, 10**9 + 1, 2**70 + 1])
def test_many_factors_cost_nothing(tiny, tmp_path, factors, peak):
    config = circpeft.CDVFTConfig(target_modules=TARGETS, task_type="SEQ_CLS")
    get_peft_model(tiny.bert(), config).save_pretrained(tmp_path)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "num_factors": factors}))
    bare = tiny.bert()
    with peak(mebibytes=100), pytest.raises(ValueError, match="adapter_config.json: num_factors"):
        PeftModel.from_pretrained(bare, tmp_path)
    with peak(mebibytes=100), pytest.raises(ValueError, match="num_factors"):
        circpeft.CDVFTConfig(num_factors=factors)


def test_configs_of_other_methods_pass_unchanged(tmp_path):
    from peft import LoraConfig

    LoraConfig(target_modules="(a+)+$", r=3).save_pretrained(tmp_path)
    assert PeftConfig.from_pretrained(tmp_path).target_modules == "(a+)+$"
