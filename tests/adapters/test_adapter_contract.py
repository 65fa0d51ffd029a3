"""The contract of every adapter in the shared table: ΔW, gradients, parameter counts, dtypes, dropout, copies."""

import copy
import pickle

import pytest
import torch

from circpeft.adapters import WeightDelta

pytestmark = pytest.mark.usefixtures("one_thread")


def test_is_a_weight_delta(adapter_case):
    adapter = adapter_case.build()
    assert isinstance(adapter, WeightDelta)
    assert (adapter.d_in, adapter.d_out) == (adapter_case.d_in, adapter_case.d_out)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)], ids=str)
def test_forward_is_the_product_with_delta_weight(adapter_case, batch):
    adapter = adapter_case.build().double()
    x = torch.randn(*batch, adapter.d_in, dtype=torch.float64)
    delta = adapter.delta_weight()
    assert delta.shape == (adapter.d_out, adapter.d_in) and delta.norm() > 0
    torch.testing.assert_close(adapter(x), x @ delta.T)


def test_gradcheck_for_the_input_and_every_parameter(adapter_case):
    adapter = adapter_case.build().double()
    names, values = zip(*adapter.named_parameters(), strict=True)
    x = torch.randn(2, adapter.d_in, dtype=torch.float64, requires_grad=True)

    def forward(x, *parameters):
        return torch.func.functional_call(adapter, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(forward, (x, *values))


def test_delta_weight_has_the_same_gradients_as_forward(adapter_case):
    adapter = adapter_case.build().double()
    x = torch.randn(4, adapter.d_in, dtype=torch.float64)
    parameters = list(adapter.parameters())
    through_forward = torch.autograd.grad(adapter(x).square().sum(), parameters)
    through_delta = torch.autograd.grad((x @ adapter.delta_weight().T).square().sum(), parameters)
    torch.testing.assert_close(through_forward, through_delta)


def test_parameter_count_is_the_formula(adapter_case):
    parameters = list(adapter_case.build().parameters())
    assert sum(p.numel() for p in parameters) == adapter_case.parameters
    assert all(p.dtype == torch.float32 and p.requires_grad and not p.is_complex() for p in parameters)


def test_alpha_scales_linearly(adapter_case):
    one, three = adapter_case.build(alpha=1.0), adapter_case.build(alpha=3.0)
    three.load_state_dict(one.state_dict())
    torch.testing.assert_close(three.delta_weight(), 3 * one.delta_weight())


@pytest.mark.parametrize("start", [True, "zero"])
def test_zero_start_changes_nothing_and_has_one_nonzero_gradient(adapter_case, start):
    adapter = adapter_case.build(init_weights=start)
    x = torch.randn(5, adapter.d_in)
    assert adapter.delta_weight().count_nonzero() == 0 and adapter(x).count_nonzero() == 0
    adapter(x).mul(torch.randn(5, adapter.d_out)).sum().backward()
    nonzero = [name for name, p in adapter.named_parameters() if p.grad.count_nonzero() > 0]
    first = {"C3A": "kernel", "CDVFT": "kernel_0" if adapter_case.options.get("num_factors") != 1 else "diagonal_0"}
    assert nonzero == [first[type(adapter).__name__]]


def test_a_reset_without_a_name_is_the_start_that_changes_nothing(adapter_case):
    """It is also the start of a new adapter."""
    adapter, new = adapter_case.build(), adapter_case.cls(adapter_case.d_in, adapter_case.d_out, **adapter_case.options)
    assert adapter.delta_weight().count_nonzero() > 0
    adapter.reset_parameters()
    assert adapter.delta_weight().count_nonzero() == new.delta_weight().count_nonzero() == 0
    assert all(torch.equal(value, new.state_dict()[name]) for name, value in adapter.state_dict().items())


def test_half_precision_input_with_float32_kernels(adapter_case, error):
    adapter = adapter_case.build()
    x = torch.randn(6, adapter.d_in).bfloat16().requires_grad_()
    y = adapter(x)
    y.float().square().sum().backward()
    assert y.dtype == x.grad.dtype == torch.bfloat16
    assert all(p.grad.dtype == torch.float32 for p in adapter.parameters())
    assert error(y, x.double() @ adapter.delta_weight().double().T) < 5e-3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_a_base_output_of_another_dtype_keeps_it(adapter_case, dtype, error):
    adapter = adapter_case.build()
    x, base = torch.randn(6, adapter.d_in), torch.randn(6, adapter.d_out).to(dtype)
    y = adapter(x, base)
    assert y.dtype == dtype
    assert error(y, base.double() + x.double() @ adapter.delta_weight().double().T) < 5e-3


def test_autocast_does_not_lower_the_precision(adapter_case, error):
    adapter = adapter_case.build()
    x = torch.randn(6, adapter.d_in)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = adapter(x)
    assert y.dtype == torch.float32
    assert error(y, x.double() @ adapter.delta_weight().double().T) < 1e-5


def test_dropout_acts_in_training_only(adapter_case):
    adapter = adapter_case.build(dropout=0.5)
    plain = adapter_case.build()
    plain.load_state_dict(adapter.state_dict())
    x = torch.randn(64, adapter.d_in)
    assert not torch.allclose(adapter.train()(x), plain(x))
    assert torch.equal(adapter.eval()(x), plain(x))
    torch.manual_seed(3)
    dropped = adapter.train()(x)
    torch.manual_seed(3)
    torch.testing.assert_close(dropped, plain(torch.nn.functional.dropout(x, 0.5)))


def test_copies_and_state_dict(adapter_case):
    adapter = adapter_case.build()
    x = torch.randn(2, adapter.d_in)
    for other in (copy.deepcopy(adapter), pickle.loads(pickle.dumps(adapter))):
        assert torch.equal(other(x), adapter(x))
    # No nested keys: PEFT and transformers find the adapter's name only directly before that of the parameter.
    assert all("." not in key for key in adapter.state_dict())


def test_can_be_built_on_the_meta_device(adapter_case):
    with torch.device("meta"):
        adapter = adapter_case.build(init_weights=True)
    assert all(p.is_meta for p in adapter.parameters())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"block_size": 0}, ["block_size", "0", "auto"]),
        ({"block_size": -2}, ["block_size", "-2"]),
        ({"block_size": 2.0}, ["block_size", "2.0"]),
        ({"block_size": True}, ["block_size", "True"]),
        ({"block_size": "atuo"}, ["block_size", "'atuo'", "auto"]),
        ({"block_size": 37}, ["37"]),
        ({"init_weights": "zeros"}, ["'zeros'", "did you mean 'zero'"]),
        ({"init_weights": None}, ["None", "zero"]),
        ({"dropout": 1.0}, ["dropout", "[0, 1)", "1.0"]),
        ({"dropout": -0.1}, ["dropout", "-0.1"]),
        ({"alpha": float("nan")}, ["alpha", "nan"]),
        ({"alpha": "1"}, ["alpha", "'1'"]),
    ],
    ids=str,
)
def test_errors_name_bad_options(adapter_case, options, words):
    with pytest.raises(ValueError) as raised:
        adapter_case.build(**options)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("sizes", [(0, 4), (4, 0), (-4, 4), (4.0, 4)], ids=str)
def test_errors_name_bad_sizes(adapter_case, sizes):
    with pytest.raises(ValueError, match="must be a positive integer"):
        adapter_case.cls(*sizes)
