"""Planted texts in questions, answers, labels, errors and names: nothing of them is live in what the course shows."""

import json
from dataclasses import fields

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from datasets import Dataset
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from circpeft import cli, plots, prediction, results, tasks
from circpeft.course import (
    answers,
    chat,
    comparison,
    epoch_figures,
    evidence,
    exercise,
    index,
    notebook_page,
    predict,
    runner,
    times,
)
from circpeft.escaping import html_table
from tests import planted

TEXT, NAME = planted.TEXT, planted.FILE_NAME


def run(**values) -> results.Result:
    known = dict.fromkeys((field.name for field in fields(results.Result)), 0)
    texts = {name: TEXT for name in ("task", "label", "metric", "device", "commit", "split")}
    known |= {**texts, "method": "lora", "rows": {"test": 4}, "start_score": 0.0, "test_score": 0.5, "score": 0.5}
    known |= {"settings": {"target_modules": [TEXT]}, "computation": {}, "weight_changes": "", "groups": {TEXT: 0.5}}
    known |= {"epochs": [{"epoch": 1, "score": 0.5}], "losses": [{"epoch": 1, "loss": 0.5}], "spectra": {TEXT: [1.0]}}
    return results.Result(**known | {"start_predictions": [TEXT], "predictions": [TEXT]} | values)


def test_answers_side_by_side():
    rows = Dataset.from_dict({"question": [TEXT], "answer": [TEXT]})
    task = tasks.get("word_problems")
    planted.check_html(answers.side_by_side(task, rows, run()).to_html())
    planted.check_html(answers.texts_table(pd.DataFrame({TEXT: [TEXT]})).to_html())


def test_tables_and_figures_of_a_comparison(capsys, monkeypatch):
    runs = [run(seed=0), run(seed=1), run(label=f"head {TEXT}")]
    planted.check_html(comparison.table(runs).to_html())
    figures = [comparison.against_parameters(runs, ""), *comparison.learning_curves(runs, "")]
    figures += comparison.spectra(runs, "")
    assert len(figures) == 4
    for figure in figures:
        planted.check_figure(figure)
        assert plots.static(figure, scale=0.5)[1:4] == b"PNG"
    monkeypatch.setattr(comparison.training, "run", lambda recipe: recipe)
    comparison.run_all([run()])
    epoch_figures.read([run()], "")
    planted.check_terminal(capsys.readouterr().out)


def test_names_of_classes_below_pictures():
    sheet = plots.sheet([Image.new("RGB", (8, 8))], [TEXT])  # a picture of one line
    assert sheet.height < 120


def test_the_chat():
    form = chat.Chat(lambda question, adapted: f"{adapted}{TEXT}", TEXT, [chat.Exchange(TEXT, TEXT, TEXT)], TEXT)
    form.ask()
    assert len(form.exchanges) == 2
    for shown in (form.shown.value, form.status.value, form.to_html(), form._repr_mimebundle_()["text/html"]):
        planted.check_html(shown)

    def fails(question, adapted):
        raise RuntimeError(TEXT)

    form.answer = fails
    form.ask()
    planted.check_html(form.status.value)
    assert not form.question.description_allow_html


class Planted:
    """A value whose representation is planted."""

    def __repr__(self) -> str:
        return TEXT


def _raises(*arguments):
    raise ValueError(TEXT)


@pytest.mark.parametrize("answer", [lambda *a: TEXT, lambda *a: Planted(), lambda *a: {TEXT: TEXT}, _raises])
@pytest.mark.parametrize("exercise_id", ["01.1", "08.1"])
def test_the_checker_of_exercises(answer, exercise_id, capsys):
    exercise(exercise_id)(answer)
    printed = capsys.readouterr().out
    assert "[NOT YET]" in printed
    planted.check_terminal(printed)


def test_an_answer_to_a_question(capsys):
    for answer in (TEXT, Planted()):
        predict("02.q1", answer)
    planted.check_terminal(capsys.readouterr().out)


def test_the_evidence(monkeypatch, tmp_path):
    found = {"heads": [TEXT], "rows": [[TEXT]], "notes": [TEXT]}
    record = {"question": TEXT, "comparisons": found, "rows": [], "figure": None}
    (tmp_path / "fits.json").write_text(json.dumps(record))
    shown = []
    monkeypatch.setattr(evidence, "display", shown.append)
    evidence.show("fits", folder=tmp_path)
    planted.check_html(shown[0].data)


def _record() -> dict:
    error = {"cell": 1, "execution": 1, "source": TEXT, "ename": TEXT, "evalue": TEXT}
    entry = {"name": NAME, "status": "failed", "error": error, "seconds": 1.0, "device": TEXT, "commit": TEXT}
    return {
        **{"profile": TEXT, "status": TEXT, "started": "2026-01-02T03:04:05+00:00", "parameters": {TEXT: TEXT}},
        "notebooks": [{**entry, "versions": {TEXT: TEXT}}],
    }


