"""Search for inputs that reach new code of a reader, with atheris: python tests/fuzz/coverage_guided.py TARGET SECONDS.

`make test-full` runs it for each target; without arguments it prints the targets. Only circpeft is instrumented. It
prints how many inputs were tried. An input for which an assertion of `readers.py` fails, or that raises another error
than a ValueError, ends the search with this error, and is kept in build/.
"""

import io
import json
import os
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ["HF_HUB_OFFLINE"] = "1"

# atheris writes a line for each module that it instruments.
with redirect_stderr(io.StringIO()), atheris.instrument_imports(include=["circpeft"]):
    from tests.fuzz import bounds, readers

    if "adapter" in "".join(sys.argv[1:2]):  # the other targets need no PEFT
        import circpeft.hf_peft  # noqa: F401

LONGEST = 4096  # bytes of an input
BETWEEN = b"\x1f"  # a reference and an answer


@dataclass(frozen=True)
class Target:
    """A reader, and inputs to begin with.

    Args:
        run: returns what became of an input; the path is that of a file it may write.
        seeds: inputs that the reader accepts.
        file: the file's name.
    """

    run: Callable[[Path, bytes], str]
    seeds: tuple[bytes, ...]
    file: str = "input"


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


SWEEP = {
    "schema": 1,
    "name": "a",
    "table": "",
    "profile": "cpu",
    "seeds": 1,
    "statistic": "mean",
    "printed_model": False,
}
SWEEP |= {"started": "2026-01-02T03:04:05+00:00", "commit": "0123456789ab", "code": "ab", "cells": [], "left_out": []}
ENTRY = {"name": "00_a", "status": "failed", "seconds": 1.0, "error": {"ename": "E", "evalue": "", "cell": 1}}
COURSE = {"profile": "cpu", "parameters": {"seeds": 3}, "sources": ["00_a.ipynb"], "notebooks": [ENTRY]}
COURSE |= {"status": "failed", "started": "2026-01-02T03:04:05+00:00"}
SCORES = {"finished": "2026-01-02T03:04:05+00:00", "judge": "gpt-4", "mean": 7.5, "categories": {"math": None}}
CONFIG = {"peft_type": "CIRCONV", "target_modules": ["q", "v"], "block_size": 4, "alpha": "lora", "layout": "row"}
TENSOR = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
HEADER = _json({"base_model.model.q.circonv_kernel": TENSOR})
ANSWERS = [
    ("#### 72", "48 + 24 = 72"),
    (r"\boxed{\frac{1}{2}}", "The answer is $0.5$."),
    ("inform(a[b, c])", "inform(a)"),
]
ANSWERS += [("select a from t where b = 'x'", '```sql\nSELECT a FROM t WHERE b = "x";\n```'), ("3 1/2", "1e5 x 10^{3}")]

TARGETS = {
    "sweep-file": Target(
        readers.sweep_file,
        (
            b'profile = "smoke"\ntasks = ["entailment"]\nmethods = ["c3a:block_size=64"]\nseeds = 2\n',
            b'table = "cdvft-1"\nprofile = "paper"\nrows = ["LoRA"]\n[overrides.LoRA]\nlearning_rate = [3e-4, 1e-3]\n',
            b'tasks = ["rte"]\nmethods = ["lora"]\ndata = "d"\n[settings]\nepochs = 4\ntarget_modules = "query"\n',
        ),
        "input.toml",
    ),
    "methods": Target(
        lambda path, data: readers.method_text(data.decode(errors="replace")),
        (b"c3a:block_size=64", b"lora:r=8:alpha=1e-1, cdvft:init_weights=gaussian", b"all"),
    ),
    "scoring": Target(
        lambda path, data: readers.scoring(*_texts(data)),
        tuple(BETWEEN.join(text.encode() for text in pair) for pair in ANSWERS),
    ),
    "csv": Target(readers.table, (b"sentence,label\na,1\n", b'sentence,label\n"a, ""b""",x\n'), "train.csv"),
    "tsv": Target(readers.table, (b"sentence\tlabel\na\t1\n",), "train.tsv"),
    "jsonl": Target(readers.table, (b'{"sentence": "a", "label": [1, {"b": null}]}\n{"label": 0.5}\n',), "train.jsonl"),
    "record": Target(readers.record, tuple(map(_json, (SWEEP, COURSE, SCORES, {"step": 1, "of": 2}))), "input.json"),
    "adapter-config": Target(readers.adapter_config, (_json(CONFIG),), "adapter_config.json"),
    "adapter-header": Target(
        readers.adapter_header, (struct.pack("<Q", len(HEADER)) + HEADER + bytes(16),), "adapter_model.safetensors"
    ),
}


def _texts(data: bytes) -> tuple[str, str]:
    reference, _, answer = data.partition(BETWEEN)
    return reference.decode(errors="replace"), answer.decode(errors="replace")


def search(name: str, seconds: float) -> None:
    """Try inputs of a target for some seconds, print how many there were, and end the process."""
    target, counts, folder = TARGETS[name], Counter(), Path(tempfile.mkdtemp())
    (folder / "data").mkdir()
    (folder / "seeds").mkdir()
    for number, seed in enumerate(target.seeds):
        (folder / "seeds" / f"{number}").write_bytes(seed)
    for seed in target.seeds:
        assert target.run(folder / "data" / target.file, seed) != "refused", seed
    end = time.monotonic() + seconds

    def try_one(data: bytes) -> None:
        counts[target.run(folder / "data" / target.file, data)] += 1
        if time.monotonic() > end:
            bounds.show(f"{name}, guided by coverage", counts)
            sys.stdout.flush()
            os._exit(0)  # libFuzzer ends the process without returning here

    options = [f"-max_len={LONGEST}", "-timeout=120", "-rss_limit_mb=8192", "-verbosity=0"]
    (ROOT / "build").mkdir(exist_ok=True)
    options.append(f"-artifact_prefix={ROOT / 'build' / name}-")
    atheris.Setup([sys.argv[0], *options, str(folder / "seeds")], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) == 3:
        search(sys.argv[1], float(sys.argv[2]))
    print(" ".join(TARGETS))
