"""The environment of a launcher, and the output folder, are checked before anything is trained or written."""

import os

import pytest
import torch

from circpeft import training
from circpeft.training import distributed, launcher, output_folder

GROUP = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}


@pytest.fixture
def variables(monkeypatch):
    """Return a function that sets a launcher's variables, and no others of them."""

    def give(**values: str) -> None:
        for name in (*launcher.NUMBERS, *launcher.MPI_SIZES, "MASTER_ADDR", "MASTER_PORT", "ACCELERATE_USE_CPU"):
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return give


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"LOCAL_RANK": "0"},
        {"LOCAL_RANK": "-1"},
        {"RANK": "0", "WORLD_SIZE": "1"},
        {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"},
        {"WORLD_SIZE": "1", "RANK": "0", "MASTER_ADDR": "pod-0", "MASTER_PORT": "23456"},
        {"OMPI_COMM_WORLD_SIZE": "1", "ACCELERATE_USE_CPU": "true"},
        {"PMI_SIZE": "4"},  # accelerate reads it on CPUs only: four runs of four commands
        {"ACCELERATE_USE_CPU": "False"},
    ],
)
def test_a_part_of_a_launchers_variables_is_one_process(variables, values):
    variables(**values)
    launcher.check()
    assert not launcher.is_group() and distributed.on_cpu() == (values.get("ACCELERATE_USE_CPU") == "true")
    with launcher.without_traces():
        assert not set(launcher.NUMBERS) & os.environ.keys()
    assert {name: os.environ.get(name) for name in values} == values


@pytest.mark.parametrize(
    "values",
    [
        GROUP,
        {**GROUP, "MASTER_PORT": "29500"},
        {**GROUP, "WORLD_SIZE": "1"},
        {"OMPI_COMM_WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "1", "MASTER_ADDR": "localhost"},
    ],
)
def test_a_group_is_left_as_it_is(variables, values):
    variables(**values)
    launcher.check()
    assert launcher.is_group()
    with launcher.without_traces():
        assert {name: os.environ.get(name) for name in values} == values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 .* RANK, LOCAL_RANK, MASTER_ADDR are not set; .* unset WORLD_SIZE"),
        ({**GROUP, "MASTER_ADDR": ""}, "WORLD_SIZE=2 .* MASTER_ADDR is not set"),
        ({"LOCAL_RANK": "1"}, "LOCAL_RANK=1 .* RANK, WORLD_SIZE, MASTER_ADDR are not set"),
        ({"RANK": "3"}, "RANK=3 .* LOCAL_RANK, WORLD_SIZE, MASTER_ADDR are not set"),
        ({"RANK": "one"}, "RANK='one' is not a number"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE='0' is not a number"),
        ({**GROUP, "RANK": "2"}, "RANK=2 must be below 2"),
        ({**GROUP, "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "1"}, "LOCAL_RANK=1 must be below 1"),
        ({**GROUP, "MASTER_PORT": "http"}, "MASTER_PORT='http' is not a port"),
        ({**GROUP, "MASTER_PORT": "70000"}, "MASTER_PORT='70000' is not a port"),
        ({"PMI_SIZE": "2", "ACCELERATE_USE_CPU": "yes"}, "PMI_SIZE=2 and ACCELERATE_USE_CPU .* MASTER_ADDR is not set"),
        ({"ACCELERATE_USE_CPU": "maybe"}, "ACCELERATE_USE_CPU='maybe' is neither true nor false"),
    ],
)
def test_an_incomplete_group_is_an_error_that_names_the_variable(variables, recipe, steps, values, message):
    variables(**values)
    with pytest.raises(ValueError, match=message):
        distributed.state()
    with pytest.raises(ValueError, match=message):
        training.run(recipe("head"))
    assert steps == []


def test_local_rank_alone_trains_in_one_process(variables, recipe):
    variables(LOCAL_RANK="0")
    result = training.run(recipe("head", epochs=1))
    assert result.computation["processes"] == 1 and not torch.distributed.is_initialized()
    assert os.environ["LOCAL_RANK"] == "0"


@pytest.mark.parametrize("below", ["", "below", "below/further"])
def test_a_file_in_place_of_the_output_folder(recipe, tmp_path, steps, below):
    (tmp_path / "taken").write_text("kept")
    made = recipe("head", output_dir=str(tmp_path / "taken" / below))
    for attempt in (training.run, lambda bad: training.check([bad]), training.prepare):
        with pytest.raises(NotADirectoryError, match="taken' is not a folder; give another output folder"):
            attempt(made)
    assert (tmp_path / "taken").read_text() == "kept" and steps == []


def test_a_file_in_place_of_a_folder_in_the_output_folder(recipe, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "checkpoints").symlink_to(tmp_path / "gone")
    with pytest.raises(NotADirectoryError, match="checkpoints' is not a folder"):
        training.run(recipe("head"))


def test_an_output_folder_without_permission(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    with pytest.raises(PermissionError, match="no permission to write in .*; give another output folder"):
        output_folder.check(recipe("head"))


def test_a_record_is_read_from_a_folder_without_permission(recipe, monkeypatch):
    made = recipe("head", epochs=1)
    result = training.run(made)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    training.check([made])
    assert training.run(made) == result