def test_the_index_page_of_a_course_run(tmp_path):
    values = {"task": TEXT, "method": TEXT, "label": TEXT, "seed": 0, "metric": TEXT, "score": 0.5, "test_score": 0.2}
    values |= {"trainable_parameters": 1, "seconds": 3.0, "peak_bytes": 1, "settings": {"target_modules": [TEXT]}}
    for folder in ("results", "html"):
        (tmp_path / folder).mkdir()
    (tmp_path / "results" / "a.json").write_text(json.dumps(values))
    (tmp_path / "results" / f"{NAME}.json").write_text("{")
    (tmp_path / "html" / f"{NAME}.html").write_text("")
    page = index.write(tmp_path, _record()).read_text(encoding="utf-8")
    planted.check_html(page)
    links = [a["href"] for a in BeautifulSoup(page, "html.parser").find_all("a")]
    assert all(link.startswith("html/") or "/" not in link for link in links) and len(links) == 2
    assert "script-src 'none'" in page


def test_the_run_time_in_the_title_of_a_notebook(monkeypatch):
    monkeypatch.setattr(times, "read", lambda: {"cpu": {"seconds": {"00_start": 1.0}, "device": TEXT}})
    planted.check_markdown(times.line("00_start"))


def test_the_page_of_a_notebook(tmp_path):
    outputs = [
        new_output("stream", name="stdout", text=TEXT),
        new_output("error", ename=TEXT, evalue=TEXT, traceback=[TEXT]),
        new_output("execute_result", data={"text/plain": TEXT}, execution_count=1),
        new_output("display_data", data={"text/html": html_table(pd.DataFrame({TEXT: [TEXT]})).to_html()}),
    ]
    notebook = new_notebook(cells=[new_code_cell("1", outputs=outputs)])
    nbformat.write(notebook, tmp_path / f"{NAME}.ipynb")
    page = notebook_page.write_page(tmp_path / f"{NAME}.ipynb", tmp_path / "a.html").read_text(encoding="utf-8")
    soup = BeautifulSoup(page, "html.parser")
    assert not soup.find_all("script") and not soup.find_all("img") and "planted" in soup.get_text()
    [policy] = soup.find_all("meta", attrs={"http-equiv": "Content-Security-Policy"})
    assert "script-src 'none'" in policy["content"] and policy.parent.name == "head"


def test_the_lines_of_a_course_run(tmp_path, monkeypatch, capsys):
    notebook = tmp_path / f"{NAME}.ipynb"
    nbformat.write(
        new_notebook(cells=[new_code_cell("profile = 'smoke'", metadata={"tags": ["parameters"]})]), notebook
    )

    def fails(*arguments):
        raise RuntimeError(TEXT)

    monkeypatch.setattr(runner, "_run_one", fails)
    assert cli.main(["run", str(notebook), "--output-dir", str(tmp_path / "runs")]) == 1
    printed = capsys.readouterr()
    assert "planted" in printed.out
    planted.check_terminal(printed.out)


def test_predictions(monkeypatch, capsys, tmp_path):
    task = tasks.get("word_problems")
    rows = Dataset.from_dict({"question": [TEXT]})
    monkeypatch.setattr(prediction, "open_trained", lambda *a: type("Trained", (), {"task": task})())
    monkeypatch.setattr(prediction, "rows_of_texts", lambda *a: rows)
    monkeypatch.setattr(prediction, "predict", lambda *a, **k: [{"prediction": TEXT, TEXT: TEXT}])
    to = tmp_path / "out.jsonl"
    for arguments in ([], ["--json"], ["--to", str(to)]):
        assert cli.main(["predict", "x", "--text", TEXT, *arguments]) == 0
        printed = capsys.readouterr().out
        planted.check_terminal(printed)
        if arguments == ["--json"]:
            assert json.loads(printed) == {"question": TEXT, "prediction": TEXT, TEXT: TEXT}
    planted.check_terminal(to.read_text(encoding="utf-8"))
    assert json.loads(to.read_text(encoding="utf-8"))["prediction"] == TEXT
    monkeypatch.setattr(prediction, "predict", lambda *a, **k: (_ for _ in ()).throw(ValueError(TEXT)))
    assert cli.main(["predict", "x", "--text", TEXT]) == 2
    planted.check_terminal(capsys.readouterr().err)


def test_the_titles_of_notebooks(monkeypatch, capsys, tmp_path):
    path = tmp_path / f"{NAME}.ipynb"
    nbformat.write(new_notebook(cells=[nbformat.v4.new_markdown_cell(f"# 00 · {TEXT}")]), path)
    monkeypatch.setattr(cli.list_command, "select", lambda: [path])
    for arguments in ([], ["--json"]):
        assert cli.main(["list", "notebooks", *arguments]) == 0
        planted.check_terminal(capsys.readouterr().out)
