"""A safe merge of one layer: values that are not finite are refused, and the weight stays."""

import pytest
import torch
from torch import nn

from circpeft import inject


def test_the_broken_one_of_two_adapters_is_named_and_the_weight_stays(method):
    model = inject(nn.Sequential(nn.Linear(8, 8)), method(target_modules=["0"]), "sound")
    layer = inject(model, method(target_modules=["0"]), "broken")[0]
    with torch.no_grad():
        next(layer.adapters["broken"].parameters()).view(-1)[0] = torch.nan
    weight = layer.base_layer.weight
    for names in (["broken"], ["sound", "broken"], ["broken", "sound"]):
        with pytest.raises(ValueError, match=r"The adapter broken seems to be broken \(layer '0'\)"):
            layer.merge(safe_merge=True, adapter_names=names)
        assert layer.base_layer.weight is weight and not layer.merged
    layer.merge(safe_merge=True, adapter_names=["sound"])
    assert layer.merged_adapters == ["sound"] and layer.base_layer.weight.isfinite().all()
    layer.merge(adapter_names=["broken"])  # nobody asked for a check
    assert layer.merged_adapters == ["sound", "broken"] and layer.base_layer.weight.isnan().any()


def test_a_sum_beyond_the_largest_number_of_the_dtype_is_refused(method):
    base = nn.Linear(8, 8).to(torch.float16)
    nn.init.constant_(base.weight, torch.finfo(torch.float16).max)
    layer = inject(nn.Sequential(base), method(target_modules=["0"], alpha=1e5))[0]
    weight, change = layer.base_layer.weight, layer.get_delta_weight("default")
    assert change.isfinite().all() and change.max() > 100
    with pytest.raises(ValueError, match="The adapter default seems to be broken"):
        layer.merge(safe_merge=True)
    assert layer.base_layer.weight is weight and not layer.merged
