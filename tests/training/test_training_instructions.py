"""Instruction tuning: the tokens in the loss, the padding of batches, the answers, and their scores."""

import json
import shutil
import warnings
from collections import Counter
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel, Trainer

from circpeft import results, tasks, training
from circpeft.training.kinds import instructions
from tests.versions import LOADS_OPTIMIZERS

IGNORED = instructions.IGNORED


@pytest.fixture
def parts(instruction):
    """Return a function that gives task, tokenizer, data and encoded data of a recipe."""

    def make(**settings):
        made = instruction(**settings)
        task, tokenizer = tasks.get(made.task), AutoTokenizer.from_pretrained(made.model)
        config, data = AutoConfig.from_pretrained(made.model), tasks.load(made.task, made.data_dir)[0]
        return task, tokenizer, data, training.KINDS["instructions"].encode(data, task, tokenizer, config, made)

    return make


@torch.no_grad()
def answer_loss(model, rows) -> float:
    """Return the mean loss over the tokens of the answers, row by row: no labels, no batches, no Trainer."""
    losses, model = [], model.eval()
    for row in rows:
        ids, behind = torch.tensor(row["input_ids"]), len(row["prompt"])
        logits = model(input_ids=ids[None]).logits[0]
        losses.append(torch.nn.functional.cross_entropy(logits[behind - 1 : -1], ids[behind:], reduction="none"))
    return torch.cat(losses).mean().item()


def test_labels_are_on_the_answer_and_its_end_only(parts):
    task, tokenizer, data, encoded = parts()
    for row, made in zip(data["train"], encoded["train"], strict=True):
        prompt, answer = tokenizer(task.prompt(row))["input_ids"], tokenizer(row["answer"])["input_ids"]
        assert made["input_ids"] == [*prompt, *answer, tokenizer.eos_token_id]
        assert made["labels"] == [IGNORED] * len(prompt) + [*answer, tokenizer.eos_token_id]
        assert made["prompt"] == prompt and made["reference"] == row["answer"]
    assert tokenizer.decode(made["input_ids"]).startswith("### Instruction:\n") and len(answer) >= 2


def test_the_loss_is_that_of_the_answers_only(instruction, parts, tiny_llama):
    """The prompt is not in the loss of training and evaluation: compared with a model that does not change."""
    model, (*_, encoded) = AutoModelForCausalLM.from_pretrained(tiny_llama), parts()
    still = training.run(instruction("full", epochs=1, learning_rate=1e-12, head_learning_rate=1e-12))
    assert still.epochs[0]["loss"] == pytest.approx(answer_loss(model, encoded["validation"]), rel=1e-4)
    trained = [row["loss"] for row in still.losses]  # rounded to four digits
    assert sum(trained) / len(trained) == pytest.approx(answer_loss(model, encoded["train"]), rel=1e-3)


def test_batches_are_padded_on_the_right_to_train_and_on_the_left_to_answer(instruction, parts, monkeypatch):
    rows = [{"input_ids": [5, 6, 7], "labels": [IGNORED, 6, 7]}, {"input_ids": [8], "labels": [8]}]
    batch = instructions.Collator(2)(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 2, 2]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, 6, 7], [8, IGNORED, IGNORED]]
    longer = instructions.Collator(2, 4)(rows)
    assert {name: values[1].tolist() for name, values in longer.items()} == {
        "input_ids": [8, 2, 2, 2],
        "attention_mask": [1, 0, 0, 0],
        "labels": [8, IGNORED, IGNORED, IGNORED],
    }

    model, seen = AutoModelForCausalLM.from_pretrained(instruction().model), []
    tokenizer, real = AutoTokenizer.from_pretrained(instruction().model), model.generate
    monkeypatch.setattr(model, "generate", lambda **options: seen.append(options) or real(**options))
    instructions.write_answers(model.train(), tokenizer, [[5, 6, 7], [8]], 3, progress=False)
    assert seen[0]["input_ids"].tolist() == [[2, 2, 8], [5, 6, 7]]  # the shortest first
    assert seen[0]["attention_mask"].tolist() == [[0, 0, 1], [1, 1, 1]]
    assert model.training  # its mode is restored


@pytest.mark.parametrize(("given", "expected"), [({}, 4 * 4), ({"generation_batch_size": 7}, 7)])
def test_as_many_prompts_are_answered_at_a_time_as_the_recipe_asks_for(instruction, monkeypatch, given, expected):
    sizes, real = [], instructions.write_answers

    def noted(model, tokenizer, prompts, max_new_tokens, batch_size, **options):
        sizes.append(batch_size)
        return real(model, tokenizer, prompts, max_new_tokens, batch_size, **options)

    monkeypatch.setattr(instructions, "write_answers", noted)
    training.run(instruction("c3a", epochs=1, batch_size=4, **given))
    assert set(sizes) == {expected}


