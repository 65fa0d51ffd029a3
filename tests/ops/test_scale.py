"""Named scales: the numbers that they stand for, the same random start, and one error for anything else."""

import math

import numpy as np
import pytest
import torch

from circpeft import C3A, CDVFT, block_circulant
from circpeft.adapters.experts import ExpertAdapters
from circpeft.ops.scale import check_alpha, described

SIZES = [(12, 8, 4), (8, 12, 2), (16, 16, 16), (5, 10, 1)]
PADDED = [*SIZES, (7, 5, 3), (10, 3, 10)]


@pytest.mark.parametrize(("d_in", "d_out", "b"), SIZES)
@pytest.mark.parametrize("layout", ["row", "column"])
def test_c3a_is_divided_by_the_root_of_its_blocks_along_the_shorter_side(d_in, d_out, b, layout):
    adapter = C3A(d_in, d_out, b, alpha="lora", layout=layout, init_weights="gaussian")
    k = min(d_in, d_out) // b
    torch.testing.assert_close(adapter.delta_weight(), block_circulant(adapter.kernel, layout) / math.sqrt(k))
    x = torch.randn(3, d_in)
    torch.testing.assert_close(adapter(x), x @ adapter.delta_weight().T, rtol=1e-4, atol=1e-5)
    weight, bias = torch.randn(d_out, d_in), torch.randn(d_out)
    expected = x @ (weight + adapter.delta_weight()).T + bias
    torch.testing.assert_close(adapter.adapted_forward(x, weight, bias), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("d_in", "d_out", "b"), PADDED)
@pytest.mark.parametrize("factors", [3, 5])
def test_cdvft_is_divided_by_the_root_of_its_blocks_along_the_shorter_side(d_in, d_out, b, factors, error):
    adapter, paper = (CDVFT(d_in, d_out, b, num_factors=factors, alpha=name) for name in ("lora", "paper"))
    with torch.no_grad():
        for p in adapter.parameters():
            p.normal_()
    paper.load_state_dict(adapter.state_dict())
    assert error(adapter.delta_weight() * math.sqrt(math.ceil(min(d_in, d_out) / b)), paper.delta_weight()) < 1e-6


def test_paper_is_the_number_one_bit_for_bit(adapter_case):
    number, name = adapter_case.build(alpha=1.0), adapter_case.build(alpha="paper")
    name.load_state_dict(number.state_dict())
    assert torch.equal(number.delta_weight(), name.delta_weight()) and name.alpha == 1.0


STARTS = [(C3A, "xavier_uniform"), (C3A, "kaiming_uniform"), (C3A, "gaussian"), (CDVFT, "gaussian")]


@pytest.mark.parametrize(("cls", "start"), STARTS)
@pytest.mark.parametrize(("d_in", "d_out", "b"), SIZES)
def test_a_random_start_is_the_same_change_with_both_names(cls, start, d_in, d_out, b, error):
    changes = []
    for name in ("lora", "paper"):
        torch.manual_seed(5)
        changes.append(cls(d_in, d_out, b, alpha=name, init_weights=start).delta_weight())
    assert error(*changes) < 1e-6 and changes[0].norm() > 0


def test_a_random_start_with_one_factor_is_the_same_change_and_with_a_number_it_is_scaled(error):
    def change(cls, alpha, **options):
        torch.manual_seed(5)
        return cls(12, 12, 4, alpha=alpha, init_weights=False, **options).delta_weight()

    assert error(change(CDVFT, "lora", num_factors=1), change(CDVFT, "paper", num_factors=1)) < 1e-6
    for cls in (C3A, CDVFT):
        assert error(change(cls, 3.0), 3.0 * change(cls, "paper")) < 1e-6


def test_only_the_first_circulant_of_a_random_cdvft_depends_on_the_name():
    values = []
    for name in ("lora", "paper"):
        torch.manual_seed(5)
        values.append(dict(CDVFT(12, 12, 4, num_factors=5, alpha=name, init_weights=False).named_parameters()))
    assert [name for name in values[0] if not torch.equal(values[0][name], values[1][name])] == ["kernel_0"]


def test_experts_have_the_scale_of_their_shapes(error):
    shapes = {"gate": (12, 8, 4), "down": (8, 12, 2)}
    for cls in (C3A, CDVFT):
        changes = []
        for name in ("lora", "paper"):
            with torch.device("meta"):
                single = {weight: cls(*shape, alpha=name) for weight, shape in shapes.items()}
            torch.manual_seed(5)
            changes.append(ExpertAdapters(single, {"gate": 3, "down": 3}, False))
        lora, paper = changes
        for weight, (d_in, d_out, b) in shapes.items():
            assert lora.expert(weight, 1).alpha == cls(d_in, d_out, b, alpha="lora").alpha
            assert error(lora.delta_weight(weight), paper.delta_weight(weight)) < 1e-6
            x = torch.randn(3, d_in)
            assert error(lora.expert(weight, 2)(x), x @ lora.delta_weight(weight)[2].T) < 1e-5


def test_a_sum_of_different_scales_is_exact_in_every_scale(error):
    adapters = [C3A(12, 8, 4, alpha=alpha, init_weights="gaussian") for alpha in ("lora", "paper", 2.5)]
    expected = sum(w * a.delta_weight() for w, a in zip((0.5, -2.0, 1.0), adapters, strict=True))
    for alpha in ("lora", "paper", -3.0):
        target = C3A(12, 8, 4, alpha=alpha)
        target.set_weighted_sum(adapters, [0.5, -2.0, 1.0])
        assert error(target.delta_weight(), expected) < 1e-6


def test_a_repr_shows_the_number_and_the_name():
    assert "alpha=384.0 ('lora')" in repr(C3A(768, 768, 192, alpha="lora"))
    assert "alpha=1.0 ('paper')" in repr(C3A(768, 768, 192))
    assert "alpha=0.5 ('lora')" in repr(CDVFT(768, 768, 192, alpha="lora"))
    adapter = C3A(768, 768, 192, alpha="lora")
    adapter.alpha *= 0.5  # as set_scale does
    assert described(adapter) == "alpha=192.0" and isinstance(adapter.alpha, float)


BAD = [("1.0", "remove the quotes: alpha=1.0"), ("-2e-1", "remove the quotes: alpha=-2e-1")]
BAD += [("lroa", "did you mean 'lora'?"), ("LoRA", "did you mean 'lora'?"), ("papers", "did you mean 'paper'?")]
BAD += [("large", "choices: lora, paper"), (None, "such as 1.0"), (True, "such as 1.0"), (math.nan, "such as 1.0")]


@pytest.mark.parametrize(("alpha", "hint"), BAD, ids=str)
@pytest.mark.parametrize("cls", [C3A, CDVFT])
def test_one_error_names_the_choices(cls, alpha, hint):
    with pytest.raises(ValueError) as raised:
        cls(4, 4, alpha=alpha)
    text = str(raised.value)
    assert text.startswith(f"alpha must be a finite number, 'lora' or 'paper', got {alpha!r}; ") and hint in text
    assert "\n" not in text


def test_names_of_other_string_types_are_plain():
    assert type(check_alpha(np.str_("lora"))) is str and check_alpha(np.float32(2)) == 2.0
