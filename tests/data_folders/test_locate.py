"""The subfolder with the task's data is read, not that of another task."""

import json
import shutil

import pandas as pd
import pytest

from circpeft import tasks
from circpeft.tasks import folder_names

PAIRS = [{"sentence1": "a", "sentence2": f"b {i}", "label": i % 2} for i in range(4)]
SUMS = [{"question": f"{i} + 1?", "answer": f"#### {i + 1}"} for i in range(20)]


def test_every_task_with_data_of_its_own_has_folder_names():
    assert {*folder_names.TASK_NAMES} == {*tasks.TASKS} - {"images"}


@pytest.mark.parametrize(("task", "name", "other"), [("mrpc", "RTE", "rte"), ("rte", "MRPC", "mrpc")])
def test_the_only_subfolder_is_named_after_another_task(data_folder, tmp_path, task, name, other):
    folder = data_folder(train=PAIRS, dev=PAIRS, test=PAIRS).rename(tmp_path / name)
    (tmp_path / "glue").mkdir()
    inner = shutil.move(folder, tmp_path / "glue")
    said = rf"'.*/glue' holds no data of task '{task}'\. It holds {name}, .* task '{other}'; give '.*/glue/{name}'"
    with pytest.raises(ValueError, match=said):
        tasks.load(task, tmp_path / "glue")
    data, how = tasks.load(task, inner)  # asked for
    assert how == "test: as published" and data["train"].to_list() == PAIRS


@pytest.mark.parametrize("name", ["rte", "data", "images", "mnli"])
def test_the_only_subfolder_has_another_name(data_folder, tmp_path, name):
    (tmp_path / "glue").mkdir()
    shutil.move(data_folder(train=PAIRS, dev=PAIRS, test=PAIRS), tmp_path / "glue" / name)
    assert tasks.load("rte", tmp_path / "glue")[0]["train"].to_list() == PAIRS


@pytest.mark.parametrize(("task", "taken"), [("images", True), ("cars", True), ("pets", False)])
@pytest.mark.parametrize("table", [False, True])
def test_folders_of_images(image_folder, tmp_path, task, taken, table):
    both = {"cat": 2, "dog": 2}
    folder = image_folder(train=both, validation=both, test=both)
    for split in ("train", "validation", "test") if table else ():
        rows = [{"file_name": f"{name}/{i}.png", "label": name} for name in both for i in range(2)]
        pd.DataFrame(rows).to_csv(folder / split / "metadata.csv", index=False)
    (tmp_path / "home").mkdir()
    shutil.move(folder, tmp_path / "home" / "cars")
    if taken:
        assert tasks.load(task, tmp_path / "home")[1] == "test: as published"
    else:
        with pytest.raises(ValueError, match=r"no data of task 'pets'\. It holds cars, .* after task 'cars'; give"):
            tasks.load(task, tmp_path / "home")


def test_row_files_of_another_task(tmp_path):
    for split in ("train", "test"):
        (tmp_path / "home" / "MATH" / split / "algebra").mkdir(parents=True)
        for i in range(12):
            (tmp_path / "home" / "MATH" / split / "algebra" / f"{i}.json").write_text(json.dumps(SUMS[i]))
    with pytest.raises(ValueError, match=r"no data of task 'gsm8k'\. It holds MATH, .* after task 'math'; give"):
        tasks.load("gsm8k", tmp_path / "home")


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_the_configuration_of_the_task_is_read(data_folder, tmp_path, form):
    """As openai/gsm8k is cloned."""
    for name, rows in (("main", SUMS), ("socratic", SUMS[:3])):
        (tmp_path / "gsm8k").mkdir(exist_ok=True)
        shutil.move(data_folder(form, train=rows, test=rows), tmp_path / "gsm8k" / name)
    data, how = tasks.load("gsm8k", tmp_path / "gsm8k")
    assert how.startswith("test: as published; validation: ") and data["test"].to_list() == SUMS
    with pytest.raises(ValueError, match="holds several data sets: main, socratic; give the folder of one"):
        tasks.load("math", tmp_path / "gsm8k")