@pytest.fixture(scope="module")
def tiny_gpt2(tmp_path_factory, tiny_llama) -> str:
    """Return the folder of a GPT-2 with 24 learnt positions. One more token raises, unlike in a LLaMA."""
    folder = Path(shutil.copytree(tiny_llama, tmp_path_factory.mktemp("gpt2") / "model"))
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(tiny_llama)
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 24, "initializer_range": 0.3}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    GPT2LMHeadModel(GPT2Config(vocab_size=config.vocab_size, **sizes, **ends)).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_an_answer_does_not_depend_on_its_batch(tiny_llama, tiny_gpt2, kind):
    folder = {"llama": tiny_llama, "gpt2": tiny_gpt2}[kind]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    draw = torch.Generator().manual_seed(0)
    lengths = (3, 20, 7, 12, 23, 3, 1, 24, 20)  # up to the last position of GPT-2
    prompts = [torch.randint(3, 300, (length,), generator=draw).tolist() for length in lengths]
    alone, few, all_ = (instructions.write_answers(model, tokenizer, prompts, 8, size, False) for size in (1, 4, 9))
    assert alone == few == all_ and len(set(alone)) > 5
    if kind == "gpt2":  # after 24 tokens there is no room left
        assert alone[7] == "" and alone[4] != ""


def test_max_new_tokens_is_the_length_of_the_longest_answer(instruction, monkeypatch):
    asked, real = [], instructions.write_answers

    def counting(model, tokenizer, prompts, max_new_tokens, *arguments, **options):
        asked.append(max_new_tokens)
        return real(model, tokenizer, prompts, 1, *arguments, **options)

    monkeypatch.setattr(instructions, "write_answers", counting)
    training.run(instruction("full", epochs=1, max_new_tokens=3))
    assert set(asked) == {3}
    del asked[:]
    training.run(instruction("full", epochs=1, max_new_tokens=0))
    assert set(asked) == {tasks.get("gsm8k").max_new_tokens}


def test_rows_that_are_too_long_are_truncated_and_counted(parts, tmp_path, questions_dir):
    folder = Path(shutil.copytree(questions_dir, tmp_path / "long"))
    rows = (folder / "train.jsonl").read_text().splitlines()
    rows[:3] = ['{"question": "say", "answer": "#### 1 #### 1 #### 1 #### 1"}'] * 3
    rows[3:5] = [f'{{"question": "{"say 1 " * 20}", "answer": "#### 1"}}'] * 2
    (folder / "train.jsonl").write_text("\n".join(rows))
    with pytest.warns(
        UserWarning, match=r"longer than 16 tokens are truncated: 5 of train, 0 of .*loss: 2 of train, 0 of v"
    ):
        _, _, _, encoded = parts(data_dir=str(folder), max_length=16)
    train = encoded["train"]
    assert len(train) == 78 and max(map(len, train["input_ids"])) == 16
    assert all(labels[-1] != IGNORED for labels in train["labels"])
    assert sum(labels[-1] != 1 for labels in train["labels"]) == 3  # truncated before their end of text


def test_rows_that_fit_give_no_warning(parts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts()


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_room_for_any_answer_raises(instruction, tmp_path, questions_dir, steps, split):
    folder = Path(shutil.copytree(questions_dir, tmp_path / "long"))
    (folder / f"{split}.jsonl").write_text(f'{{"question": "{"say 1 " * 20}", "answer": "#### 1"}}')
    with pytest.raises(ValueError, match=f"no prompt in {split} of task 'gsm8k' leaves room .* 16 tokens.*max_length"):
        training.run(instruction(data_dir=str(folder), max_length=16))
    assert steps == []


@pytest.mark.parametrize("task", ["gsm8k", "alpaca"])
def test_a_row_without_room_for_an_answer_is_left_out_of_the_loss(instruction, parts, tmp_path, task, tiny_gpt2):
    """Its answer is empty. Its loss would be NaN, or another row would count twice in its place."""
    asked, answer = {"gsm8k": ("question", "answer"), "alpaca": ("instruction", "output")}[task]
    for split in ("train", "validation", "test"):
        rows = [{asked: "say 1 " * (20 if i == 2 else 1), answer: str(i)} for i in range(6)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    still = {"learning_rate": 1e-12, "head_learning_rate": 1e-12, "batch_size": 1, "epochs": 1}
    settings = {"model": tiny_gpt2, "task": task, "data_dir": str(tmp_path), **still}
    with pytest.warns(UserWarning, match="1 of train, 1 of validation, 1 of test"):
        result = training.run(instruction("full", **settings))
        *_, encoded = parts(**settings)
    counted = [row for row in encoded["validation"] if row["labels"][-1] != IGNORED]
    by_hand = answer_loss(AutoModelForCausalLM.from_pretrained(tiny_gpt2), counted)
    assert len(counted) == 5 and result.epochs[0]["loss"] == pytest.approx(by_hand, rel=1e-4)
    assert result.rows == {"train": 5, "validation": 6, "test": 6}
    assert result.predictions[2:3] == ([""] if task == "gsm8k" else [])


def test_full_fine_tuning_learns_to_answer_and_its_answers_are_scored(instruction, questions_dir):
    made = instruction("full", epochs=5)
    result = training.run(made)
    assert (result.metric, result.start_score) == ("exact_match", 0) and result.score >= 0.9
    assert result.score == max(row["score"] for row in result.epochs) == result.epochs[result.best_epoch - 1]["score"]
    references = tasks.load("gsm8k", questions_dir)[0]["test"]["answer"]
    assert result.test_score == tasks.get("gsm8k").score(references, result.predictions) == result.score
    assert result.epochs[-1]["loss"] < result.epochs[0]["loss"] and len(result.start_predictions) == 16
    assert results.read(results.path_of(made.name, made.output_dir)) == result


def test_group_scores_add_up_to_the_test_score(instruction, questions_dir, tmp_path):
    for split in ("train", "validation", "test"):
        rows = map(json.loads, Path(questions_dir, f"{split}.jsonl").read_text().splitlines())
        kinds = [row | {"kind": row["question"].split()[0] if i else None} for i, row in enumerate(rows)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, kinds)))
    result = training.run(instruction("full", task="word_problems", data_dir=str(tmp_path), epochs=4))
    counts = Counter(str(row["kind"]) for row in kinds)
    assert set(result.groups) == set(counts) <= {"say", "name", "write", "give", "None"} and 0 < result.test_score
    mean = sum(score * counts[name] for name, score in result.groups.items()) / 16
    assert mean == pytest.approx(result.test_score)


