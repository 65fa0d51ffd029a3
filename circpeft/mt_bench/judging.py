"""Grading of MT-Bench answers, one at a time, by a judge behind an endpoint that speaks OpenAI's protocol."""

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
    """Raise what `judge` raises of its arguments, before the answers are written that it is to grade.

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
    """Have every answer graded from 1 to 10: one request to ``{endpoint}/chat/completions`` for each turn.

    The file is written after every turn; turns that have a score are kept, those without one are asked for again by the
    next call. A timeout, a lost connection, HTTP 408, 409, 429 or 5xx and a reply without a rating are tried again;
    what still has no score then is recorded with ``score`` null and an ``error``, and a warning counts them.

    Args:
        questions: those that were asked, all of which must be answered.
        answers_path: the file that ``generate`` wrote.
        path: the ``.jsonl`` file of judgments.
        endpoint: base address of the service, up to and without ``/chat/completions``.
        judge_model: the service's name of the judge.
        api_key_env: name of the environment variable that holds the key. Nothing else takes a key, and it is written
            nowhere; a service that needs none still wants some text.
        timeout: seconds to wait for the service.
        retries: attempts after the first one.
        progress: show a progress bar.
        backoff: seconds before the second attempt, doubled for each further one, up to a minute; a service that asks
            for a longer wait (Retry-After) gets it, up to a minute.

    Returns: the path.

    Raises: ValueError before any request where the key is not set, an argument is not legal, a question has no answer,
    or the file is damaged, of another model or judge, or of other answers. During the requests PermissionError for
    HTTP 401 and 403, ValueError for 404 and redirections: what is judged by then is kept.

    Source: Zheng et al. 2023 (arXiv 2306.05685), section 3.1, single answer grading. The prompts are our own, and the
    references those of the question file, where FastChat shows answers of GPT-4: scores compare with each other, and
    not quite with published ones.
    """
    path = Path(path)
    check_questions(questions)
    service = Service(endpoint, judge_model, api_key_env, timeout, retries, backoff)
    answers = read_answers(answers_path)
    lacking = [question.question_id for question in questions if question.question_id not in answers]
    if lacking:
        raise ValueError(
            f"{answers_path} has no answer to question {lacking[0]} ({len(lacking)} lack); finish it with "
            f"circpeft.mt_bench.generate"
        )
    model_id = next(iter(answers.values()))["model_id"]
    done = read_judgments(path) if path.exists() else {}
    for row in list(done.values())[:1]:  # the file is of one model and judge: its first line speaks for all
        if (row["model"], row["judge"][0]) != (model_id, judge_model):
            raise ValueError(
                f"{path} has judgments of {row['model']!r} by {row['judge'][0]!r}; expected {model_id!r} by "
                f"{judge_model!r}: use one file a model and judge"
            )
    todo = []
    for question in questions:
        turns = answers[question.question_id]["choices"][0]["turns"]
        for turn in (1, 2):
            form, prompt = judge_prompt(question, turns, turn)
            row = done.get((question.question_id, turn))
            if row is None or row["score"] is None:
                todo.append((question.question_id, turn, form, prompt))
            elif row.get("user_prompt") != prompt:
                raise ValueError(
                    f"{path} has a score for another answer to turn {turn} of question {question.question_id} than "
                    f"{answers_path}, or for another prompt; delete its line or use another file"
                )
    with service.client() as client:
        for number, turn, form, prompt in tqdm(todo, desc="MT-Bench judgments", disable=not progress):
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
        why = missing[0].get("error", "no reason told")
        warnings.warn(
            f"{len(missing)} of {len(done)} turns in {path} have no score, the first for: {why}; call judge again to "
            f"ask for them",
            stacklevel=2,
        )
    return path
