"""torch.export of adapted and of merged models, with any batch and length, saved and loaded again."""

import io

import pytest
import torch
from peft import get_peft_model
from torch import nn

import circpeft

from .logits import Logits

AUTO = torch.export.Dim.AUTO


def adapted(tiny, method, **options) -> nn.Module:
    return get_peft_model(tiny.bert(), method(target_modules=["query", "value", "dense"], **options)).eval()


def exported(model: nn.Module, **options) -> nn.Module:
    """Return the program of a model after it was saved and loaded."""
    program = torch.export.export(Logits(model), (torch.arange(12).view(2, 6),), **options)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file).module()


# A merged model has no part of circpeft, so one mode is enough.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(("merged", "strict"), [(False, False), (False, True), (True, False)])
def test_a_loaded_program_gives_the_models_outputs_at_other_shapes(tiny, method, strict, merged):
    model = adapted(tiny, method)
    program = exported(circpeft.merge(model) if merged else model, strict=strict, dynamic_shapes=({0: AUTO, 1: AUTO},))
    with torch.no_grad():
        for shape in ((2, 6), (4, 5), (3, 11)):
            ids = torch.arange(30)[: shape[0] * shape[1]].repeat(2)[: shape[0] * shape[1]].view(shape)
            torch.testing.assert_close(program(ids), model(ids).logits, rtol=1e-5, atol=1e-5)
        assert (program(tiny.ids) - tiny.bert()(tiny.ids).logits).abs().max() > 0.1


def test_a_program_has_the_state_of_the_model_when_it_was_exported(tiny, method):
    """Two active adapters, one of them scaled, are in the program; what is switched later is not."""
    model = adapted(tiny, method)
    model.add_adapter("other", method(target_modules=["key"]))
    model.base_model.set_adapter(["default", "other"])
    for layer in model.modules():
        if hasattr(layer, "set_scale"):
            layer.set_scale("other", 0.5)
    expected = tiny.logits(model)
    program = exported(model)
    model.set_adapter("default")
    with torch.no_grad():
        torch.testing.assert_close(program(tiny.ids), expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(tiny.logits(model), expected, atol=1e-2)
