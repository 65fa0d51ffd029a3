"""The commands `train` and `sweep`: their output, their exit status, and their errors."""

import json
from pathlib import Path

import pytest
from transformers import pipeline

from circpeft import cli, results, training


def test_a_sweep_prints_its_outcome_and_a_second_one_skips(sweep_file, in_this_process, tmp_path, capsys):
    file, folder = sweep_file(["c3a", "c3a:block_size=7"]), ["--output-dir", str(tmp_path / "out")]
    assert cli.main(["sweep", str(file), *folder, "--quiet"]) == 1
    printed = capsys.readouterr().out
    assert (
        ": 1 finished, 0 skipped (already on record), 1 failed" in printed
        and "2 runs in " in printed
        and "block_size=7 does not divide 32" in printed
    )
    assert f"circpeft report {tmp_path / 'out'}" in printed
    file = sweep_file(["c3a"])
    assert cli.main(["sweep", str(file), *folder, "--quiet", "--json"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert (found["finished"], found["skipped"], found["failed"]) == (0, 1, {})


def test_the_lines_of_json_have_the_names_that_scripts_read(sweep_file, in_this_process, tmp_path, capsys):
    command = ["sweep", str(sweep_file(["head", "c3a:block_size=7"], epochs=1)), "--output-dir", str(tmp_path / "out")]
    assert cli.main([*command, "--quiet", "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = ["name", "state", "metric", "score", "test_score", "seconds", "error", "full", "device"]
    assert [[*line] for line in lines[:2]] == [[*names, "row", "column", "seed"]] * 2
    assert [*lines[2]] == ["folder", "finished", "skipped", "failed", "left_out", "seconds"]


def test_train_writes_one_record(tiny_model, data, tmp_path, capsys):
    command = ["train", "lora:r=4", "--task", "sst2", "--data-dir", f"{data}/sst2"]
    command += ["--output-dir", str(tmp_path / "one")]
    for name, value in {"model": tiny_model, "epochs": "1", "target_modules": "query,value"}.items():
        command += ["--set", name, value]
    assert cli.main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    [record] = results.read_all(tmp_path / "one")
    assert found["test_score"] == record.test_score and found["state"] == "finished" and record.label == "lora:r=4"
    assert "adapter_config.json" in {path.name for path in Path(found["weights"]).iterdir()}
    assert cli.main(command) == 0
    printed = capsys.readouterr().out
    assert f"validation accuracy {record.score:.3f}, test {record.test_score:.3f}" in printed
    assert f"\nadapter: {found['weights']}\n" in printed
    command[1] = "full"
    assert cli.main([*command, "--quiet"]) == 0
    out, err = capsys.readouterr()
    folder = out.split("\nmodel: ")[1].strip()
    assert "it/s" not in err and "loss" not in err
    assert pipeline("text-classification", folder)("the actor saw a good baker")[0]["label"] in ("negative", "positive")


def test_train_and_sweep_say_once_what_is_not_used(tiny_model, data, in_this_process, tmp_path, capsys):
    for split in ("train", "validation", "test"):
        lines = Path(data, "sst2", f"{split}.jsonl").read_text().splitlines()
        rows = [json.loads(line) | {"aspect": "food"} for line in lines]
        (tmp_path / "data" / "sst2").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "sst2" / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = {"model": tiny_model, "epochs": 1, "target_modules": "query"}
    command = ["train", "c3a", "--task", "sst2", "--data-dir", f"{tmp_path}/data/sst2", "--quiet", "--json"]
    for name, value in settings.items():
        command += ["--set", name, str(value)]
    for _ in ("trained", "read from its record"):
        assert cli.main([*command, "--output-dir", str(tmp_path / "one")]) == 0
        out, err = capsys.readouterr()
        assert err.count("data: test: as published; columns not used: aspect\n") == 1
        assert "aspect" not in err.replace("columns not used: aspect", "", 1) and len(out.splitlines()) == 1
    file = tmp_path / "mine.toml"
    for methods in ('["c3a"]', '["c3a", "c3a:block_size=7"]'):  # 7 is not possible: runs are then checked one by one
        file.write_text(f'data = "{tmp_path}/data"\ntasks = ["sst2"]\nmethods = {methods}\nseeds = 2\n[settings]\n')
        with file.open("a") as stream:
            stream.writelines(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
        folder = str(tmp_path / f"out{len(methods)}")
        cli.main(["sweep", str(file), "--quiet", "--output-dir", folder])
        err = capsys.readouterr().err
        assert err.count("data of sst2: test: as published; columns not used: aspect\n") == 1


def test_train_runs_a_cell_of_a_table(monkeypatch, capsys, tmp_path):
    asked = []

    def read_or_prepare(recipe):
        asked.append(recipe)
        raise ValueError("it is not trained here")

    monkeypatch.setattr(training, "check", lambda recipes: dict.fromkeys([(recipes[0].task, recipes[0].data_dir)], ""))
    monkeypatch.setattr(training, "read_or_prepare", read_or_prepare)
    command = ["train", "--table", "cdvft-1", "--row", "CDVFT p=768", "--profile", "smoke", "--seed", "3"]
    assert cli.main([*command, "--output-dir", str(tmp_path)]) == 2
    assert len(asked) == 1 and (asked[0].row, asked[0].seed, asked[0].label) == (
        "CDVFT p=768",
        3,
        "cdvft:block_size=384",
    )
    assert cli.main(command[:3]) == 2
    message = capsys.readouterr().err
    assert "5 cells of cdvft-1 match; choose one, such as: --row 'FF' --column" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "cdvtf-1"], "unknown table 'cdvtf-1'; did you mean 'cdvft-1'?"),
        (["sweep", "cdvft-1", "--profile", "smoek"], "unknown profile 'smoek'; did you mean 'smoke'?"),
        (["sweep", "cdvft-1", "--row", "LoRa"], "unknown row 'LoRa'; did you mean 'LoRA'?"),
        (["sweep", "cdvft-1", "--set", "epoch", "3"], "unknown setting 'epoch'; did you mean 'epochs'?"),
        (["sweep", "cdvft-1", "--set", "epochs", "three"], "epochs must be an integer of at least 1, got 'three'"),
        (["sweep", "cdvft-1", "--set", "epochs", "3", "--set", "epochs", "4"], "setting 'epochs' is given twice"),
        (["sweep", "cdvft-1", "--set", "deterministic", "maybe"], "deterministic must be True or False, got 'maybe'"),
        (["sweep", "cdvft-1", "--set", "learning_rate", "fast"], "learning_rate must be a number, got 'fast'"),
        (["sweep", "cdvft-1", "--set", "seeds", "3"], "unknown setting 'seeds'"),
        (["sweep", "cdvft-1", "--set", "data_dir", "x"], "data_dir holds one task"),
        (["sweep", "cdvft-1", "--seeds", "0"], "seeds must be an integer of at least 1, got 0"),
        (["train", "c3a", "--row", "LoRA"], "--row and --column choose a cell of a table"),
        (["report", "nowhere"], "there is no folder 'nowhere'"),
        (["report", ".", "--format", "lateks"], "unknown format 'lateks'; did you mean 'latex'?"),
        (["report", ".", "--output", "x.pdf"], "no format has the suffix '.pdf'"),
        (["sweep", "none.toml"], "there is no recipe file 'none.toml'"),
        (["sweep", "cdvft-1", "--profile", "smoke", "--workers", "0"], "workers must be at least 1, got 0"),
        (["train"], "no method given; name one, as in `circpeft train c3a --task entailment`"),
        (["train", "c3b"], "unknown method 'c3b'; did you mean 'c3a'?"),
        (["train", "c3a", "--task", "entailmnt"], "unknown task 'entailmnt'; did you mean 'entailment'?"),
        (["train", "c3a", "--table", "cdvft-1"], "a cell of a table has its own method and task"),
        (["train", "c3a:block_size=100", "--profile", "smoke"], "block_size=100 does not divide 384; nearest"),
        (["swep"], "unknown command 'swep'; did you mean 'sweep'?"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_the_nearest_choice(arguments, message, capsys):
    if arguments == ["swep"]:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2
    else:
        assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err
