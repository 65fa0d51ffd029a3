"""The notebooks show what the records of the evidence say."""

import json

import pytest

from circpeft.course import evidence


@pytest.fixture
def folder(tmp_path):
    figure = {"data": [{"type": "bar", "x": ["a"], "y": [1.0]}], "layout": {"title": {"text": "Scores"}}}
    record = {
        "part": "block_size",
        "rows": [{}, {}],
        "question": "Is a larger block always worse?",
        "comparisons": {
            "heads": ["task", "difference"],
            "rows": [["<b>", "**-0.100 (0.010)**"], ["digits", "+0.010 (0.010)"]],
            "notes": ["Entailment: <b> is escaped.", "Word problems: another."],
        },
        "figure": figure,
    }
    (tmp_path / "block_size.json").write_text(json.dumps(record))
    return tmp_path


@pytest.fixture
def shown(monkeypatch):
    found = []
    monkeypatch.setattr(evidence, "display", lambda value: found.append(value.data))
    monkeypatch.setattr(evidence.plots, "show", lambda figure: found.append(figure.layout.title.text))
    return found


def test_figure_question_and_notes_are_shown(folder, shown):
    evidence.show("block_size", folder=folder)
    assert shown[0] == "Scores"
    assert "Is a larger block always worse?" in shown[1] and "2 rows" in shown[1]
    assert "<li>Entailment: &lt;b&gt; is escaped.</li><li>Word problems: another.</li>" in shown[1]


def test_only_distinguishable_differences_are_bold(folder, shown):
    evidence.show("block_size", folder=folder)
    assert "*" not in shown[1].split("</style>")[1] and "<td" in shown[1] and "&lt;b&gt;</td>" in shown[1]
    style = shown[1].split("</style>")[0]
    bold = [rule for rule in style.split("}") if "font-weight: bold" in rule]
    assert len(bold) == 1 and "row0_col1" in bold[0] and "row1" not in bold[0]


def test_without_a_record_the_command_is_named(tmp_path, shown, capsys):
    assert evidence.show("fits", folder=tmp_path) is None
    assert "benchmarks/evidence.py --only d" in capsys.readouterr().out and shown == []


def test_an_unknown_part_gets_the_nearest_name():
    with pytest.raises(ValueError, match="'block_sizes'.*'block_size'"):
        evidence.read("block_sizes")


@pytest.mark.parametrize("name", evidence.PARTS)
def test_every_record_in_the_repository_can_be_shown(name, capsys):
    """With the real figures: a record's figure is drawn as a picture, too."""
    evidence.show(name)
    printed, record = capsys.readouterr().out, evidence.read(name)
    assert ("benchmarks/evidence.py --only" in printed) is (record is None)
    assert record is None or record["comparisons"]["rows"]  # the notebooks have no other table
