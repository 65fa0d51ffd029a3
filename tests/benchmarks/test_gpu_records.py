"""The record of layers on a GPU, of `speed.py`: it is written row by row, and the pages' table can be made from it."""

import pytest


@pytest.fixture(scope="module")
def speed(load_benchmark):
    return load_benchmark("speed")


def test_layers_of_a_gpu_have_two_times_which_the_table_reads(speed, load_benchmark, monkeypatch):
    monkeypatch.setattr(speed, "gpu_row", lambda *a: gpu_row(*a, repeats=2))
    monkeypatch.setattr(speed, "host_row", lambda *a: host_row(*a, repeats=1))
    monkeypatch.setattr(speed.gpu_timing, "copy_bandwidth", lambda device: 1e9)
    gpu_row, host_row = load_benchmark("gpu_layers").gpu_row, load_benchmark("gpu_layers").host_row
    kept = []
    sizes = [speed.Size(4, 64, 96, 32, precision) for precision in ("bfloat16", "float32")]
    speed.gpu_time(kept.append, sizes, "cpu")
    speed.host_time(kept.append, sizes[:1], "cpu")
    assert len(kept) == 3  # after each row
    layers, host = kept[1], kept[2]["rows"][0]
    assert host["tokens"] == 4 and {"frozen", "c3a", "lora r=32 bfloat16"} <= host["host_us"].keys()
    assert speed.LORA_ADAPTERS.keys() <= host["host_us"].keys() and layers["lora_adapters"] == speed.LORA_ADAPTERS
    table = load_benchmark("gpu_table")
    lines = table.layers_text(layers | {"device": "no GPU"}).splitlines()
    half, single = (line.split(" | ") for line in lines[2:4])
    assert half[0] == "| 4, 64 to 96, b=32, bfloat16" and len(half) == len(lines[0].split(" | ")) == 7
    median = layers["rows"][0]["beyond_frozen_ms"]["lora r=8 bfloat16"]["both"][1]
    assert half[2] == f"{1000 * median:.0f}" and single[2] == ""
    assert half[6] == f"{layers['rows'][0]['times_roofline']['c3a']:.1f} |"
    assert "at 0.00 TB/s" in lines[-1] and "no GPU" in lines[-1]


def test_the_sizes_cover_the_widths_and_block_sizes_of_the_papers(speed):
    half = {(s.d_in, s.d_out, s.b) for s in speed.CUDA_SIZES if s.precision == "bfloat16"}
    assert {(4096, 4096, b) for b in (32, 64, 128, 4096)} | {(4096, 11008, 64), (11008, 4096, 128)} <= half
    assert {s.d_in for s in speed.CUDA_SIZES if s.precision == "float32"} == {768, 1024, 3072}
    assert all(s.d_in % s.b == s.d_out % s.b == 0 for s in speed.CUDA_SIZES)


def test_a_part_of_the_other_device_is_refused(speed, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["speed.py", "--only", "gpu_time"])
    with pytest.raises(SystemExit):
        speed.main()
    assert "unknown part of --only for cpu: gpu_time; choices: layers, steps" in capsys.readouterr().err
