"""Tokenizers without a padding or end-of-text token, and texts longer than the model's positions."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaForSequenceClassification,
    RobertaConfig,
    RobertaModel,
)

from circpeft import tasks, training
from circpeft.training import tokens

SIZES = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32, "num_attention_heads": 2}
GPT2_SIZES = {"n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 16}


def without(folder: str, to: Path, *missing: str) -> str:
    """Return a copy of a model without some special tokens in its tokenizer and config."""
    copy = Path(shutil.copytree(folder, to))
    for path in (copy / "tokenizer_config.json", copy / "config.json"):
        kept = {n: v for n, v in json.loads(path.read_text()).items() if n.removesuffix("_id") not in missing}
        path.write_text(json.dumps(kept))
    return str(copy)


def test_the_end_of_text_token_pads_if_there_is_no_padding_token(tiny_llama, tmp_path):
    tokenizer = tokens.tokenizer_of(without(tiny_llama, tmp_path / "no_pad", "pad_token"))
    assert tokenizer.pad_token == tokenizer.eos_token == "</s>"
    assert tokens.tokenizer_of(tiny_llama).pad_token == "<pad>"


def test_a_model_without_a_padding_token_classifies_texts(recipe, tiny_llama, tmp_path, monkeypatch):
    """Batches give the same logits as single texts: the model reads them at the last token before the padding."""
    folder = without(tiny_llama, tmp_path / "no_pad", "pad_token")
    logits, models, real = [], [], training.kinds.classification.score
    monkeypatch.setattr(
        training.kinds.classification, "score", lambda p, task: logits.append(p.predictions) or real(p, task)
    )
    loaded = training.base_model.load
    monkeypatch.setattr(training.base_model, "load", lambda *a: models.append(loaded(*a)) or models[-1])
    made = recipe("full", model=folder, target_modules="all-linear", epochs=1)
    result = training.run(made)
    assert isinstance(models[0], LlamaForSequenceClassification) and models[0].config.pad_token_id == 1
    tokenizer, rows = AutoTokenizer.from_pretrained(folder), tasks.load("sst2", made.data_dir)[0]["test"]
    with torch.no_grad():
        alone = [models[0].eval()(**tokenizer(text, return_tensors="pt")).logits[0] for text in rows["sentence"]]
    torch.testing.assert_close(torch.stack(alone), torch.as_tensor(logits[-1]), rtol=1e-4, atol=1e-4)
    assert len({len(tokenizer(text)["input_ids"]) for text in rows["sentence"]}) > 1 and result.head_parameters == 64


@pytest.mark.parametrize("task", ["gsm8k", "sst2"])
def test_a_tokenizer_without_padding_and_end_of_text_raises(
    recipe, questions_dir, data_dir, tiny_llama, tmp_path, task
):
    folder = without(tiny_llama, tmp_path / "bare", "pad_token", "eos_token")
    data = {"gsm8k": questions_dir, "sst2": data_dir}[task]
    for attempt in (training.run, lambda made: training.check([made])):
        with pytest.raises(ValueError, match="bare' has neither a padding token nor an end-of-text .* its pad_token"):
            attempt(recipe("full", task=task, model=folder, data_dir=data, target_modules="all-linear"))


def test_instructions_need_an_end_of_text_token(instruction, tiny_llama, tmp_path):
    folder = without(tiny_llama, tmp_path / "endless", "eos_token")
    for attempt in (training.run, lambda made: training.check([made])):
        with pytest.raises(ValueError, match="endless' has no end-of-text token, so an answer .* end; set its eos"):
            attempt(instruction(model=folder))


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_texts_are_truncated_at_the_models_positions(recipe, tiny_model, tmp_path, kind):
    """RoBERTa's positions start after the ID of the padding token: with ID 7, 16 of 24 are left."""
    folder = Path(shutil.copytree(tiny_model, tmp_path / "short"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length > 1000
    if kind == "bert":
        model = BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=16, **SIZES))
    else:
        positions = {"max_position_embeddings": 24, "pad_token_id": 7}
        model = RobertaModel(RobertaConfig(vocab_size=len(tokenizer), type_vocab_size=2, **positions, **SIZES))
    model.save_pretrained(folder)
    assert model(torch.full((1, 16), 4)).last_hidden_state.shape[1] == 16
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.full((1, 17), 4))
    for split in ("train", "validation", "test"):
        rows = [{"sentence": "good bad " * 20, "label": label} for label in (0, 1)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert tokens.longest(128, tokenizer, model.config) == 16
    result = training.run(recipe("head", model=str(folder), data_dir=str(tmp_path), epochs=1))
    assert result.rows == {"train": 2, "validation": 2, "test": 2}


def test_instructions_are_truncated_at_the_models_positions(instruction, tiny_llama, tmp_path):
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "short"))
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    GPT2LMHeadModel(GPT2Config(vocab_size=320, **GPT2_SIZES, **ends)).save_pretrained(folder)
    for split in ("train", "validation", "test"):
        rows = [{"question": "say 1", "answer": "#### 1 " * length} for length in (1, 40)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.warns(UserWarning, match="longer than 16 tokens are truncated: 1 of train, 1 of validation, 1 of test"):
        result = training.run(instruction("full", model=str(folder), data_dir=str(tmp_path), max_new_tokens=30))
    assert result.rows["train"] == 2 and len(result.predictions) == 2
