"""The count of kernel launches and moved bytes: what it counts, and the limits that backend "leaf" keeps."""

import pytest
import torch

from circpeft.ops.backends.leaf_triton import KERNELS


@pytest.fixture(scope="module")
def benchmark(load_benchmark):
    return load_benchmark("launches")


def test_operations_count_with_their_operands_and_views_do_not(benchmark):
    def counted(run):
        return benchmark.counted(run)[0]

    a, b = torch.empty(8, 4, device="meta"), torch.empty(4, 6, device="meta")
    assert counted(lambda: a @ b) == [("mm", 4 * (32 + 24 + 48))]
    assert counted(lambda: a.T.view(2, 2, 8).transpose(0, 1)) == []
    assert counted(lambda: a.add_(1)) == [("add_", 4 * 64)]
    assert counted(lambda: a.new_empty(3)) == []
    assert counted(lambda: a + b[0, :1].expand(4)) == [("add", 4 * (32 + 1 + 32))]
    assert counted(lambda: a.copy_(a.new_empty(8, 4))) == [("copy_", 4 * 64)]
    assert counted(lambda: a.bfloat16()) == [("_to_copy", 4 * 32 + 2 * 32)]


def test_a_product_that_is_added_to_its_result_reads_it_too(benchmark):
    a, b, y = (torch.empty(size, device="meta") for size in ((8, 4), (4, 6), (8, 6)))
    assert benchmark.counted(lambda: y.addmm_(a, b))[0] == [("addmm_", 4 * (32 + 24 + 2 * 48))]
    assert benchmark.counted(lambda: torch.addmm(y, a, b, out=y))[0] == [("addmm", 4 * (32 + 24 + 2 * 48))]
    assert benchmark.counted(lambda: torch.addmm(y, a, b, beta=0, out=y))[0] == [("addmm", 4 * (32 + 24 + 48))]

    def inverse(base, has_base):
        sizes = {"width": 6, "has_base": has_base}
        return lambda: KERNELS.launch("inverse", (8, 1), a, y, base, y, b, **sizes)

    assert benchmark.counted(inverse(y, False))[0] == [("inverse", 4 * (32 + 24 + 48))]
    assert benchmark.counted(inverse(y, True))[0] == [("inverse", 4 * (32 + 24 + 2 * 48))]
    assert benchmark.counted(inverse(torch.empty_like(y), True))[0] == [("inverse", 4 * (32 + 24 + 2 * 48))]


def test_launches_and_bytes_are_within_their_limits(benchmark):
    sizes = {b: benchmark.Size(2048, 4096, 4096, b, "bfloat16") for b in (128, 4096)}
    c3a, cdvft = (benchmark.beyond_frozen(size, benchmark.all_ways(size, every_r=True)) for size in sizes.values())
    leaf, apart = c3a["c3a leaf"], c3a["c3a leaf apart"]
    assert leaf.forward <= 4 and leaf.backward <= 7 and leaf.bytes <= 325e6
    assert cdvft["cdvft leaf"].bytes <= 420e6 and c3a["c3a dense"].bytes <= 410e6
    # Together, the gradients of the input are not added in a pass of their own: a launch that reads two and writes one.
    # The last product reads what it adds to instead.
    gradient = 2048 * 4096 * 2
    assert apart.backward == leaf.backward + 1 and apart.bytes == leaf.bytes + 2 * gradient
    assert all(c3a[name].bytes > leaf.bytes for name in ("peft c3a", "lora r=32", "c3a rfft"))


def test_the_table_of_the_page_has_the_counts(benchmark):
    assert benchmark.page_text() == benchmark.PAGE.read()
