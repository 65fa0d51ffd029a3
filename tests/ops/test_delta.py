"""ΔW as a dense matrix, and the kernel's gradient from its gradient, in torch: against indexing and the transpose."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from circpeft import C3A, CDVFT, block_circulant
from circpeft.ops import delta_torch as delta
from circpeft.ops import delta_triton
from circpeft.ops.delta import delta_weight, kernel_from_delta

pytestmark = pytest.mark.usefixtures("one_thread")
both_layouts = pytest.mark.parametrize("layout", ["column", "row"])
# (m, n, b, inputs short of whole blocks, outputs short)
GRIDS = [(1, 1, 1, 0, 0), (2, 3, 4, 1, 2), (3, 1, 7, 6, 0), (1, 2, 13, 0, 5), (5, 4, 6, 0, 0), (2, 1, 24, 3, 1)]
every_grid = pytest.mark.parametrize("grid", GRIDS, ids=str)


@pytest.fixture(params=["by table", "by views", "in bands"], autouse=True)
def way(request, monkeypatch):
    """Compute with each of the ways for a CPU, the last one a few rows at a time."""
    if request.param != "by table":
        monkeypatch.setattr(delta, "TABLE_NUMBERS", 0)
    if request.param == "in bands":
        monkeypatch.setattr(delta, "BUFFER_NUMBERS", 40)
    return request.param


def operands(grid, dtype=torch.float64):
    m, n, b, short_in, short_out = grid
    sizes = (m, n, b), (n * b - short_in,), (m * b - short_out,), (m * b - short_out, n * b - short_in)
    return [torch.randn(size, dtype=dtype) for size in sizes]


def dense(w, layout, scale, first, last, weight):
    return weight + scale * last[:, None] * block_circulant(w, layout)[: len(last), : len(first)] * first


@both_layouts
@every_grid
def test_equals_the_matrix_by_indexing(grid, layout, poisoned):
    w, first, last, weight = operands(grid)
    sizes = {"d_out": len(last), "d_in": len(first)}
    for given in ({}, {"diagonal_in": first}, {"diagonal_out": last}, {"weight": weight}):
        full = {"diagonal_in": torch.ones_like(first), "diagonal_out": torch.ones_like(last), "weight": 0 * weight}
        true = dense(w, layout, -0.7, *(full | given).values())
        torch.testing.assert_close(delta_weight(w, layout, -0.7, **sizes, **given), true)
    full = {"diagonal_in": first, "diagonal_out": last, "weight": weight}
    torch.testing.assert_close(delta_weight(w, layout, 2.0, **sizes, **full), dense(w, layout, 2.0, *full.values()))


@both_layouts
@every_grid
def test_kernel_from_delta_is_the_transpose(grid, layout, poisoned):
    w, first, last, gradient = operands(grid)
    m, n, b = w.shape
    for strided in (gradient, gradient.T.contiguous().T):
        for diagonals in ((None, None), (first, None), (first, last)):
            matrix = delta_weight(w, layout, 0.3, *diagonals, *gradient.shape)
            dw = kernel_from_delta(strided, m, n, b, layout, 0.3, *diagonals)
            torch.testing.assert_close((matrix * gradient).sum(), (w * dw).sum())
            assert dw.is_contiguous() and torch.equal(dw, kernel_from_delta(strided, m, n, b, layout, 0.3, *diagonals))


class Copies(TorchDispatchMode):
    """Record the sizes of the copies of a gradient's rows, whose diagonals are summed."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket is torch.ops.aten.repeat:
            self.sizes.append(out.numel())
        return out


