"""Settle on this GPU which backend `auto` should take: one run of at most nine minutes, which needs a GPU and Triton.

    PYTHONPATH=. python benchmarks/gpu_settle.py             # writes benchmarks/results/gpu_settle.json
    PYTHONPATH=. python benchmarks/gpu_settle.py --minutes 4 --output settle.json
    PYTHONPATH=. python benchmarks/gpu_settle.py --dry       # everything on a CPU, with tiny sizes, in about a minute

It checks that every backend computes the right product, and ends there if one does not. Then it measures layers by CUDA
graphs, whole training steps, the host's share and the kernels. At the end it prints which targets are met, and the
fastest backend by dtype, width, tokens and block size beside the choice of `auto`. Results are written as they come.
What there was no time for is listed in the record.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import gpu_compile
import gpu_errors
import gpu_print
import gpu_rule
import gpu_steps
import gpu_targets
import gpu_timing
import torch
from gpu_cases import Size, all_ways, our_ways
from gpu_layers import HOST_SIZES, free, gpu_row, host_row, kernel_rows
from gpu_timing import recorded

from circpeft import files, results
from circpeft.training.logging_filters import quiet

OUTPUT = results.ROOT / "benchmarks" / "results" / "gpu_settle.json"
# The layers of the targets, then those of other widths and dtypes.
LAYERS = [
    *(Size(2048, 4096, 4096, b, "bfloat16") for b in (128, 64, 32, 4096)),
    Size(8192, 768, 768, 768, "float32"),
    Size(16384, 768, 768, 768, "autocast"),
    Size(2048, 4096, 11008, 256, "bfloat16"),
    Size(8192, 4096, 4096, 128, "bfloat16"),
    Size(8192, 768, 768, 48, "float32"),
    Size(8192, 3072, 3072, 64, "float32"),
]
PROFILED = ("frozen", "lora r=32 bfloat16", "peft c3a", "c3a", "c3a rfft", "c3a leaf", "c3a dense", "cdvft leaf")
PROFILES = [Size(2048, 4096, 4096, 128, "bfloat16"), Size(8192, 768, 768, 768, "float32")]


@dataclass(frozen=True)
class Part:
    """A part of the measurement: its name in the record, calls that make one row each, and the seconds for each."""

    name: str
    rows: list[Callable[[], dict]]
    seconds: float


class Session:
    """A measurement with a time limit, whose record is written after each row.

    Attributes: ``record``, with a list of rows for each part, and what was skipped.
    """

    def __init__(self, path: Path, device: torch.device, minutes: float, clock: Callable[[], float] = time.monotonic):
        self.path, self.device, self.clock, self.end = path, device, clock, clock() + 60 * minutes
        self.record: dict = {"skipped": []}

    def keep(self, **parts: object) -> None:
        """Add parts to the record, and write it."""
        self.record |= parts
        files.write_atomically(self.path, json.dumps(self.record, indent=1) + "\n")

    def run(self, part: Part) -> None:
        """Measure the rows of a part until the time is over; record what is skipped. A row that fails has its error."""
        for k, row in enumerate(part.rows):
            left = self.end - self.clock()
            if left < part.seconds:
                skipped = f"{part.name}: {len(part.rows) - k} of {len(part.rows)} rows, with {left:.0f} s left"
                print(f"skipped {skipped}", flush=True)
                return self.keep(skipped=[*self.record["skipped"], skipped])
            started, failed = self.clock(), {}
            with recorded(failed, "error"):
                measured = row()
            measured = (failed or measured) | {"seconds": round(self.clock() - started, 1)}
            self.keep(**{part.name: [*self.record.get(part.name, []), measured]})
            print(failed.get("error") or gpu_print.LINES[part.name](measured), flush=True)
            free(self.device)

    def measured(self, name: str) -> list[dict]:
        """Return the rows of a part that did not fail."""
        return [row for row in self.record.get(name, []) if "error" not in row]


def plan(device: torch.device, bytes_per_second: float, dry: bool) -> list[Part]:
    """Return the parts in order of importance; those of a trial are tiny."""
    repeats = 1 if dry else gpu_timing.REPEATS
    tiny = [Size(4, 64, 96, 32, "bfloat16"), Size(4, 64, 64, 64, "float32"), Size(4, 64, 64, 64, "autocast")]
    layers, rule, host, profiles = LAYERS, gpu_rule.SIZES, HOST_SIZES, PROFILES
    if dry:
        layers, rule, host, profiles = tiny, tiny[:1], tiny[:2], tiny[:1]

    def gpu(size: Size) -> Callable[[], dict]:
        return lambda: gpu_row(size, all_ways(size, every_r=True), device, bytes_per_second, repeats)

    def ours_only(size: Size) -> Callable[[], dict]:
        ways = {"frozen": all_ways(size)["frozen"]} | our_ways(size, ("c3a",))
        return lambda: gpu_row(size, ways, device, bytes_per_second, repeats)

    def kernels(size: Size) -> Callable[[], dict]:
        return lambda: kernel_rows(size, {n: way for n, way in all_ways(size).items() if n in PROFILED}, device)

    def compiling(tasks: list[tuple[Size, str]]) -> list[Callable[[], dict]]:
        return [lambda: gpu_compile.compile_row(tasks, device)]

    models = gpu_steps.SMALL_MODELS if dry else gpu_steps.MODELS
    steps = [lambda model=model: gpu_steps.step_row(model, device, repeats) for model in models]
    checked = gpu_errors.SMALL_SIZES if dry else gpu_errors.SIZES
    of_layers = gpu_compile.tasks_of(checked) + gpu_compile.tasks_of(layers, every_r=True)
    return [
        Part("compiled", compiling(list(dict.fromkeys(of_layers))), 60),
        Part("errors", [lambda s=size: gpu_errors.error_row(s, device) for size in checked], 15),
        Part("layers", [gpu(size) for size in layers[:4]], 25),
        Part("steps", steps, 60),
        Part("host", [lambda s=size: host_row(s, all_ways(s), device, repeats) for size in host], 20),
        Part("layers", [gpu(size) for size in layers[4:]], 25),
        Part("profile", [kernels(size) for size in profiles], 20),
        Part("compiled", compiling(gpu_compile.tasks_of(rule, ("c3a",))), 60),
        Part("rule", [ours_only(size) for size in rule], 12),
    ]


def summary(session: Session) -> None:
    """Record and print the targets and the table for the rule."""
    measured = {name: session.measured(name) for name in ("layers", "steps", "rule")}
    targets = gpu_targets.evaluated(measured)
    rule = gpu_rule.rule_rows(measured["layers"] + measured["rule"])
    session.keep(targets=targets, fastest=rule)
    inexact = [f"larger error than promised: {line}" for line in gpu_errors.beyond_bounds(session.measured("errors"))]
    print(
        "", *gpu_targets.lines(targets), *inexact, "", *gpu_rule.lines(rule), "", *gpu_rule.limit_lines(rule), sep="\n"
    )


def main(argv: list[str] | None = None) -> int:
    """Measure; return 1 if a backend computes something wrong, and else 0."""
    parser = argparse.ArgumentParser(description="Settle which backend auto should take on this GPU.")
    parser.add_argument("--minutes", type=float, default=9, help="time limit; later parts are skipped (default: 9)")
    parser.add_argument("--dry", action="store_true", help="run everything on a CPU with tiny sizes; no result counts")
    parser.add_argument("--output", type=Path, help=f"path of the record (default: {OUTPUT.relative_to(results.ROOT)})")
    arguments = parser.parse_args(argv)
    if not arguments.dry and not torch.cuda.is_available():
        parser.error("this needs a GPU; --dry tries everything on a CPU")
    quiet()
    device = torch.device("cpu" if arguments.dry else "cuda")
    output = arguments.output or (Path(tempfile.mkdtemp()) / "gpu_settle.json" if arguments.dry else OUTPUT)
    name = "CPU, a trial" if arguments.dry else torch.cuda.get_device_name()
    provenance = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "load_before": os.getloadavg()}
    session = Session(output, device, arguments.minutes)
    session.keep(**provenance, **results.environment(name))
    bytes_per_second = gpu_timing.copy_bandwidth(device, 1 if arguments.dry else 1024)
    session.keep(bytes_per_second=bytes_per_second)
    for part in plan(device, bytes_per_second, arguments.dry):
        session.run(part)
        if wrong := gpu_errors.beyond_bounds(session.measured("errors"), gpu_errors.WRONG):
            session.keep(wrong=wrong)
            print("A backend computes something wrong. Nothing was timed.", *wrong, sep="\n")
            return 1
    summary(session)
    print(f"\nWritten to {output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
