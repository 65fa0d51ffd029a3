"""A merged model's files have the keys, shapes, number formats and config of its base model, so servers load it."""

import json

import pytest
import torch
from safetensors.torch import load_file

from circpeft.export import merge_folder

from .conftest import TARGETS, llama

MODELS = {
    "llama": {},
    "tied": {"tie_word_embeddings": True},
    "bfloat16": {"dtype": torch.bfloat16},
    "biased": {"attention_bias": True},
}
NOT_COMPARED = {"transformers_version"}


def config_of(folder, name="config.json"):
    return {k: v for k, v in json.loads((folder / name).read_text()).items() if k not in NOT_COMPARED}


@pytest.mark.parametrize("method", ["c3a", "cdvft"])
@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_the_merged_files_are_those_of_a_base_model(options, method, saved, tmp_path):
    base = llama(tmp_path / "base", **options)
    merge_folder(saved(method, base).folder, tmp_path / "out")
    before, after = load_file(base / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    assert {k: (v.shape, v.dtype) for k, v in after.items()} == {k: (v.shape, v.dtype) for k, v in before.items()}
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == {key for key in before if key.endswith("weight") and key.split(".")[-2] in TARGETS}
    assert config_of(tmp_path / "out") == config_of(base)
    assert config_of(tmp_path / "out", "generation_config.json") == config_of(base, "generation_config.json")
    files = {path.name for path in base.iterdir()}
    assert {path.name for path in (tmp_path / "out").iterdir()} >= files
