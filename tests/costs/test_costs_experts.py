"""The cost model counts linear layers, and says so for a mixture of experts."""

import pytest

from circpeft.costs import model_parameters
from tests.hf_peft.moe_models import moe


def test_fused_experts_are_not_counted_and_a_warning_says_so():
    with pytest.warns(UserWarning, match="without the experts' mlp.experts.down_proj, mlp.experts.gate_up_proj"):
        count = model_parameters(moe("qwen3_moe"), "c3a", ["q_proj"], block_size=8)
    assert count == 2 * 32 * 32 // 8
