"""Runs, sweeps' checks, suggested rates and injection take a GGUF file where they take a model folder."""

import datasets
import pytest
import torch
from transformers import AutoModelForCausalLM

import circpeft
from circpeft import models, results, training
from circpeft.rates import suggest
from circpeft.recipes import Recipe

SETTINGS = {"epochs": 1, "batch_size": 4, "max_train": 8, "max_eval": 2, "max_length": 512, "max_new_tokens": 4}


@pytest.fixture
def recipe(write_gguf, tmp_path, monkeypatch):
    """Return a function that makes a recipe of word problems for a tiny model in a GGUF file."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(results, "code_version", lambda: "test")

    def make(method: str = "c3a", **options) -> Recipe:
        settings = {"target_modules": "all-linear", "output_dir": str(tmp_path / "out"), **SETTINGS}
        return Recipe("word_problems", method, model=str(write_gguf(**options).path), **settings)

    return make


@pytest.mark.parametrize("method", ["c3a", "full"])
def test_a_run_trains_and_its_weights_give_the_recorded_answers(recipe, method):
    made = recipe(method)
    result = training.run(made)
    assert result.chat_template is True and result.losses and result.rows["train"] == 8
    model, tokenizer = training.load_trained(made)
    prepared = training.prepare(made)
    prompts = list(prepared.encoded["test"]["prompt"])
    assert tokenizer.decode(prompts[0]).startswith("<|im_start|>user\n")
    answers = training.kinds.instructions.write_answers(model, tokenizer, prompts, 4, progress=False)
    assert answers == result.predictions


def test_a_cut_file_is_refused_before_anything_trains(recipe):
    made = recipe()
    cut = recipe("lora")
    with open(cut.model, "r+b") as file:
        file.truncate(2000)
    with pytest.raises(ValueError, match="is cut"):
        training.check([made, cut])


def test_a_file_without_a_template_uses_the_prompt_of_the_task(recipe):
    prepared = training.prepare(recipe(template=None))
    [first, *_] = prepared.encoded["test"]["prompt"]
    assert prepared.processor.decode(first).startswith("### Instruction:\n")


def test_a_rate_is_suggested_from_the_shapes_in_the_file(write_gguf):
    found = suggest(str(write_gguf().path), "c3a", block_size=16)
    assert {(layer.d_in, layer.d_out) for layer in found.layers} == {(32, 32), (32, 16), (32, 64), (64, 32)}


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings")
def test_an_adapter_on_the_tied_output_layer_is_merged_and_saved_without_changing_the_embeddings(write_gguf, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(models.resolve(str(write_gguf().path)), dtype=torch.float32)
    before = model.model.embed_tokens.weight.detach().clone()
    config = circpeft.C3AConfig(target_modules=["lm_head", "q_proj"], block_size=2, init_weights=False)
    circpeft.inject(model, config)
    ids = torch.tensor([[1, 60, 70, 2]])
    with torch.no_grad():
        adapted = model.eval()(ids).logits
        merged = circpeft.merge(model)
        assert (merged(ids).logits - adapted).abs().max() < 1e-4
        merged.save_pretrained(tmp_path / "merged")
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
        assert (loaded(ids).logits - adapted).abs().max() < 1e-4
    assert torch.equal(loaded.model.embed_tokens.weight, before)
