"""Properties of every adapter, one test each, over the shared tables of adapters and methods."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel, get_peft_model

import circpeft

pytestmark = pytest.mark.usefixtures("one_thread")
CDVFT_FACTORS = st.sampled_from([3, 5])


def check_product(adapter, tokens):
    x = torch.randn(tokens, adapter.d_in, dtype=torch.float64)
    torch.testing.assert_close(adapter(x), x @ adapter.delta_weight().T)


def test_x_times_delta_weight_is_forward(adapter_case, error):
    for dtype, limit in [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.float16, 1e-3), (torch.bfloat16, 5e-3)]:
        adapter = adapter_case.build().to(torch.promote_types(dtype, torch.float32))
        x = torch.randn(3, 4, adapter.d_in).to(dtype)
        assert error(adapter(x), x.double() @ adapter.delta_weight().double().T) < limit


@given(b=st.integers(1, 20), m=st.integers(1, 4), n=st.integers(1, 4), layout=st.sampled_from(["row", "column"]))
def test_x_times_delta_weight_is_forward_for_any_c3a(b, m, n, layout):
    check_product(circpeft.C3A(n * b, m * b, b, layout=layout, init_weights="gaussian").double(), 3)


@given(d_in=st.integers(1, 24), d_out=st.integers(1, 24), factors=CDVFT_FACTORS, data=st.data())
def test_x_times_delta_weight_is_forward_for_any_cdvft(d_in, d_out, factors, data):
    b = data.draw(st.integers(1, max(d_in, d_out)))
    check_product(circpeft.CDVFT(d_in, d_out, b, num_factors=factors, init_weights="gaussian").double(), 3)


MODELS = {
    "bert": {"target_modules": ["query", "key", "value", "dense"]},
    "gpt2": {"target_modules": ["c_attn", "c_proj", "c_fc"]},
    "roberta": {"target_modules": ["query", "value"], "task_type": "SEQ_CLS"},
}
models = pytest.mark.parametrize("name", MODELS)


@models
@pytest.mark.parametrize("block_size", ["auto", 4])
def test_merged_equals_unmerged(tiny, method, name, block_size, error):
    base = getattr(tiny, name)
    model = get_peft_model(base(), method(block_size=block_size, **MODELS[name]))
    before = tiny.logits(model)
    assert error(before, tiny.logits(base())) > 0.05, "the adapters must change the output, or the test shows nothing"
    merged = model.merge_and_unload()
    assert type(merged) is type(base()) and merged.state_dict().keys() == base().state_dict().keys()
    assert error(tiny.logits(merged), before) < 1e-5


@models
def test_reloaded_equals_saved(tiny, method, name, tmp_path):
    model = get_peft_model(getattr(tiny, name)(), method(**MODELS[name]))
    before = tiny.logits(model)
    model.save_pretrained(tmp_path)
    assert torch.equal(tiny.logits(PeftModel.from_pretrained(getattr(tiny, name)(), tmp_path)), before)


def test_two_active_adapters_are_summed(adapter_case, methods):
    """Two active adapters of one layer add their changes, unmerged and merged, for all sizes in the table."""
    method = next(m for m in methods if m.config.__name__ == f"{adapter_case.cls.__name__}Config")
    layer = torch.nn.Linear(adapter_case.d_in, adapter_case.d_out)
    model = get_peft_model(torch.nn.Sequential(layer), method(target_modules=["0"], **adapter_case.options))
    model.add_adapter("other", method(target_modules=["0"], **adapter_case.options))
    x, adapted = torch.randn(5, adapter_case.d_in), model.base_model.model[0]
    first, second = adapted.adapters["default"], adapted.adapters["other"]
    model.base_model.set_adapter(["default", "other"])
    truth = layer(x) + first(x) + second(x)
    assert first(x).norm() > 0.1 and second(x).norm() > 0.1
    torch.testing.assert_close(model(x), truth)
    torch.testing.assert_close(circpeft.merge(model)(x), truth)
