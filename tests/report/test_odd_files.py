"""One odd file stops no reader: the others are shown, and the odd one is named with its field, in one line."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from circpeft import cli, report, results, run_files
from circpeft.course import index
from circpeft.course.dashboard import Dashboard

Odd = Callable[[Path, dict], object]


def _text(change: Callable[[dict], str]) -> Odd:
    return lambda path, good: path.write_text(change(good))


def _with(**changes) -> Odd:
    return _text(lambda good: json.dumps(good | changes))


# By name: how to write the file over a good one, and a part of the reason that names it.
IN_ANY_PLACE: dict[str, tuple[Odd, str]] = {
    "nested": (_text(lambda good: '{"a":' * 100_000), "recursion limit exceeded"),
    "nested in a field": (
        _text(lambda good: json.dumps(good)[:-1] + ', "x": ' + "[" * 500 + "]" * 500 + "}"),
        "recurs",
    ),
    "cut": (_text(lambda good: json.dumps(good)[:-9]), "EOF while parsing"),
    "empty": (_text(lambda good: ""), "is empty"),
    "a list": (_text(lambda good: json.dumps([good])), "is not an object of JSON"),
    "a number": (_text(lambda good: "3"), "is not an object of JSON"),
    "latin-1": (
        lambda path, good: path.write_bytes(json.dumps(good)[:-1].encode() + b', "\xe9": 1}'),
        "is not JSON in",
    ),
    "utf-16": (lambda path, good: path.write_bytes(json.dumps(good).encode("utf-16")), "is not JSON in UTF-8"),
    "half a character": (_text(lambda good: json.dumps(good)[:-1] + r', "x": "\ud800"}'), "is not JSON in UTF-8"),
    "long number": (_text(lambda good: json.dumps(good)[:-1] + ', "x": ' + "9" * 9999 + "}"), "number out of range"),
    "zeros": (lambda path, good: path.write_bytes(bytes(100)), "is not JSON in UTF-8"),
    "folder": (lambda path, good: (path.unlink(), path.mkdir()), "is a folder, expected a file"),
    "pipe": (lambda path, good: (path.unlink(), os.mkfifo(path)), "is not a regular file"),
    "link to nothing": (
        lambda path, good: (path.unlink(), path.symlink_to("nowhere")),
        "cannot be opened: No such file",
    ),
}
IN_A_RECORD: dict[str, tuple[Odd, str]] = {
    "text for a number": (_with(test_score="0.9"), "test_score = '0.9', expected a valid number"),
    "infinite": (_text(lambda good: json.dumps(good | {"test_score": 7}).replace("7,", "1e999,")), "test_score = inf"),
    "almost infinite": (_with(test_score=1.7e308), "test_score = 1.7e+308"),
    "not a number": (_with(start_score=float("nan")), "start_score = nan"),
    "of 400 digits": (_with(peak_bytes=10**400), "peak_bytes = 1000"),
    "negative": (_with(trainable_parameters=-5), "trainable_parameters = -5"),
    "flag": (_with(seed=True), "seed = True"),
    "list": (_with(device=["cpu"]), "device = a list of 1"),
    "text of a megabyte": (_with(label="c3a:" + "x" * 10**6), "label = 'c3a:xxx"),
    "unhashable": (_with(settings={"hyperparameters": {}, "model": "m", "task": []}), "settings.task = a list of 0"),
    "spectra of text": (_with(spectra={"query": ["big"]}), "spectra.query.0 = 'big'"),
    "facts": (_with(computation={"switches": 3}), "computation.switches = 3"),
    "losses": (_with(losses=[{"epoch": 1}]), "lacks loss in losses.0"),
    "newer": (_with(schema=4), "has schema 4, expected 3"),
    "schema of text": (_with(schema="3"), "has schema '3', expected 3"),
}

COURSE = {"profile": "cpu", "parameters": {}, "sources": [], "started": "2026-01-02T03:04:05+00:00"}
COURSE |= {"status": "finished", "notebooks": []}
SCORES = {"finished": "2026-01-02T03:04:05+00:00", "judge": "gpt-4", "mean": 7.5}


@pytest.fixture
def full(folder):
    """A folder with a file of each kind, and what to write an odd one over."""
    folder.scored("LoRA", "SST-2", [0.9, 0.91])
    folder.failed("bad", seed=2)
    folder.sweep()
    [first, *_] = [cell["run"] for cell in folder.cells]
    paths = {
        "results": results.path_of(first, folder.path),
        "failed": results.failure_path("bad", folder.path),
        "sweeps": folder.path / "sweeps" / "cdvft-1.json",
        "run": folder.path / "run.json",
        "mt_bench": folder.path / "mt_bench" / first / "scores.json",
    }
    paths["mt_bench"].parent.mkdir(parents=True)
    paths["run"].write_text(json.dumps(COURSE))
    paths["mt_bench"].write_text(json.dumps(SCORES))
    assert not report.scan(folder.path).problems
    return paths


@pytest.mark.parametrize("kind", ["results", "failed", "sweeps", "run", "mt_bench"])
def test_every_odd_file_of_every_kind_is_one_problem_of_one_line(full, folder, kind):
    path = full[kind]
    good = path.read_text()
    counts = {"results": (1, 1, 1), "failed": (2, 0, 1), "sweeps": (2, 1, 0)}.get(kind, (2, 1, 1))
    for name, (write, reason) in {**IN_ANY_PLACE, **(IN_A_RECORD if kind == "results" else {})}.items():
        if (kind, name) == ("run", "link to nothing"):
            continue  # as if there were none
        write(path, json.loads(good))
        found = report.scan(folder.path)
        assert [problem.path for problem in found.problems] == [path], name
        assert reason in found.problems[0].reason and "\n" not in found.problems[0].reason, name
        assert (len(found.runs), len(found.failures), len(found.sweeps)) == counts, name
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        path.write_text(good)


def test_the_command_shows_the_rest_and_names_each_odd_file_once(full, folder, capsys):
    for number, (write, _) in enumerate([*IN_ANY_PLACE.values(), *IN_A_RECORD.values()]):
        path = folder.finished(f"odd-{number}")
        write(path, json.loads(path.read_text()))
    os.rename(folder.finished("x"), os.fsencode(folder.path / "results") + b"/\xff\n.json")
    for format in ("markdown", "csv", "json", "latex"):
        assert cli.main(["report", str(folder.path), "--format", format]) == 1
        shown = capsys.readouterr()
        assert "lora" in shown.out.lower() and len(shown.err.splitlines()) == number + 2
        assert all(line.startswith("unusable: ") and ".json: " in line for line in shown.err.splitlines())
    assert r"\xff\n.json: has a name with characters that cannot be printed" in shown.err
    rows, problems = index.read_results(folder.path / "results")
    assert len(rows) == 3 and len(problems) == number + 1  # it shows no names of files that are records
    box = Dashboard(report.scan(folder.path))
    assert "2 of 2 runs" in box.counts.value and box.counts.value.count("<li>") == 11
    assert f"and {number + 2 - 10} more" in box.counts.value
    page = report.page(report.scan(folder.path))
    assert page.encode() and "recursion limit exceeded" in page


def test_unknown_fields_are_left_out_and_named(full, folder, capsys):
    for kind, path in full.items():
        path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": "red", "new\n": [1]}))
        assert kind
    found = report.scan(folder.path)
    assert not found.problems and len(found.runs) == 2 and len(found.left_out) == 5
    assert {entry.reason for entry in found.left_out} == {"has fields that this version does not know: colour, new"}
    assert cli.main(["report", str(folder.path)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5 and all(line.startswith("left out: ") and "colour" in line for line in lines)
    assert len(report.problems_table(found)) == 5


def test_a_folder_that_cannot_be_listed_is_named(folder, monkeypatch):
    folder.finished("a")
    (folder.path / "closed").mkdir()
    real = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    [problem] = report.scan(folder.path).problems
    assert problem.path.name == "closed" and "Permission denied" in problem.reason


def test_a_record_that_is_damaged_after_the_scan_loses_only_its_spectra(folder):
    folder.finished("a")
    path = folder.finished("b", label="vera")
    found = report.scan(folder.path)
    path.write_text("{")
    with pytest.warns(UserWarning, match="the singular values of b are left out"):
        assert report.spectra(found)


def test_records_without_a_validation_score_are_in_the_index(folder, tmp_path):
    path = folder.finished("all rows")
    data = json.loads(path.read_text()) | {"score": None, "rows": {"train": 9, "test": 9}}
    path.write_text(json.dumps(data))
    record = COURSE | {"notebooks": [{"name": "00_a", "status": "pending"}]}
    assert "not recorded" in index.write(folder.path, record).read_text()


def test_a_course_without_its_digests_is_named(tmp_path):
    notebooks = [{"name": "00_a", "status": "ok"}]
    (tmp_path / "run.json").write_text(json.dumps(COURSE | {"notebooks": notebooks, "sources": ["00_a.ipynb"]}))
    with pytest.raises(ValueError, match=r"run\.json lacks digest of the finished notebook 00_a"):
        run_files.read_course(tmp_path / "run.json")


def test_a_file_above_the_limit_is_not_read(folder, monkeypatch):
    folder.finished("a")
    monkeypatch.setenv("CIRCPEFT_MAX_RECORD", "2k")
    [problem] = report.scan(folder.path).problems
    assert "is too large" in problem.reason and "CIRCPEFT_MAX_RECORD" in problem.reason
