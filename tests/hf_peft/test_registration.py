"""PEFT knows the methods, and nothing else in PEFT has changed."""

import copy
import pickle
import re

import peft
import pytest
from peft.utils import PeftType

from circpeft.hf_peft.registration import peft_type


def test_the_method_is_a_member_of_the_enum_like_any_other(method):
    member = PeftType[method.name]
    assert member is PeftType(method.name) is peft_type(method.name) is getattr(PeftType, method.name)
    assert isinstance(member, PeftType) and member in list(PeftType) and member == method.name
    assert pickle.loads(pickle.dumps(member)) is copy.deepcopy(member) is member
    assert list(PeftType).count(member) == 1


def test_prefix_is_the_one_that_transformers_derives_and_no_other_method_contains_it(method):
    prefixes = {kind: value for kind, value in peft.mapping.PEFT_TYPE_TO_PREFIX_MAPPING.items() if kind != method.name}
    assert peft.mapping.PEFT_TYPE_TO_PREFIX_MAPPING[PeftType(method.name)] == method.prefix
    assert method.prefix == PeftType(method.name).value.lower() + "_"
    assert not any(method.prefix in other or other in method.prefix for other in prefixes.values())


def test_a_mixed_model_of_peft_raises_with_the_methods_name(method, tiny):
    with pytest.raises(ValueError, match=method.name):
        peft.get_peft_model(tiny.bert(), method(target_modules=["query"]), mixed=True)


BEFORE_AND_AFTER = """
import torch, peft
from peft.utils import PeftType
from torch import nn

def outcome(config):
    torch.manual_seed(0)
    model = peft.get_peft_model(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4)), config)
    keys = sorted(peft.get_peft_model_state_dict(model)), sorted(model.state_dict())
    loss = model(torch.randn(3, 8)).square().sum()
    loss.backward()
    return keys, loss, [p.grad for p in model.parameters() if p.requires_grad]

def registries():
    names = ("CONFIG", "TUNER", "PREFIX", "MIXED_MODEL")
    return {name: dict(getattr(peft.mapping, f"PEFT_TYPE_TO_{name}_MAPPING")) for name in names}

def all_outcomes():
    return [
        outcome(peft.LoraConfig(target_modules=["0"], init_lora_weights=False)),
        outcome(peft.C3AConfig(target_modules=["0"], block_size=4, init_weights="gaussian")),
    ]

before, known, members = all_outcomes(), registries(), list(PeftType)
import circpeft
for (keys, loss, grads), (keys_now, loss_now, grads_now) in zip(before, all_outcomes(), strict=True):
    assert keys == keys_now and torch.equal(loss, loss_now)
    assert all(torch.equal(a, b) for a, b in zip(grads, grads_now, strict=True))
for name, now in registries().items():
    assert known[name] == {kind: value for kind, value in now.items() if kind in known[name]}, name
    assert len(now) - len(known[name]) == (0 if name == "MIXED_MODEL" else 2), name
assert list(PeftType)[: len(members)] == members and len(PeftType) == len(members) + 2
assert peft.C3AConfig is not circpeft.C3AConfig
print("unchanged")
"""


def test_importing_circpeft_leaves_pefts_own_methods_as_they_were(run_python):
    assert run_python(BEFORE_AND_AFTER).strip() == "unchanged"


def test_a_peft_that_is_too_old_is_named(run_python):
    message = run_python(
        "import peft\npeft.__version__ = '0.17.1'\n"
        "try:\n    import circpeft\nexcept ImportError as error:\n    print(error)"
    )
    assert "circpeft needs peft >= 0.18.0, found 0.17.1" in message and "pip install" in message


READ_CONFIGS = """
import json, sys, warnings
from pathlib import Path
import peft
from peft import PeftConfig

folder = Path(sys.argv[1])
configs = [
    peft.LoraConfig(target_modules=["0"], r=3, rank_pattern={"0": 2}),
    peft.VeraConfig(target_modules=["0"], r=5),
    peft.IA3Config(target_modules=["0"], feedforward_modules=["0"]),
    peft.C3AConfig(target_modules=["0"], block_size=4),
]
for number, config in enumerate(configs):
    config.save_pretrained(folder / str(number))

def write(name, text):
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "adapter_config.json").write_text(text)
    return folder / name

(folder / "empty").mkdir(exist_ok=True)
lora = json.loads((folder / "0" / "adapter_config.json").read_text())
places = [
    *(folder / str(number) for number in range(4)),
    folder / "missing",
    folder / "empty",
    write("bad-json", '{"peft_type": "LORA"'),
    write("unknown-type", json.dumps({**lora, "peft_type": "NEWEST"})),
    write("no-type", json.dumps({"r": 4})),
    write("new-field", json.dumps({**lora, "newest_field": 1})),
    write("wrong-value", json.dumps({**lora, "task_type": "NONE"})),
    write("list", "[]"),
]

def outcome(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            config = call()
            result = type(config).__name__, sorted(map(repr, vars(config).items()))
        except Exception as error:
            result = type(error).__name__, str(error), type(error.__cause__).__name__
    return result, [str(warning.message) for warning in caught]

def print_outcomes():
    for place in places:
        for cls in (PeftConfig, peft.LoraConfig, peft.C3AConfig):
            print(place.name, outcome(lambda: cls.from_pretrained(str(place))))
            print(place.name, outcome(lambda: cls.from_pretrained(str(folder), subfolder=place.name, revision="main")))
    print(outcome(lambda: PeftConfig.from_pretrained()))
    print(PeftConfig.from_pretrained.__doc__)

print_outcomes()
import circpeft
print("WITH CIRCPEFT")
print_outcomes()
"""


def test_configs_of_other_methods_and_their_errors_are_the_same_with_and_without_circpeft(tmp_path, run_python):
    without, within = (part.splitlines() for part in run_python(READ_CONFIGS, tmp_path).split("WITH CIRCPEFT\n"))
    assert len(without) == len(within) > 70
    of_no_method = {"bad-json": "is not JSON", "unknown-type": "peft_type is 'NEWEST'", "list": "is a JSON list"}
    for before, now in zip(without, within, strict=True):
        name = before.partition(" ")[0]
        if name not in of_no_method:
            assert before == now
        else:  # an error in any case; with circpeft it names the file
            assert re.match(rf"{name} \(\('(JSONDecodeError|KeyError|TypeError)'", before)
            assert now.startswith(f"{name} (('ValueError'")
            assert of_no_method[name] in now and str(tmp_path / name) in now
    for words in ("LoraConfig", "VeraConfig", "IA3Config", "C3AConfig", "JSONDecodeError", "NEWEST", "newest_field"):
        assert any(words in line for line in without)


def test_only_the_general_config_class_is_changed(method):
    changed = peft.PeftConfig.__dict__["from_pretrained"]
    assert changed.__func__.__wrapped__ is peft.config.PeftConfigMixin.__dict__["from_pretrained"].__func__
    assert "from_pretrained" not in peft.LoraConfig.__dict__
