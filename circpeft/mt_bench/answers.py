"""Generation of a model's answers to MT-Bench, and the reader of their file, in FastChat's format."""

from __future__ import annotations

import json
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tqdm.auto import tqdm

from ..files import write_atomically
from .question_file import TEMPERATURES, Question, check_questions, read_lines

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Messages = Sequence[tuple[str, str]]
HEADINGS = {"user": "### Instruction:", "assistant": "### Response:"}


def instruction_template(messages: Messages) -> str:
    """Return the prompt of a conversation for a model without a chat template.

    Args:
        messages: pairs of a role ("user" or "assistant") and a text; the last one is the user's.

    >>> print(instruction_template([("user", "1 + 1?"), ("assistant", "2"), ("user", "And doubled?")]) + "4")
    ### Instruction:
    1 + 1?
    <BLANKLINE>
    ### Response:
    2
    <BLANKLINE>
    ### Instruction:
    And doubled?
    <BLANKLINE>
    ### Response:
    4
    """
    parts = [f"{HEADINGS[role]}\n{text.strip()}" for role, text in messages]
    return "\n\n".join([*parts, f"{HEADINGS['assistant']}\n"])


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[Question],
    model_id: str,
    path: str | Path,
    max_new_tokens: int | None = None,
    template: Callable[[Messages], str] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Let a model answer both turns of every question; the second prompt contains the first answer.

    The file is written after every question. Questions that it already answers are skipped, so the same call continues
    an interrupted run. Temperatures are FastChat's (``TEMPERATURES``). The random numbers restart at ``seed`` for each
    question, so a continued run gives the same answers as an uninterrupted one.

    A prompt that is too long is cut from the left, with a warning that names the question.

    Args:
        model: a causal language model, adapted or not. It answers in evaluation mode and returns to its former mode.
        tokenizer: its tokenizer.
        questions: the questions to answer.
        model_id: the name of the model in answers and judgments.
        path: the ``.jsonl`` file of answers.
        max_new_tokens: maximum length of an answer. None means FastChat's 1024, or half the context if that is less.
        template: turns (role, text) pairs into a prompt. The default is the tokenizer's chat template, or
            ``instruction_template`` if the tokenizer has none.
        seed: seed of the random numbers.
        progress: show a progress bar.

    Returns:
        The path.

    Raises:
        ValueError: before any work, if the file is damaged (the message names the line) or holds another model's
            answers, if there are no questions or one occurs twice, if the model is an encoder-decoder, or if
            max_new_tokens leaves no room for a prompt.

    Source: Zheng et al. 2023 (arXiv 2306.05685), section 2, and FastChat's ``llm_judge``.
    """
    path = Path(path)
    check_questions(questions)
    max_new_tokens, room = _room(model, tokenizer, max_new_tokens)
    done = read_answers(path, model_id) if path.exists() else {}
    unanswered = [question for question in questions if question.question_id not in done]
    if template is None and not tokenizer.chat_template:
        template = instruction_template
    training = model.training
    model.eval()
    try:
        # The caller's random numbers continue as if nothing had been sampled here.
        with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
            for question in tqdm(unanswered, desc="MT-Bench answers", disable=not progress):
                torch.manual_seed(seed)
                turns = _answer(model, tokenizer, question, max_new_tokens, room, template)
                done[question.question_id] = {
                    "question_id": question.question_id,
                    "answer_id": uuid.uuid4().hex,
                    "model_id": model_id,
                    "choices": [{"index": 0, "turns": turns}],
                    "tstamp": time.time(),
                }
                write_atomically(path, "".join(json.dumps(row) + "\n" for row in done.values()))
    finally:
        model.train(training)
    return path


def _room(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_new_tokens: int | None) -> tuple[int, int]:
    """Return the maximum number of tokens of an answer, and of a prompt that leaves room for it."""
    if model.config.is_encoder_decoder:
        raise ValueError(f"{type(model).__name__} is an encoder-decoder; expected a causal language model")
    # The tokenizer's limit is often a guess, so it is used only if the model has none (ALiBi).
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or tokenizer.model_max_length
    default = min(1024, context // 2)
    max_new_tokens = default if max_new_tokens is None else max_new_tokens
    if not 1 <= max_new_tokens <= context - 2:
        raise ValueError(
            f"max_new_tokens={max_new_tokens} must be at least 1 and leave room for the prompt in the model's context "
            f"of {context} tokens; try {default}"
        )
    return max_new_tokens, context - max_new_tokens


def _answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    question: Question,
    max_new_tokens: int,
    room: int,
    template: Callable[[Messages], str] | None,
) -> list[str]:
    """Return the answers to both turns."""
    temperature = TEMPERATURES[question.category]
    sampling = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    messages: list[tuple[str, str]] = []
    for turn, text in enumerate(question.turns, 1):
        messages.append(("user", text))
        ids = _tokens(tokenizer, messages, template)
        if len(ids) > room:
            warnings.warn(
                f"question {question.question_id}, turn {turn}: the prompt has {len(ids)} tokens; its first "
                f"{len(ids) - room} are cut, as the model's context leaves {room} for the prompt and {max_new_tokens} "
                f"for the answer",
                stacklevel=3,
            )
            first = ids[:1] if ids[0] == tokenizer.bos_token_id else []  # models rely on the BOS token
            ids = first + ids[len(ids) - room + len(first) :]
        prompt = torch.tensor([ids], device=model.device)
        output = model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=max_new_tokens,
            num_beams=1,
            pad_token_id=pad,
            **sampling,
        )
        answer = tokenizer.decode(output[0, len(ids) :], skip_special_tokens=True)
        if template is instruction_template:  # a model that does not stop also writes the user's next turn
            answer = answer.partition(HEADINGS["user"])[0]
        messages.append(("assistant", answer.strip()))
    return [text for role, text in messages if role == "assistant"]


def _tokens(
    tokenizer: PreTrainedTokenizerBase, messages: Messages, template: Callable[[Messages], str] | None
) -> list[int]:
    if template is None:
        chat = [{"role": role, "content": text} for role, text in messages]
        text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        return tokenizer(text, add_special_tokens=False)["input_ids"]  # the template adds them
    ids = tokenizer(template(messages))["input_ids"]
    return ids[:-1] if ids[-1] == tokenizer.eos_token_id else ids  # some tokenizers add an end token to every text


def read_answers(path: str | Path, model_id: str | None = None) -> dict[int, dict]:
    """Read the answers of one model, by question_id, as objects in FastChat's format.

    Args:
        path: the file that ``generate`` wrote.
        model_id: the model that they must be from; by default the model of the first line.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is not an answer with two turns, answers a question a second time, or is from another model.
            The message names file and line.
    """
    path, answers = Path(path), {}
    if not path.is_file():
        raise FileNotFoundError(f"no file of answers {str(path)!r}; circpeft.mt_bench.generate writes it")
    advice = "; delete the line to have its question answered again"
    for line, row in read_lines(path, advice):
        try:
            turns = row["choices"][0]["turns"]
            valid = len(turns) == 2 and all(isinstance(text, str) for text in turns)
            valid = valid and type(row["question_id"]) is int and isinstance(row["model_id"], str)
        except (KeyError, IndexError, TypeError):
            valid = False
        if not valid:
            raise ValueError(
                f"{path}, line {line} is not an answer; expected question_id, model_id and choices with two turns"
                f"{advice}"
            )
        model_id = model_id or row["model_id"]
        if row["model_id"] != model_id:
            raise ValueError(
                f"{path}, line {line} is an answer of model {row['model_id']!r}; expected only {model_id!r}: "
                f"use one file per model"
            )
        if row["question_id"] in answers:
            raise ValueError(f"{path}, line {line} answers question {row['question_id']} a second time{advice}")
        answers[row["question_id"]] = row
    return answers
