"""Records, failures, sweeps and file names with planted texts: nothing of them is live in any table, page or export."""

import json
from dataclasses import replace

import pytest

from circpeft import cli, plots, report, results
from circpeft.course import dashboard, repository_runs
from circpeft.escaping import html_table
from tests import planted
from tests.course.live_figures import shown

TEXT, NAME = planted.TEXT, planted.FILE_NAME
PRINTED = "".join(filter(str.isprintable, NAME))  # a record with another name is left out


def plant(folder) -> None:
    """Write a record, a failure, a sweep and an unusable file with a planted text in every field that holds a text."""
    for seed in (0, 1):
        path = folder.finished(f"{PRINTED}{seed}", seed=seed)
        record = results.read(path)
        fields = ("task", "method", "label", "metric", "device", "commit", "code", "data", "split", "finished")
        settings = {
            **record.settings,
            "model": TEXT,
            "task": TEXT,
            "method": TEXT,
            "target_modules": [TEXT],
            TEXT: TEXT,
        }
        settings["epochs"] = 1
        values = {"settings": settings, "versions": {TEXT: TEXT}, "groups": {TEXT: 0.5}, "unadapted": {TEXT: 1}}
        values |= {"spectra": {TEXT: [1.0, 0.5]}, "computation": {"device": f"{seed}{TEXT}", "precision": TEXT}}
        results.write(replace(record, **dict.fromkeys(fields, TEXT), **values), path)
        folder.cell(TEXT, TEXT, path.stem, seed, TEXT, TEXT)
    failed = folder.failed("bad", error=TEXT)
    values = json.loads(failed.read_text())
    values |= {"settings": {"task": TEXT, "method": TEXT, "seed": 0, "model": TEXT}, "traceback": TEXT, "device": TEXT}
    failed.write_text(json.dumps(values))
    folder.cell(TEXT + "2", TEXT, "bad", 0, TEXT, TEXT)
    folder.left_out = [{"row": TEXT, "column": "", "reason": TEXT}]
    path = folder.sweep("own")
    values = json.loads(path.read_text())
    values |= {"table": "", "name": TEXT, "profile": TEXT, "started": TEXT, "commit": TEXT, "code": TEXT}
    path.write_text(json.dumps(values))
    (folder.path / "results" / f"half{NAME}.json").write_text("{" + TEXT)
    (folder.path / "results" / f"{NAME}half.json").write_text(json.dumps({"schema": TEXT}))


@pytest.fixture
def found(folder):
    plant(folder)
    found = report.scan(folder.path)
    assert (len(found.runs), len(found.failures), len(found.sweeps), len(found.problems)) == (2, 1, 1, 2)
    return found


def test_exports(found, tmp_path):
    for table in (None, TEXT):
        text = {
            name: report.export(found, table, name, tmp_path / f"{name}.txt").read_text(encoding="utf-8")
            for name in report.FORMATS
        }
        planted.check_csv(text["csv"])
        planted.check_markdown(text["markdown"])
        planted.check_html(text["html"])
        planted.check_terminal(text["json"])
        json.loads(text["json"])
        planted.check_terminal(text["latex"])
        assert "\\href" not in text["latex"] and "<" not in text["latex"]


def test_the_page_runs_only_its_own_script(found):
    page = report.page(found)
    assert page.count("<script>") == 1 and page.count("Content-Security-Policy") == 1
    assert "script-src 'sha256-" in page and "default-src 'none'" in page


def test_tables_in_notebooks(found):
    repository = repository_runs.beside(found, report.empty())
    frames = [report.runs_table(found), report.failures_table(found), report.problems_table(found)]
    frames += [report.sweeps_table(found), report.compared(found, TEXT), report.wide(report.compared(found, TEXT))]
    frames += [repository_runs.summary(repository), repository_runs.runs_table(repository)]
    frames += [results.table([run.result for run in found.runs])]
    for frame in frames:
        planted.check_html(html_table(frame).hide(axis="index").to_html(), shown=len(frame) > 0)


def test_figures(found):
    figures = [figure for x in report.AXES for figure in report.scatter(found, x)] + report.spectra(found)
    assert len(figures) == len(report.AXES) + 1
    for figure in figures:
        planted.check_figure(figure)
    assert plots.static(figures[0], scale=0.5)[1:4] == b"PNG"


def test_the_dashboard(found):
    box = dashboard.Dashboard(found, TEXT, repository=report.empty())
    for table in (TEXT, dashboard.RUNS):
        box.controls["table"].value = table
        planted.check_html(box.rows.value)
        planted.check_html(box.counts.value, shown=False)
        planted.check_figure(shown(box.figure))
    assert box.controls["panel"].value.startswith('=HYPERLINK("http')  # the options of a menu are plain text


def test_the_command(found, capsys, tmp_path):
    options = [[], ["--json"], *(["--format", name] for name in ("csv", "latex", "markdown"))]
    for arguments in [*options, ["--table", TEXT], ["--table", TEXT, "--format", "csv"]]:
        assert cli.main(["report", str(found.folder), *arguments]) == 1  # two files cannot be read
        printed = capsys.readouterr()
        planted.check_terminal(printed.out)
        planted.check_terminal(printed.err)
        assert "planted" in printed.out and printed.err.count("unusable:") == 2
    for arguments in (["--table", "x" + TEXT], ["--task", "x" + TEXT], ["--output", TEXT], ["--format", TEXT]):
        assert cli.main(["report", str(found.folder), *arguments]) == 2
        planted.check_terminal(capsys.readouterr().err)
    for arguments in (["report", "a", TEXT], ["report", f"--{TEXT}"], [TEXT], ["sweep", "a", "--seeds", TEXT]):
        with pytest.raises(SystemExit):
            cli.main(arguments)
        planted.check_terminal(capsys.readouterr().err)
