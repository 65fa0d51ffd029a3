"""MT-Bench inside a sweep: the model of a cell answers the questions, and a judge grades the answers.

CDVFT Table 3 has a column of MT-Bench scores for models that are trained on Alpaca. For each finished run of such a
cell, ``mt_bench/<run>/`` holds the answers, the judgments and their means. All three are kept: a sweep that is repeated
continues where it was interrupted, and asks the judge nothing twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import files, mt_bench, results, tasks, training
from ..recipes import CellRecipe, Plan
from .record import SweepError

COLUMN = "MT-Bench Score"


@dataclass(frozen=True)
class Judge:
    """The judge of a sweep, and what it grades.

    Args:
        endpoint: base address of an OpenAI-compatible service, without ``/chat/completions``.
        model: name of the judge model at the service.
        api_key_env: name of the environment variable that holds the key.
        questions: file or folder of the questions, as `mt_bench.questions` takes it; "" downloads FastChat's.
        max_new_tokens: maximum length of an answer; None is FastChat's 1024, or half the model's context.
    """

    endpoint: str
    model: str = "gpt-4"
    api_key_env: str = "OPENAI_API_KEY"
    questions: str = ""
    max_new_tokens: int | None = None


def is_judged(cell: CellRecipe) -> bool:
    """Return whether a judge fills this cell: a column of MT-Bench, or a task that compares no answers (Alpaca).

    >>> is_judged(CellRecipe("alpaca", "lora", column="alpaca")), is_judged(CellRecipe("gsm8k", "lora", column="GSM8K"))
    (True, False)
    """
    return cell.column.endswith(COLUMN) or tasks.get(cell.task).metric == "negative_loss"


def check(plan: Plan, judge: Judge) -> list[mt_bench.Question]:
    """Return the questions.

    Raises: SweepError, before anything runs, for a judge that cannot be asked, questions that cannot be read, or a plan
    without a cell for a judge.
    """
    if not any(map(is_judged, plan.cells)):
        raise SweepError(
            f"a judge grades MT-Bench, and {plan.name} has no column for it; leave the judge out, or run cdvft-3"
        )
    try:
        mt_bench.check_judge(judge.endpoint, judge.model, judge.api_key_env)
        return mt_bench.questions(judge.questions)
    except (ValueError, OSError) as error:
        raise SweepError(str(error)) from error


def score(recipe: CellRecipe, judge: Judge, questions: Sequence[mt_bench.Question], progress: bool = True) -> float:
    """Let the trained model of a run answer the questions and the judge grade the answers; return the mean score.

    Raises: FileNotFoundError for a run without weights on this machine; whatever `mt_bench.generate`, `mt_bench.judge`
    and `mt_bench.scores` raise.
    """
    finished = results.read(results.path_of(recipe.name, recipe.output_dir)).finished
    folder = Path(recipe.output_dir) / "mt_bench" / recipe.name
    # A run that is made again has other weights, and so other answers.
    mark = hashlib.sha256(f"{finished} {judge.max_new_tokens}".encode()).hexdigest()[:8]
    service = hashlib.sha256(f"{judge.endpoint} {judge.model}".encode()).hexdigest()[:8]
    answers, judgments = folder / f"answers-{mark}.jsonl", folder / f"judgments-{mark}-{service}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    if not _complete(answers, questions):
        model, tokenizer = training.load_trained(recipe)
        # The prompt of the training: the tokenizer's chat template, or the one for instructions.
        template = None if training.chat.used(recipe, tokenizer) else mt_bench.instruction_template
        options: dict[str, Any] = {"max_new_tokens": judge.max_new_tokens, "template": template, "progress": progress}
        mt_bench.generate(model, tokenizer, questions, recipe.name, answers, **options)
    asked: dict[str, Any] = {"judge_model": judge.model, "api_key_env": judge.api_key_env, "progress": progress}
    mt_bench.judge(questions, answers, judgments, judge.endpoint, **asked)
    means = mt_bench.scores(judgments, questions)
    content: dict[str, Any] = {"run": recipe.name, "finished": finished, "judge": judge.model, **means}
    files.write_atomically(folder / "scores.json", json.dumps(content, indent=1) + "\n")
    return means["mean"]


def _complete(answers: Path, questions: Sequence[mt_bench.Question]) -> bool:
    """Return whether a file answers all questions, so that no model has to be loaded."""
    if not answers.exists():
        return False
    return {question.question_id for question in questions} <= set(mt_bench.read_answers(answers))
