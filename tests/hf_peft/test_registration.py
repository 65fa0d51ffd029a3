"""PEFT knows the methods, and everything that it knew before is as it was."""

import copy
import pickle

import peft
import pytest
from peft.utils import PeftType

from circpeft.hf_peft.registration import peft_type


def test_is_a_member_of_the_enum_like_any_other(method):
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


def test_is_refused_by_name_where_peft_cannot_mix_methods(method, tiny):
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
    said = run_python(
        "import peft\npeft.__version__ = '0.17.1'\n"
        "try:\n    import circpeft\nexcept ImportError as error:\n    print(error)"
    )
    assert "circpeft needs peft >= 0.18.0, found 0.17.1" in said and "pip install" in said