def test_the_best_epoch_is_chosen_by_the_answers(instruction, monkeypatch):
    """Scores are fixed, the best in the first epoch, unlike the loss. The test must give that epoch's answers."""
    written, scores = [], iter((0.0, 0.9, 0.1, 0.9))
    monkeypatch.setattr(tasks.InstructionTask, "score", lambda task, r, w: written.append(w) or next(scores))
    result = training.run(instruction("full"))
    assert (result.best_epoch, result.score) == (1, 0.9) and result.epochs[1]["loss"] < result.epochs[0]["loss"]
    assert written[3] == written[1] != written[2] and result.predictions == written[1]


@pytest.mark.parametrize("method", ["c3a", "full"])
def test_the_saved_weights_give_the_recorded_answers(instruction, parts, method):
    made = instruction(method)
    result = training.run(made)
    assert result.epochs[-1]["loss"] < result.losses[0]["loss"]
    assert result.head_parameters == 0 or method == "full"
    assert result.predictions != result.start_predictions
    _, tokenizer, _, encoded = parts()
    if method == "full":
        folder = Path(made.output_dir) / "models" / made.name
        model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    else:
        folder = Path(made.output_dir) / "adapters" / made.name
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(made.model), folder)
    prompts = list(encoded["test"]["prompt"])
    assert instructions.write_answers(model, tokenizer, prompts, 6, 3, progress=False) == result.predictions
    best = result.epochs[result.best_epoch - 1]
    assert answer_loss(model, encoded["validation"]) == pytest.approx(best["loss"], rel=1e-4)
    if method == "c3a":
        assert not any("lm_head" in name for name in load_file(folder / "adapter_model.safetensors"))


def test_the_method_head_trains_the_language_models_own_head(instruction, monkeypatch):
    trained, real = [], Trainer.train

    def watching(self, *arguments, **options):
        trained.extend(name for name, p in self.model.named_parameters() if p.requires_grad)
        return real(self, *arguments, **options)

    monkeypatch.setattr(Trainer, "train", watching)
    result = training.run(instruction("head", epochs=1))
    assert trained == ["lm_head.weight"] and result.trainable_parameters == 0
    assert result.epochs[0]["loss"] < result.losses[0]["loss"]


def test_alpaca_is_scored_by_its_loss_and_nothing_is_generated(instruction, tmp_path, monkeypatch):
    for split in ("train", "validation", "test"):
        rows = [f'{{"instruction": "say {i % 10}", "input": "", "output": "{i % 10}"}}' for i in range(24)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(rows))
    monkeypatch.setattr(instructions, "write_answers", lambda *a, **o: pytest.fail("an answer was generated"))
    result = training.run(instruction("full", task="alpaca", data_dir=str(tmp_path)))
    assert result.metric == "negative_loss" and (result.predictions, result.start_predictions) == ([], [])
    assert [row["score"] for row in result.epochs] == [-row["loss"] for row in result.epochs]
    assert result.start_score < result.test_score == pytest.approx(result.score)


@LOADS_OPTIMIZERS
@pytest.mark.parametrize("method", ["full", "c3a"])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(instruction, same_when_resumed, method):
    same_when_resumed(instruction, method)
