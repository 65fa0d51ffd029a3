"""The comparisons of notebooks 08 to 10: planned runs, the repository's own runs, and scores against parameters."""

from dataclasses import fields

import pytest

from circpeft import methods, results
from circpeft.course import comparison


def test_all_leaves_out_methods_that_the_model_does_not_support(tmp_path, capsys):
    planned = comparison.plan("instructions", "smoke", "word_problems", "all", tmp_path)
    assert [recipe.method for recipe in planned] == [name for name in methods.METHODS if name != "bitfit"]
    assert "bitfit is left out: bitfit trains biases" in capsys.readouterr().out
    with pytest.raises(ValueError, match="bitfit trains biases"):  # a method given by name is not left out
        comparison.plan("instructions", "smoke", "word_problems", "c3a,bitfit", tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):  # nor are methods if something else is wrong
        comparison.plan("instructions", "smoke", "gsm8k", "all", tmp_path, data_dir=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("task", ["entailment", "digits", "word_problems"])
def test_the_repository_has_three_seeds_of_the_embedded_tasks(task):
    record = comparison.on_record(task)
    assert {"head", "full", "lora", "c3a", "cdvft"} <= {*record.index} and (record["seeds"] >= 3).all()
    assert (record["lowest"] <= record["test"]).all() and (record["test"] <= record["highest"]).all()


def test_the_repository_has_no_runs_of_other_tasks():
    assert comparison.on_record("rte").empty


def test_the_whiskers_reach_from_the_lowest_to_the_highest_seed():
    figure = comparison.against_parameters([run("lora", 100, score) for score in (0.5, 0.875, 0.875)], "all-linear")
    (lora,) = figure.data
    assert lora.y[0] - lora.error_y.arrayminus[0] == 0.5 and lora.y[0] + lora.error_y.array[0] == 0.875


def run(label: str, count: int, score: float) -> results.Result:
    known = dict.fromkeys((f.name for f in fields(results.Result)), 0) | {"task": "rte", "metric": "accuracy"}
    values = {"label": label, "method": label, "trainable_parameters": count, "test_score": score}
    return results.Result(**known | values | {"settings": {"target_modules": "all-linear"}})


def test_a_method_without_parameters_is_drawn_as_a_line():
    runs = [run("head", 0, 0.5), run("lora", 100, 0.75), run("c3a", 10, 0.7)]
    figure = comparison.against_parameters(runs, "all-linear")
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name["c3a"].x) == [10] and list(by_name["lora"].y) == [0.75]
    assert list(by_name["head"].y) == [0.5, 0.5] and by_name["head"].line.dash == "dot"
    only_head = comparison.against_parameters(runs[:1], "all-linear")
    assert [trace.name for trace in only_head.data] == ["head"]
