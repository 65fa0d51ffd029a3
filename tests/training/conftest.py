"""Models that train in a second, data that they can learn, and recipes for both."""

import itertools
import json
import socket
from pathlib import Path

import datasets
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
)

from circpeft import results, tasks, training
from circpeft.recipes import Recipe

NOUNS = ("actor", "baker", "clerk", "doctor", "editor", "farmer", "guard", "hunter")
WORDS = {"good": 1, "fine": 1, "bad": 0, "poor": 0}
HIDDEN, LAYERS, INNER = 32, 2, 64
# With these the tiny model learns in three epochs; others take 1e-2.
RATES = {
    "full": 3e-3,
    "bitfit": 1e-1,
    "ia3": 0.3,
    "lora": 3e-2,
    "dora": 3e-2,
    "vera": 0.3,
    "boft": 1e-1,
    "lamda": 3e-2,
    "c3a-peft": 1.0,
    "c3a": 3e-2,
    "cdvft": 3e-2,
}


def sentences() -> list[dict]:
    """Return sentences with one word that decides the label, for the task sst2."""
    return [
        {"sentence": f"the {a} saw a {word} {b}", "label": label}
        for (word, label), a, b in itertools.product(WORDS.items(), NOUNS, NOUNS)
        if a != b
    ]


def write_data(folder: Path, rows: list[dict], parts: dict[str, slice]) -> Path:
    """Write a data folder: shuffled rows, divided into the parts."""
    mixed = [rows[i] for i in torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()]
    folder.mkdir(parents=True)
    for split, part in parts.items():
        (folder / f"{split}.jsonl").write_text("\n".join(json.dumps(row) for row in mixed[part]))
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory, save_bert) -> str:
    """Return the folder of a BERT with the words of the sentences."""
    return save_bert(tmp_path_factory.mktemp("model"), ["the", "a", "saw", *NOUNS, *WORDS])


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> str:
    """Return a data folder for sst2. Test is validation, so that logits of both can be compared."""
    parts = {"train": slice(0, 96), "validation": slice(96, 128), "test": slice(96, 128)}
    return str(write_data(tmp_path_factory.mktemp("data") / "words", sentences(), parts))


@pytest.fixture(scope="session")
def pairs_dir(tmp_path_factory) -> str:
    """Return a data folder for stsb: pairs of sentences with a similarity, in some rows an integer."""
    rows = [
        {"sentence1": f"the {a} saw a {b}", "sentence2": f"the {c} saw a {b}", "label": 5 if a == c else 0.5}
        for a, b, c in itertools.product(NOUNS[:6], NOUNS, NOUNS[:3])
    ]
    parts = {"train": slice(0, 96), "validation": slice(96, 128), "test": slice(96, 128)}
    return str(write_data(tmp_path_factory.mktemp("data") / "pairs", rows, parts))


def questions() -> list[dict]:
    """Return questions with the answer as their last word, for the task gsm8k."""
    asked = itertools.product(("say", "name", "write", "give"), range(10))
    return [{"question": f"{verb} {digit}", "answer": f"#### {digit}"} for verb, digit in asked]


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory) -> str:
    """Return the folder of a LLaMA with 2 layers of 32 features, 64 positions and a byte-level tokenizer."""
    folder = tmp_path_factory.mktemp("llama")
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    texts = [tasks.get("gsm8k").prompt(row) + row["answer"] for row in questions()]
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=320, special_tokens=list(special.values()), initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, **special)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "intermediate_size": INNER, "num_attention_heads": 2}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, "tie_word_embeddings": False}
    sizes |= {"vocab_size": len(tokenizer), "max_position_embeddings": 64}
    config = LlamaConfig(initializer_range=0.1, **sizes, **ends)
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def questions_dir(tmp_path_factory) -> str:
    """Return a data folder for gsm8k: every question is in train; test is validation."""
    parts = {"train": slice(0, 80), "validation": slice(0, 16), "test": slice(0, 16)}
    return str(write_data(tmp_path_factory.mktemp("data") / "questions", questions() * 2, parts))


@pytest.fixture
def recipe(tiny_model, data_dir, tmp_path):
    """Return a function that makes a recipe with the tiny model and data."""

    def make(method: str = "c3a", **settings) -> Recipe:
        defaults = {
            "model": tiny_model,
            "data_dir": data_dir,
            "target_modules": ("query", "value", "dense"),
            "epochs": 3,
            "batch_size": 16,
            "learning_rate": RATES.get(method, 1e-2),
            "head_learning_rate": 1e-2,
            "output_dir": str(tmp_path / "out"),
        }
        return Recipe(settings.pop("task", "sst2"), method, **defaults | settings)

    return make


@pytest.fixture
def instruction(recipe, tiny_llama, questions_dir):
    """Return a function that makes a recipe with the tiny LLaMA and its questions."""

    def make(method: str = "full", **settings) -> Recipe:
        rates = {"learning_rate": 3e-2 if method == "c3a" else 1e-2, "head_learning_rate": 1e-2}
        of_llama = {"model": tiny_llama, "data_dir": questions_dir, "target_modules": "all-linear", "epochs": 2}
        defaults = {"task": "gsm8k", "batch_size": 8, "max_new_tokens": 6, **of_llama, **rates}
        return recipe(method, **defaults | settings)

    return make


@pytest.fixture
def interrupt(monkeypatch):
    """Return a function that interrupts a run at its n-th evaluation, an epoch after the last checkpoint."""

    def run(recipe: Recipe, at_evaluation: int = 2) -> Path:
        evaluations, real = [], Trainer.evaluate

        def breaking(self, *arguments, **options):
            evaluations.append(self.state.global_step)
            if len(evaluations) == at_evaluation:
                raise KeyboardInterrupt
            return real(self, *arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "evaluate", breaking)
            with pytest.raises(KeyboardInterrupt):
                training.run(recipe)
        assert not results.path_of(recipe.name, recipe.output_dir).exists()
        [folder] = (Path(recipe.output_dir) / "checkpoints").iterdir()
        return folder

    return run


@pytest.fixture
def same_when_resumed(interrupt, steps, tmp_path):
    """Return a function that asserts that a run interrupted after its first epoch ends like an uninterrupted one."""

    def compare(make, *arguments, **settings) -> results.Result:
        uninterrupted = training.run(make(*arguments, **settings, output_dir=str(tmp_path / "whole")))
        recipe, all_steps = make(*arguments, **settings), len(steps)
        interrupt(recipe)
        del steps[:]
        resumed = training.run(recipe)
        assert len(steps) == all_steps - all_steps // uninterrupted.settings["epochs"]
        names = "losses epochs score test_score start_score best_epoch spectra trainable_parameters predictions groups"
        for name in names.split():
            assert getattr(resumed, name) == getattr(uninterrupted, name), name
        return uninterrupted

    return compare


@pytest.fixture(autouse=True)
def isolated(tmp_path_factory, monkeypatch):
    """Keep caches out of the user's home, fix the code version, and fail at any use of the network."""
    looked_up = []

    def no_network(host, *arguments, **options):
        looked_up.append(host)
        raise OSError(f"no network: {host}")

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.getbasetemp() / "cache")
    monkeypatch.setattr(results, "code_version", lambda: "test")
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    yield
    assert looked_up == []


@pytest.fixture
def steps(monkeypatch) -> list[int]:
    """Return a list of the global steps of all training steps so far."""
    taken, real = [], Trainer.training_step

    def counted(self, *arguments, **options):
        taken.append(self.state.global_step)
        return real(self, *arguments, **options)

    monkeypatch.setattr(Trainer, "training_step", counted)
    return taken
