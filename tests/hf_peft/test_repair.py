"""The repair of PEFT's own C3A: right gradients of every order, summed adapters, and a complete undo."""

import logging

import peft
import pytest
import torch
from peft import get_peft_model
from peft.tuners.c3a.layer import C3ALinear
from peft.tuners.c3a.utils import BlockCircularConvolution
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from circpeft import block_circulant, repair_peft_c3a
from circpeft.hf_peft.repair import chained_adapters, wrong_gradient


def inputs(m=2, n=3, b=5):
    x = torch.randn(4, n * b, dtype=torch.float64, requires_grad=True)
    return x, torch.randn(m, n, b, dtype=torch.float64, requires_grad=True)


def theirs(d_in, d_out):
    options = {"target_modules": ["0"], "block_size": 2, "init_weights": "gaussian"}
    model = get_peft_model(nn.Sequential(nn.Linear(d_in, d_out)), peft.C3AConfig(**options))
    model.add_adapter("other", peft.C3AConfig(**options))
    model.base_model.set_adapter(["default", "other"])
    return model


def originals():
    return dict(BlockCircularConvolution.__dict__), dict(C3ALinear.__dict__)


def test_without_the_repair_peft_is_wrong():
    """It fails once PEFT repairs its C3A. Then the repair changes nothing, and notebooks 02 and 07 say so."""
    assert wrong_gradient() and chained_adapters()
    assert not gradcheck(BlockCircularConvolution.apply, inputs(), raise_exception=False)


def test_with_the_repair_gradients_of_both_orders_are_right_and_adapters_are_summed(error):
    before = originals()
    with repair_peft_c3a() as repair:
        assert repair.active and not wrong_gradient() and not chained_adapters()
        for sizes in ((1, 1, 1), (2, 3, 5), (3, 1, 4), (1, 2, 7)):
            assert gradcheck(BlockCircularConvolution.apply, inputs(*sizes))
            assert gradgradcheck(BlockCircularConvolution.apply, inputs(*sizes))
        for d_in, d_out in ((8, 8), (8, 6), (6, 8)):  # rectangular, because chained adapters would fail there
            model, x = theirs(d_in, d_out), torch.randn(3, d_in)
            layer = model.base_model.model[0]
            kernels = sum(block_circulant(layer.c3a_kernel[n], layout="row") for n in ("default", "other")) / d_in
            assert error(model(x), layer.base_layer(x) + x @ kernels.T) < 1e-5
            with model.disable_adapter():
                assert torch.equal(model(x), layer.base_layer(x))
            y = model(x)
            model.merge_adapter()
            assert error(model(x), y) < 1e-5
    assert originals() == before and not repair.active


def test_a_called_repair_lasts_until_undo_and_is_logged_once(caplog):
    before = originals()
    with caplog.at_level(logging.WARNING, logger="circpeft"):
        repair = repair_peft_c3a()
        try:
            again = repair_peft_c3a()
            assert not again.active
            again.undo()  # changes nothing: the first call did the repair
            assert not wrong_gradient()
        finally:
            repair.undo()
            repair.undo()
    assert originals() == before
    first, second = [record.getMessage() for record in caplog.records]
    assert peft.__version__ in first and "the input gradient and the sum of active adapters" in first
    assert "nothing to repair" in second


def test_an_error_inside_the_with_block_undoes_the_repair():
    before = originals()
    with pytest.raises(RuntimeError, match="inside"), repair_peft_c3a():
        raise RuntimeError("inside")
    assert originals() == before


def test_the_output_of_one_adapter_does_not_change(error):
    model, x = theirs(8, 6), torch.randn(3, 8)
    model.base_model.set_adapter("other")
    before = model(x)
    with repair_peft_c3a():
        assert error(model(x), before) < 1e-6


def test_import_repairs_nothing_and_draws_no_random_numbers(run_python):
    script = """
import torch, circpeft
from circpeft.hf_peft.repair import chained_adapters, wrong_gradient
torch.manual_seed(0); a = torch.rand(1)
torch.manual_seed(0); found = wrong_gradient() and chained_adapters(); b = torch.rand(1)
print(found, torch.equal(a, b))
"""
    assert run_python(script).split() == ["True", "True"]


def test_a_second_with_block_repairs_again():
    repair = repair_peft_c3a()
    repair.undo()
    with repair:
        assert repair.active and not wrong_gradient()
    assert not repair.active and wrong_gradient()