@pytest.mark.parametrize("grid", [(3, 2, 4, 0, 0), (1, 1, 20, 0, 0), (5, 4, 6, 0, 0)], ids=str)
def test_diagonals_are_summed_in_a_buffer_on_a_cpu_and_at_once_elsewhere(grid, monkeypatch):
    monkeypatch.setattr(delta, "BUFFER_NUMBERS", 100)
    (m, n, b, *_), (*_, gradient) = grid, operands(grid)
    twice = 2 * gradient.numel()
    with Copies() as on_a_cpu:
        delta._diagonal_sums(gradient, m, n, b)
    with Copies() as elsewhere:
        delta._diagonal_sums(gradient.to("meta"), m, n, b)
    assert sum(on_a_cpu.sizes) == twice and max(on_a_cpu.sizes) <= 100 and len(on_a_cpu.sizes) > 1
    assert elsewhere.sizes == [twice]


@both_layouts
def test_dtypes_and_no_gradient(layout, error):
    w, first, last, weight = (t.requires_grad_() for t in operands((2, 3, 16, 1, 2), torch.float32))
    true = dense(*(t.double() if isinstance(t, torch.Tensor) else t for t in (w, layout, 2.0, first, last, weight)))
    for dtype, promised in ((torch.float32, 1e-6), (torch.float16, 1e-3), (torch.bfloat16, 5e-3)):
        sizes = len(last), len(first)
        matrix = delta_weight(w, layout, 2.0, first, last, *sizes, dtype, weight)
        assert matrix.dtype == dtype and error(matrix, true) < promised
        assert (
            delta_weight(w.to(dtype), layout).dtype
            == delta_weight(w, layout, weight=weight[:, :0].new_zeros(32, 48).to(dtype)).dtype
            == dtype
        )
        dw = kernel_from_delta(weight.to(dtype), 2, 3, 16, layout)
        assert dw.dtype == torch.float32 and not dw.requires_grad and not matrix.requires_grad


@pytest.mark.parametrize("alpha", ["lora", "paper", 0.3])
def test_the_change_of_an_adapter_has_the_bits_of_the_factors(alpha):
    """So merged weights do not depend on how the change is computed."""
    c3a = C3A(60, 36, 12, alpha, init_weights="gaussian")
    cdvft = CDVFT(50, 33, 7, alpha=alpha, init_weights="gaussian")
    first, last = cdvft.diagonals
    factors = last[:, None] * (block_circulant(cdvft.kernels[0])[:33, :50] * first)
    expected = block_circulant(c3a.scaled_kernel, "row"), cdvft.alpha * factors
    for adapter, true in zip((c3a, cdvft), expected, strict=True):
        with torch.no_grad():
            assert torch.equal(adapter.delta_weight(), true)
        assert torch.equal(adapter.delta_weight(), true) and adapter.delta_weight().requires_grad


def test_fake_tensors_get_a_fake_matrix_and_keep_the_table_plain(monkeypatch):
    monkeypatch.setattr(delta_triton.KERNELS, "are_usable", lambda device: True)  # not for tensors without values
    delta.positions.cache_clear()
    with FakeTensorMode():
        w, gradient = torch.ones(2, 1, 12), torch.ones(24, 12)
        assert delta_weight(w, "row").shape == block_circulant(w, "row").shape == (24, 12)
        assert kernel_from_delta(gradient, 2, 1, 12, "row").shape == w.shape
        assert C3A(12, 24, 12).requires_grad_(False).delta_weight().shape == (24, 12)
    monkeypatch.undo()
    assert torch.equal(kernel_from_delta(torch.ones(24, 12), 2, 1, 12, "row"), torch.full((2, 1, 12), 12.0))


def test_a_small_matrix_is_one_selection_by_a_table_that_is_kept(way):
    if way != "by table":
        pytest.skip("of the table only")
    w = torch.randn(2, 1, 12)
    delta.positions.cache_clear()
    with torch.inference_mode():
        delta_weight(w, "row")  # a table of inference mode could not be used again outside of it
    w.requires_grad_()
    torch.testing.assert_close(delta_weight(w, "row"), block_circulant(w, "row"))
    assert delta.positions.cache_info().misses == 1
    most = delta.positions.cache_parameters()["maxsize"] * delta.TABLE_NUMBERS * 8
    assert most < 32e6  # bytes of all tables that are kept
