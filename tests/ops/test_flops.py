"""FLOPs of custom ops are registered also with a torch that registers their overloads, but looks up their packets."""

import pytest
import torch
from torch.utils import flop_counter

from circpeft.ops import flops


def test_the_packet_is_registered_where_torch_registers_only_overloads(monkeypatch):
    packet = torch.ops.circpeft.block_circular_matmul
    registry = {}

    def register_flop_formula(target):
        def register(formula):
            registry[target.default] = counted = lambda *shapes, out_val=None: formula(*shapes)
            return counted

        return register

    monkeypatch.setattr(flops, "register_flop_formula", register_flop_formula)
    monkeypatch.setattr(flops, "flop_registry", registry)
    formula = flops.register_flops("block_circular_matmul")(lambda x_shape: 7 * x_shape[0])
    assert registry[packet] is registry[packet.default] and registry[packet]([3], out_val=None) == 21
    assert formula([3]) == 21


@pytest.mark.parametrize(
    "name",
    [
        "block_circular_matmul",
        "block_circular_kernel_grad",
        "diagonal_matmul",
        "diagonal_matmul_backward",
        "adapted_matmul",
    ],
)
def test_every_custom_op_with_a_formula_is_found_by_its_packet(name):
    assert getattr(torch.ops.circpeft, name) in flop_counter.flop_registry
