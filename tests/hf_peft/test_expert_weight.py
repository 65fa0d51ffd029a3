"""The stand-in for a fused weight of experts: each of its views and products is that of the dense sum."""

import pytest
import torch
from torch.nn import functional

from circpeft import C3A
from circpeft.adapters.experts import ExpertAdapters
from circpeft.hf_peft.expert_weight import ExpertWeight

EXPERTS, D_IN, D_OUT = 3, 8, 4
DROPS = 1e-12  # it drops nothing, but the dense sum has no input to drop from and raises an error
ROWS = torch.tensor([2, 0, 2, 1])
MASK = torch.tensor([True, False, True])
BIAS = torch.arange(D_OUT, dtype=torch.float64)
GROUPED = getattr(functional, "grouped_mm", None)


def stand_in(columns_are_outputs, dropout=0.0, dtype=torch.float64):
    """A stand-in, and the dense sum."""
    with torch.device("meta"):
        one = C3A(D_IN, D_OUT, block_size=4, alpha=5.0, dropout=dropout)
    adapters = ExpertAdapters({"up": one}, {"up": EXPERTS}, "gaussian").to(dtype)
    weight, change = torch.randn(EXPERTS, D_OUT, D_IN, dtype=dtype), adapters.delta_weight("up").detach()
    if columns_are_outputs:
        weight, change = weight.mT.contiguous(), change.mT
    return ExpertWeight(lambda: weight, [adapters], "up", columns_are_outputs), weight + change


VIEWS = {
    "all experts": lambda w: w,
    "one expert": lambda w: w[1],
    "the last expert": lambda w: w[-1],
    "an expert by tensor": lambda w: w[torch.tensor(2)],
    "an expert for each row": lambda w: w[ROWS],
    "some experts": lambda w: w[1:],
    "experts by mask": lambda w: w[MASK],
    "a row of an expert": lambda w: w[1, 0],
    "a row of a chosen expert": lambda w: w[1][0],
    "mT": lambda w: w.mT,
    "mT twice": lambda w: w.mT.mT,
    "an expert of mT": lambda w: w.mT[1],
    "T of an expert": lambda w: w[1].T,
    "mT of an expert": lambda w: w[1].mT,
    "mT of an expert for each row": lambda w: w[ROWS].mT,
    "dimensions 1 and 2": lambda w: w.transpose(1, 2),
    "dimensions -1 and -2": lambda w: w.transpose(-1, -2),
    "dimensions 0 and 1": lambda w: w.transpose(0, 1),
    "dimensions 0 and -1": lambda w: w.transpose(0, -1),
    "dimensions 0 and 1 of an expert": lambda w: w[1].transpose(0, 1),
    "dimensions 1 and 1 of an expert": lambda w: w[1].transpose(1, 1),
    "dimensions -1 and 1 of an expert for each row": lambda w: w[ROWS].transpose(-1, 1),
}


@pytest.mark.parametrize("columns_are_outputs", [False, True])
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_the_shape_and_the_values_of_the_dense_sums(view, columns_are_outputs):
    w, dense = stand_in(columns_are_outputs)
    seen, expected = VIEWS[view](w), VIEWS[view](dense)
    assert seen.shape == expected.shape and seen.ndim == expected.ndim and len(seen) == len(expected)
    assert (seen.dtype, seen.device) == (expected.dtype, expected.device)
    torch.testing.assert_close(torch.add(seen, 0), expected)


@pytest.mark.parametrize("index", [EXPERTS, -EXPERTS - 1])
def test_an_expert_that_does_not_exist_is_an_index_error(index):
    with pytest.raises(IndexError):
        stand_in(False)[0][index]


x, batches = torch.randn(5, D_IN, dtype=torch.float64), torch.randn(EXPERTS, 2, D_IN, dtype=torch.float64)
columns = torch.randn(len(ROWS), D_IN, 1, dtype=torch.float64)
# Whether the last dimension of the weight is d_out, and the product.
WITHOUT_DENSE_SUM = {
    "linear": (False, lambda w: functional.linear(x, w[1])),
    "linear with a bias": (False, lambda w: functional.linear(x, w[1], BIAS)),
    "linear with a named bias": (False, lambda w: functional.linear(x, w[1], bias=BIAS)),
    "linear with mT": (True, lambda w: functional.linear(x, w[1].mT)),
    "@": (True, lambda w: x @ w[1]),
    "@ T": (False, lambda w: x @ w[1].T),
    "matmul": (True, lambda w: torch.matmul(x, w[1])),
    "matmul of the tensor": (True, lambda w: x.matmul(w[1])),
    "matmul of batches with one expert": (True, lambda w: torch.matmul(batches, w[1])),
    "matmul of batches": (True, lambda w: torch.matmul(batches, w)),
    "bmm": (True, lambda w: torch.bmm(batches, w)),
    "bmm of the tensor": (True, lambda w: batches.bmm(w)),
    "bmm with transpose": (False, lambda w: torch.bmm(batches, w.transpose(1, 2))),
    "bmm of rows": (True, lambda w: torch.bmm(columns.mT, w[ROWS])),
    "bmm with columns": (False, lambda w: torch.bmm(w[ROWS], columns)),
}


@pytest.mark.parametrize("product", WITHOUT_DENSE_SUM)
def test_a_product_that_experts_use_needs_no_dense_sum_so_dropout_applies(product):
    columns_are_outputs, compute = WITHOUT_DENSE_SUM[product]
    w, dense = stand_in(columns_are_outputs, DROPS)
    torch.testing.assert_close(compute(w), compute(dense))


@pytest.mark.skipif(GROUPED is None, reason="this version of torch has no grouped product")
@pytest.mark.parametrize("columns_are_outputs", [False, True])
def test_a_grouped_product_needs_no_dense_sum(columns_are_outputs):
    w, dense = stand_in(columns_are_outputs, DROPS, torch.float32)
    ends = torch.tensor([2, 2, 5], dtype=torch.int32)  # no row for the second expert

    def compute(weight):
        return GROUPED(x.float(), weight if columns_are_outputs else weight.mT, offs=ends)

    torch.testing.assert_close(compute(w), compute(dense), rtol=1e-4, atol=1e-4)


OTHERS = {
    "matmul that repeats the rows": (True, lambda w: torch.matmul(x, w)),
    "matmul that repeats a batch": (True, lambda w: torch.matmul(batches[:1], w)),
    "matmul from the left": (False, lambda w: torch.matmul(w[1], x.T)),
    "bmm from the left": (True, lambda w: torch.bmm(w[ROWS], columns[:, :D_OUT])),
    "linear with columns": (True, lambda w: functional.linear(x[:, :D_OUT], w[1])),
    "baddbmm": (True, lambda w: torch.baddbmm(torch.ones(EXPERTS, 2, D_OUT, dtype=torch.float64), batches, w)),
    "einsum": (False, lambda w: torch.einsum("rd,eod->reo", x, w)),
    "sum": (False, lambda w: w.sum(0)),
    "list": (False, lambda w: torch.stack([w[0], w[1]])),
    "keyword": (False, lambda w: torch.mul(input=x[0], other=w[1])),
}


@pytest.mark.parametrize("product", OTHERS)
def test_any_other_operation_gets_the_dense_sum_without_dropout(product):
    columns_are_outputs, compute = OTHERS[product]
    w, dense = stand_in(columns_are_outputs)
    torch.testing.assert_close(compute(w), compute(dense))
    with pytest.raises(RuntimeError, match="'up' in a way in which .*dropout=1e-12 cannot be applied; use dropout=0.0"):
        compute(stand_in(columns_are_outputs, DROPS)[0])
