"""Grading of MT-Bench answers, one at a time, by a judge model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from ..files import write_atomically
from .answers import read_answers
from .prompts import judge_prompt
from .question_file import Question, check_questions
from .scoring import read_judgments
from .service import Service


def check_judge(endpoint: str, judge_model: str = "gpt-4", api_key_env: str = "OPENAI_API_KEY") -> None:
    """Check the arguments of `judge` before there are answers, and raise what `judge` would raise.

    >>> check_judge("localhost:8000")
    Traceback (most recent call last):
    ...
    ValueError: endpoint 'localhost:8000' must begin with http:// or https://, name a host and have no query, such as 'http://localhost:8000/v1'
    """
    Service(endpoint, judge_model, api_key_env, timeout=60, retries=0, backoff=0)


def judge(
    questions: Sequence[Question],
    answers_path: str | Path,
    path: str | Path,
    endpoint: str,
    judge_model: str = "gpt-4",
    api_key_env: str = "OPENAI_API_KEY",
    timeout: float = 60,
    retries: int = 3,
    progress: bool = True,
    backoff: float = 1.0,
) -> Path:
    """Let a judge grade every answer from 1 to 10: one request to ``{endpoint}/chat/completions`` per turn.

    The file is written after every turn. The next call keeps scores and repeats turns without one. A request is
    repeated after a timeout, a lost connection, HTTP 408, 409, 429 or 5xx, or a reply without a rating. If there is
    still no score, the turn is recorded with ``score`` null and an ``error``, and a warning gives the number of such
    turns.

    Args:
        questions: the questions that were asked; each must be answered.
        answers_path: the file that ``generate`` wrote.
        path: the ``.jsonl`` file of judgments.
        endpoint: base address of the service, without ``/chat/completions``.
        judge_model: name of the judge model at the service.
        api_key_env: name of the environment variable that holds the key. The key is read only from there and written
            nowhere. For a service that needs no key, set it to any text.
        timeout: seconds to wait for the service.
        retries: number of attempts after the first one.
        progress: show a progress bar.
        backoff: seconds before the second attempt, doubled for each further one, up to a minute. If the service asks
            for a longer wait (Retry-After), it gets it, up to a minute.

    Returns:
        The path.

    Raises:
        ValueError: before any request, if the key is not set, an argument is invalid, a question has no answer, or the
            file is damaged or belongs to another model, another judge or other answers. During the requests, for HTTP
            404 and redirections; judgments made until then are kept.
        PermissionError: HTTP 401 or 403; judgments made until then are kept.

    Source: Zheng et al. 2023 (arXiv 2306.05685), section 3.1, single answer grading. The prompts are ours, and the
    references are those of the question file, while FastChat shows answers of GPT-4. Scores can be compared with each
    other, but not exactly with published ones.
    """
    path = Path(path)
    check_questions(questions)
    service = Service(endpoint, judge_model, api_key_env, timeout, retries, backoff)
    answers = read_answers(answers_path)
    unanswered = [question.question_id for question in questions if question.question_id not in answers]
    if unanswered:
        raise ValueError(
            f"{answers_path} has no answer to question {unanswered[0]} ({len(unanswered)} missing); finish it with "
            f"circpeft.mt_bench.generate"
        )
    model_id = next(iter(answers.values()))["model_id"]
    done = read_judgments(path) if path.exists() else {}
    for row in list(done.values())[:1]:  # all lines have the same model and judge as the first
        if (row["model"], row["judge"][0]) != (model_id, judge_model):
            raise ValueError(
                f"{path} has judgments of {row['model']!r} by {row['judge'][0]!r}; expected {model_id!r} by "
                f"{judge_model!r}: use one file per model and judge"
            )
    pending = []
    for question in questions:
        turns = answers[question.question_id]["choices"][0]["turns"]
        for turn in (1, 2):
            form, prompt = judge_prompt(question, turns, turn)
            earlier = done.get((question.question_id, turn))
            if earlier is None or earlier["score"] is None:
                pending.append((question.question_id, turn, form, prompt))
            elif earlier.get("user_prompt") != prompt:
                raise ValueError(
                    f"{path}: the score of turn {turn} of question {question.question_id} is for another answer than "
                    f"in {answers_path}, or was given with another prompt; delete its line or use another file"
                )
    with service.client() as client:
        for number, turn, form, prompt in tqdm(pending, desc="MT-Bench judgments", disable=not progress):
            score, text, problem = service.ask(client, prompt)
            row = {
                "question_id": number,
                "model": model_id,
                "judge": [judge_model, form],
                "user_prompt": prompt,
                "judgment": text,
                "score": score,
                "turn": turn,
                "tstamp": time.time(),
            }
            done[number, turn] = row if score is not None else row | {"error": problem}
            write_atomically(path, "".join(json.dumps(row) + "\n" for row in done.values()))
    missing = [row for row in done.values() if row["score"] is None]
    if missing:
        reason = missing[0].get("error", "no reason recorded")
        warnings.warn(
            f"{len(missing)} of {len(done)} turns in {path} have no score; reason of the first: {reason}; call judge "
            f"again to repeat them",
            stacklevel=2,
        )
    return path
