"""The count of kernel launches and moved bytes: what it counts, and the limits that backend "leaf" keeps."""

import re

import pytest
import torch

from circpeft import results


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


def test_launches_and_bytes_are_within_the_limits_and_those_of_the_page(benchmark):
    c3a = benchmark.beyond_frozen(2048, 4096, 128, torch.bfloat16, benchmark.NAMES[:4])
    cdvft = benchmark.beyond_frozen(2048, 4096, 4096, torch.bfloat16, benchmark.NAMES[4:])
    forward, backward, moved = c3a["c3a leaf"]
    assert forward <= 4 and backward <= 8 and moved <= 400
    assert cdvft["cdvft leaf"][2] <= 450
    page = (results.ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| (\d+) \+ (\d+) \| (\d+) \|$", page, re.MULTILINE)
    assert [tuple(map(int, row)) for row in rows] == [(f, b, round(mb)) for f, b, mb in (c3a | cdvft).values()]
