"""A tokenizer or an image processor that does not fit the model is an error before training, with both sizes."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaForSequenceClassification,
    ViTConfig,
    ViTModel,
)

from circpeft import training
from circpeft.training import loop, model_fit
from circpeft.training.base_model import UnfitModelError


@pytest.fixture
def with_tokens(tiny_model, tmp_path):
    """Return a function that makes the tiny model's folder with further tokens, and gives its number of embeddings."""

    def make(**added) -> tuple[str, int]:
        folder = Path(shutil.copytree(tiny_model, tmp_path / "more"))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.add_tokens(added.pop("tokens", []))
        tokenizer.add_special_tokens(added)
        tokenizer.save_pretrained(folder)
        return str(folder), AutoConfig.from_pretrained(folder).vocab_size

    return make


def test_a_token_without_an_embedding_is_named_before_training(recipe, with_tokens, steps):
    folder, rows = with_tokens(tokens=["marvellous", "actor saw"])
    message = f"has {rows} embeddings, .* has {rows + 2} tokens, and token 'actor saw' in train .*{rows + 2}"
    with pytest.raises(ValueError, match=message):
        training.run(recipe("head", model=folder))
    assert steps == []


def test_a_token_that_never_occurs_is_accepted(recipe, with_tokens):
    folder, _ = with_tokens(tokens=["marvellous"])
    assert training.prepare(recipe("head", model=folder)).encoded["train"]


def test_a_padding_token_without_an_embedding_is_named_without_data(recipe, with_tokens):
    folder, rows = with_tokens(pad_token="[MORE PAD]")
    with pytest.raises(
        ValueError, match=rf"has {rows} embeddings, .* its padding token '\[MORE PAD\]' has the ID {rows}"
    ):
        training.check([recipe("head", model=folder)])


def test_saved_weights_of_another_size_than_the_config(recipe, tiny_model, tmp_path, steps):
    """transformers would train with random embeddings, and only warn."""
    folder = Path(shutil.copytree(tiny_model, tmp_path / "other"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": config["vocab_size"] + 3}))
    with pytest.raises(
        UnfitModelError,
        match=f"word_embeddings.* has (shape .{config['vocab_size']}, 32|another shape).*config.json says",
    ):
        training.run(recipe("head", model=str(folder)))
    assert steps == []


@pytest.mark.parametrize("known", [True, False])
def test_a_weight_of_another_size_is_named_with_and_without_its_own_size(recipe, tiny_model, known):
    """transformers 4 gives only the name."""
    model = AutoModelForSequenceClassification.from_pretrained(tiny_model)
    name, head = "bert.embeddings.word_embeddings.weight", "classifier.weight"
    rows, width = model.state_dict()[name].shape
    shapes = (torch.Size([7, width]), torch.Size([rows, width]))
    entries = [(key, *shapes) if known else key for key in (head, name)]
    found = rf"shape \(7, {width}\)" if known else "another shape"
    with pytest.raises(UnfitModelError, match=rf"'{name}' has {found}, but config.json says \({rows}, {width}\)"):
        training.base_model._check_sizes(recipe("c3a"), model, entries)
    training.base_model._check_sizes(recipe("c3a"), model, entries[:1])  # the head is new anyway


@pytest.mark.parametrize(
    ("size", "channels", "message"),
    [
        (24, 3, r"shape \(3, 24, 24\).*24\*24.* doesn't match model \(16\*16\)"),
        (16, 1, r"shape \(3, 16, 16\).*channel"),
    ],
)
def test_pictures_of_another_size_or_number_of_channels(recipe, tmp_path, size, channels, message):
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32, "num_attention_heads": 2}
    ViTModel(ViTConfig(image_size=16, patch_size=8, num_channels=channels, **sizes)).save_pretrained(tmp_path)
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": size, "width": size}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    made = recipe("head", task="digits", data_dir="", model=str(tmp_path), target_modules=())
    with pytest.raises(ValueError, match=f"(?s){message}.*Set the size in preprocessor_config.json"):
        training.check([made])


def test_a_model_that_cannot_be_tried_is_accepted():
    class Reading(torch.nn.Module):
        def forward(self, pixel_values):
            return pixel_values.sum().item()

    def process(pictures, return_tensors):
        return {"pixel_values": torch.zeros(1, 3, 4, 4)}

    process.model_input_names = ["pixel_values"]
    model_fit.check_pictures("reading", process, Reading())


def test_a_model_finds_the_padding_of_its_tokenizer():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16, "num_attention_heads": 2}
    torch.manual_seed(0)
    model = LlamaForSequenceClassification(LlamaConfig(vocab_size=10, pad_token_id=0, num_labels=2, **sizes)).eval()
    loop._pad_as_the_tokenizer(model, SimpleNamespace(pad_token_id=2))
    ids = torch.tensor([[5, 6, 7]])
    padded, mask = torch.tensor([[5, 6, 7, 2, 2]]), torch.tensor([[1, 1, 1, 0, 0]])
    torch.testing.assert_close(model(padded, attention_mask=mask).logits, model(ids).logits)


def test_the_number_of_embeddings():
    assert model_fit.embedding_rows(BertModel(BertConfig(vocab_size=7, hidden_size=16, num_attention_heads=2))) == 7
    assert model_fit.embedding_rows(torch.nn.Linear(2, 2)) is None
