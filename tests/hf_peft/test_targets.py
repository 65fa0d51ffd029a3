"""Which layers a config adapts in a model that a wrapper of torch is around, by their names without that wrapper."""

import pytest
from torch import nn

from circpeft import C3AConfig, inject
from circpeft.hf_peft.layer import CirculantLayer
from circpeft.hf_peft.targets import is_target


class Wrapper(nn.Module):
    """As `torch.compile` makes it."""

    def __init__(self, inner):
        super().__init__()
        self._orig_mod = inner


CASES = [
    (["0"], None, "_orig_mod.0", True),
    (["0"], None, "_orig_mod.1", False),
    ("0", None, "_orig_mod.0", True),
    (["_orig_mod.0"], None, "_orig_mod.0", True),
    (["0"], "0", "_orig_mod.0", False),
    (["0"], ["0"], "_orig_mod.0", False),
    (["0"], "1", "_orig_mod.0", True),
    (".*", None, "_orig_mod.0", True),
    (".*", None, "_orig_mod", False),
]


@pytest.mark.parametrize(("targets", "excluded", "name", "expected"), CASES, ids=str)
def test_names_are_compared_without_the_wrapper_and_the_wrapper_has_none(targets, excluded, name, expected):
    config = C3AConfig(target_modules=targets, exclude_modules=excluded)
    assert bool(is_target(config, name)) == expected


def test_a_regex_that_excludes_a_layer_excludes_it_below_a_wrapper(method):
    model = Wrapper(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)))
    inject(model, method(target_modules=["0", "1"], exclude_modules="0"))
    adapted = [name for name, layer in model.named_modules() if isinstance(layer, CirculantLayer)]
    assert adapted == ["_orig_mod.1"]
