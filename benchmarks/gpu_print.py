"""One line of text for each row of a record of GPU measurements."""

from math import nan


def _size(row: dict) -> str:
    return f"{row['tokens']} x {row['d_in']} x {row['d_out']}, b={row['block_size']}, {row['precision']}"


def _failures(row: dict) -> str:
    return "".join(f"; {name} FAILED: {error}" for name, error in row["failed"].items())


def layer_line(row: dict) -> str:
    """Return the medians of a row of `gpu_layers.gpu_row`, in microseconds, the fastest way first.

    >>> ms = {"lora r=8": {"both": [0.1, 0.11, 0.2]}, "c3a": {"both": [0.05, 0.0504, 0.06]}}
    >>> row = {"tokens": 9, "d_in": 64, "d_out": 64, "block_size": 8, "precision": "float32", "beyond_frozen_ms": ms}
    >>> layer_line(row | {"frozen_ms": {"both": [0.2, 0.25, 0.3]}, "auto": {"c3a": "leaf"}, "failed": {}})
    '9 x 64 x 64, b=8, float32: frozen 250 us; beyond it c3a (leaf) 50, lora r=8 110'
    """
    medians = {name: 1000 * times["both"][1] for name, times in row["beyond_frozen_ms"].items()}
    ways = (
        f"{name} ({row['auto'][name]}) {us:.0f}" if name in row["auto"] else f"{name} {us:.0f}"
        for name, us in sorted(medians.items(), key=lambda item: item[1])
    )
    frozen = 1000 * row["frozen_ms"]["both"][1]
    return f"{_size(row)}: frozen {frozen:.0f} us; beyond it {', '.join(ways)}{_failures(row)}"


def host_line(row: dict) -> str:
    """Return the medians of a row of `gpu_layers.host_row`, in microseconds, the fastest way first."""
    ways = sorted(row["host_us"].items(), key=lambda item: item[1][1])
    return f"host, {_size(row)}: us {', '.join(f'{name} {us[1]:.0f}' for name, us in ways)}{_failures(row)}"


def step_line(row: dict) -> str:
    """Return the medians of a row of `gpu_steps.step_row`, with the GPU's busy time and peak memory."""
    ways = (
        f"{name} {ms[1]:.1f} ms, busy {row['busy_ms'].get(name, nan):.1f}, {row['peak_bytes'][name] / 1e9:.2f} GB"
        for name, ms in sorted(row["step_ms"].items(), key=lambda item: item[1][1])
    )
    size = f"{row['model']}, {row['batch']} x {row['tokens']} tokens, {row['precision']}"
    return f"{size}: {'; '.join(ways)}{_failures(row)}"


def kernel_line(row: dict, most: int = 3) -> str:
    """Return the slowest kernels of each way of a row of `gpu_layers.kernel_rows`."""
    ways = (
        f"{name}: {', '.join(f'{kernel[:40]} {us:.0f} us' for kernel, _, us in kernels[:most])}"
        for name, kernels in row["kernels"].items()
    )
    return f"kernels, {row['size']}: {'; '.join(ways)}{_failures(row)}"


def compile_line(row: dict) -> str:
    """Return how many ways were compiled, and which failed."""
    return f"compiled the kernels of {len(row['ways'])} ways{_failures(row)}"


def error_line(row: dict) -> str:
    """Return the largest error of each way of a row of `gpu_errors.error_row`."""
    ways = (f"{name} {max(errors.values()):.1e}" for name, errors in row["errors"].items())
    return f"errors, {row['size']}, at most {row['bound']}: {', '.join(ways)}{_failures(row)}"


LINES = {
    "compiled": compile_line,
    "errors": error_line,
    "layers": layer_line,
    "steps": step_line,
    "host": host_line,
    "profile": kernel_line,
    "rule": layer_line,
}
