"""`circpeft predict`: the predictions of a run's record again, from its files, and one line for what cannot be."""

import json
import shutil
from pathlib import Path

import pytest

from circpeft import models, results, training
from circpeft.cli import main
from tests.versions import needs


def rows(path) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def test_the_predictions_of_a_text_run_come_again(recipe, data_dir, tmp_path, capsys):
    made = recipe("c3a", epochs=1)
    record = training.run(made)
    source, file = str(results.path_of(made.name, made.output_dir)), f"{data_dir}/test.jsonl"
    assert main(["predict", source, "--file", file, "--to", str(tmp_path / "out.jsonl"), "--quiet"]) == 0
    found = rows(tmp_path / "out.jsonl")
    names = ("negative", "positive")
    assert [row["prediction"] for row in found] == [names[number] for number in record.predictions]
    assert [row["sentence"] for row in found] == [row["sentence"] for row in rows(file)]
    assert all(0.5 <= row["probability"] <= 1 for row in found)
    capsys.readouterr()
    assert main(["predict", str(training.weights_of(made)), "--text", found[0]["sentence"]]) == 0
    assert capsys.readouterr().out.splitlines() == [found[0]["prediction"]]
    assert main(["predict", made.output_dir, "--text", "a", "b", "--quiet"]) == 2
    assert "a row of task 'sst2' has 1 texts (sentence), got 2" in capsys.readouterr().err
    (tmp_path / "rows.csv").write_text("sentense\n1\n")
    assert main(["predict", source, "--file", str(tmp_path / "rows.csv"), "--quiet"]) == 2
    assert "rename 'sentense' to 'sentence'" in capsys.readouterr().err
    weights = training.weights_of(made) / "adapter_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # it still loads
    assert main(["predict", source, "--text", "a", "--quiet"]) == 2
    assert "are damaged: in " in (line := capsys.readouterr().err) and "safetensors is not as it was written" in line


def test_the_answers_of_a_language_model_come_again(instruction, questions_dir, tmp_path, capsys):
    made = instruction("c3a", epochs=1)
    record = training.run(made)
    capsys.readouterr()
    assert main(["predict", made.output_dir, "--file", f"{questions_dir}/test.jsonl", "--quiet"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["prediction"] for row in found] == record.predictions
    adapter = shutil.copytree(training.weights_of(made), tmp_path / "adapter")
    assert main(["predict", str(adapter), "--text", found[0]["question"]]) == 2
    assert "has no record of a run; name its task" in capsys.readouterr().err
    assert main(["predict", str(adapter), "--text", found[0]["question"], "--task", "gsm8k", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["prediction"]
    assert answer.startswith(found[0]["prediction"])  # without a record, an answer may be as long as the task's
    assert main(["predict", str(adapter), "--text", "x" * 400, "--task", "gsm8k"]) == 2
    assert "the model has 64 positions; shorten it" in capsys.readouterr().err
    assert main(["predict", str(adapter), "--text", "say 3", "--task", "rte"]) == 2
    assert "is an adapter for AutoModelForCausalLM; name another task" in capsys.readouterr().err


@needs("transformers", "5", "it names the layers of ViT differently")
def test_classes_of_images_have_their_names(recipe, tmp_path, capsys):
    small = {"model": models.resolve("small-vit"), "data_dir": "", "target_modules": ("q_proj",)}
    made = recipe("c3a", task="digits", epochs=1, max_train=32, max_eval=8, **small)
    record = training.run(made)
    pictures = training.data_of(made).data["test"]
    lines = []
    for number, picture in enumerate(pictures["image"]):
        picture.save(tmp_path / f"{number}.png")
        lines.append(json.dumps({"image": f"{number}.png"}))
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    command = ["predict", str(training.weights_of(made)), "--file", str(tmp_path / "rows.jsonl")]
    assert main([*command, "--to", str(tmp_path / "out.jsonl"), "--quiet"]) == 0
    assert [int(row["prediction"]) - 5 for row in rows(tmp_path / "out.jsonl")] == record.predictions
    assert main([*command[:2], "--text", "5"]) == 2
    assert "takes images, not texts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--text", "a"], "'nowhere' is neither a record, nor the folder of a run or an adapter"),
        (["nowhere"], "give the rows either with --text or with --file"),
        (["nowhere", "--text", "a", "--to", "a.csv"], "predictions are written as .jsonl, got --to 'a.csv'"),
        (["nowhere", "--text", "a", "--to", f"{__file__}/a.jsonl"], "is not a folder; choose another"),
    ],
)
def test_wrong_requests_are_refused_in_one_line(arguments, message, capsys):
    assert main(["predict", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
