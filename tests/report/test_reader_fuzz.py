"""Damaged files of every kind: readers raise only OSError and ValueError, and a report is made of what is left.

`make test-full` runs it with many more examples (CIRCPEFT_FUZZ).
"""

import json
import os
import warnings
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circpeft import report, results, run_files
from circpeft.course import index
from circpeft.training import weight_changes

EXAMPLES = int(os.environ.get("CIRCPEFT_FUZZ", "30"))
BOUNDS = {
    "max_examples": EXAMPLES,
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
NUMBERS = st.sampled_from([0, -1, 1, 10**9, 2**63, 10**400, 0.5, -0.0, 1e308, 1e-320, float("inf"), float("nan")])
WORDS = st.sampled_from(
    ["", "a", "0.5", "\0", "\n", "\ud800", "é" * 300, "../x", "/etc/passwd", "<b>", "cdvft-1", "mean"]
)
SCALARS = st.none() | st.booleans() | NUMBERS | WORDS | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=5
)


def places(value, place=()):
    """Return the places of all values in a document, as tuples of keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    return [place, *(found for key, inner in items for found in places(inner, (*place, key)))]


def damaged(document, place, value, removed):
    """Return a copy of a document with another value at a place, or without one."""
    if not place:
        return document if removed else value
    document = json.loads(json.dumps(document))
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    if removed:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return document


@pytest.fixture
def kinds(folder):
    """A good document of each kind, with its path in a folder and its reader."""
    folder.scored("LoRA", "SST-2", [0.9])
    folder.scored("VeRA", "SST-2", [0.8], label="vera", computation={"device": "cpu", "switches": {}})
    folder.failed("bad", seed=2)
    folder.left_out = [{"row": "FF", "column": "", "reason": "too expensive"}]
    sweep = folder.sweep()
    record = results.path_of(folder.cells[0]["run"], folder.path)
    entry = {"name": "00_a", "status": "failed", "seconds": 1.0, "error": {"ename": "E", "evalue": "", "cell": 1}}
    course = {"profile": "cpu", "parameters": {"seeds": 3}, "sources": ["00_a.ipynb"], "notebooks": [entry]}
    course |= {"status": "failed", "started": "2026-01-02T03:04:05+00:00"}
    scores = {"finished": "2026-01-02T03:04:05+00:00", "judge": "gpt-4", "mean": 7.5, "categories": {"math": None}}
    change = {**weight_changes.encoded_map(np.eye(2)), "rank": 2, "singular_values": [1.0, 1.0]}
    layer = {"name": "query", "shape": (2, 2), "step": 1, "index": [1, 2]}
    changes = weight_changes.content("run", [layer], [{"epoch": 1, "layers": [change]}])
    root = folder.path
    return {
        "record": (record, results.read, json.loads(record.read_text())),
        "failure": (results.failure_path("bad", root), results.read_failure, None),
        "sweep": (sweep, run_files.read_sweep, None),
        "course": (root / "run.json", run_files.read_course, course),
        "judge": (root / "mt_bench" / record.stem / "scores.json", run_files.read_judged, scores),
        "progress": (root / "running" / "a.json", run_files.read_progress, {"step": 1, "of": 2}),
        "weight changes": (root / "weight_changes" / "a.json", weight_changes.read, json.loads(changes)),
    }


@pytest.mark.parametrize("kind", ["record", "failure", "sweep", "course", "judge", "progress", "weight changes"])
def test_readers_raise_only_what_they_name(kinds, folder, kind):
    path, read, document = kinds[kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    document = document or json.loads(path.read_text())
    path.write_text(json.dumps(document))
    read(path)
    counts = Counter()

    @settings(**BOUNDS)
    @given(st.sampled_from(places(document)), VALUES, st.booleans(), st.integers(0, 400), st.binary(max_size=3))
    def check(place, value, removed, cut, added):
        text = json.dumps(damaged(document, place, value, removed)).encode()
        if cut % 5 == 0 and cut < len(text):
            text = text[:cut] + added + text[cut + len(added) :]
        path.write_bytes(text)
        try:
            read(path)
            counts["read"] += 1
        except ValueError as error:
            assert path.name in str(error) and "\n" not in str(error) and len(str(error)) < 2_000
            counts["refused"] += 1
        if sum(counts.values()) % 15 == 0:
            show(folder.path)

    check()
    print(f"\n{kind}: {dict(counts)}")
    assert counts["refused"]


def show(folder: Path) -> None:
    """Make everything of a folder that is not slow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = report.scan(folder)
        for format in ("csv", "markdown", "json", "latex"):
            report.FORMATS[format](found, None, None).encode()
            for sweep in found.sweeps:
                report.FORMATS[format](found, sweep.title, sweep).encode()
        report.filtered(found, **{name: values for name, values in report.choices(found).items() if values})
        for axis in report.AXES:
            report.scatter(found, axis)
        report.spectra(found)
        rows, _ = index.read_results(folder / "results")
        index.summarise(rows)


def test_every_record_that_is_read_can_be_written(folder):
    path = folder.finished("a")
    record = results.read(path)
    assert results.read(results.write(record, path)) == record
    assert asdict(replace(record)) == asdict(record)
