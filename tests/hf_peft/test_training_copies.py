"""Double backward through adapted layers, and independent copies of adapted models."""

import copy
import pickle

import pytest
import torch
from peft import get_peft_model
from torch import nn
from torch.autograd import gradgradcheck

from circpeft import inject

TARGETS = ["query", "value", "dense"]


@pytest.mark.parametrize("width", [6, 18], ids=["dense", "transforms"])
@pytest.mark.usefixtures("one_thread")
def test_double_backward_through_adapted_layers(method, width):
    """At a small block size products are dense, at a large one they are transforms."""
    net = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2 * width))
    net = inject(net, method(target_modules=["0", "2"])).double()
    names, values = zip(*((n, p) for n, p in net.named_parameters() if p.requires_grad), strict=True)
    x = torch.randn(2, width, dtype=torch.float64, requires_grad=True)

    def forward(x, *parameters):
        return torch.func.functional_call(net, dict(zip(names, parameters, strict=True)), (x,))

    assert gradgradcheck(forward, (x, *values), fast_mode=width > 6)


def saved_and_loaded(model, folder):
    torch.save(model, folder / "model.pt")
    return torch.load(folder / "model.pt", weights_only=False)


COPIES = {
    "deepcopy": lambda model, folder: copy.deepcopy(model),
    "pickle": lambda model, folder: pickle.loads(pickle.dumps(model)),
    "torch.save": saved_and_loaded,
}


@pytest.fixture
def model(tiny, method):
    model = get_peft_model(tiny.bert(), method(target_modules=TARGETS, modules_to_save=["classifier"]))
    model.add_adapter("other", method(target_modules=["query"], block_size=4))
    return model


def step(model, ids):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    model(ids).logits.sum().backward()
    optimizer.step()


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_gives_the_same_output_and_trains_independently(tiny, model, tmp_path, kind):
    before = tiny.logits(model)
    other = COPIES[kind](model, tmp_path)
    assert torch.equal(tiny.logits(other), before)
    assert {n: p.requires_grad for n, p in other.named_parameters()} == {
        n: p.requires_grad for n, p in model.named_parameters()
    }
    storages = {p.untyped_storage().data_ptr() for p in model.parameters()}
    assert not storages & {p.untyped_storage().data_ptr() for p in other.parameters()}
    step(other, tiny.ids)
    after = tiny.logits(other)
    assert torch.equal(tiny.logits(model), before) and not torch.allclose(after, before)
    step(model, tiny.ids)
    torch.testing.assert_close(tiny.logits(model), after)  # the same step from the same start
    model.set_adapter("other")
    model.delete_adapter("default")
    assert torch.equal(tiny.logits(other), after) and list(other.peft_config) == ["default", "other"]
    assert other.active_adapter == "default"


def test_a_state_dict_loads_with_weights_only(tiny, method, model, tmp_path):
    torch.save(model.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    other = get_peft_model(tiny.bert(), method(target_modules=TARGETS, modules_to_save=["classifier"]))
    other.add_adapter("other", method(target_modules=["query"], block_size=4))
    assert not torch.allclose(tiny.logits(other), tiny.logits(model))
    assert str(other.load_state_dict(state)) == "<All keys matched successfully>"
    for name in ("default", "other"):
        other.set_adapter(name)
        model.set_adapter(name)
        assert torch.equal(tiny.logits(other), tiny.logits(model))


ELSEWHERE = """
import sys, torch
for path in sys.argv[1:]:
    model = torch.load(path, weights_only=False)
    with torch.no_grad():
        torch.save(model(torch.arange(12).view(2, 6)).logits, path + ".logits")
"""


def test_a_pickled_model_loads_in_a_process_that_did_not_import_circpeft(tiny, methods, tmp_path, run_python):
    models = {f"{tmp_path}/{method}": get_peft_model(tiny.bert(), method(target_modules=TARGETS)) for method in methods}
    for path, model in models.items():
        torch.save(model, path)
    run_python(ELSEWHERE, *models)
    for path, model in models.items():
        torch.testing.assert_close(torch.load(f"{path}.logits"), tiny.logits(model))
