"""The reader of judgments, and the scores of a model on MT-Bench."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from .question_file import TEMPERATURES, Question, check_questions, read_lines

LOWEST, HIGHEST = 1, 10


def read_judgments(path: str | Path) -> dict[tuple[int, int], dict]:
    """Read the judgments of one model by one judge, by (question_id, turn), as objects in FastChat's format.

    A ``score`` is a number from 1 to 10, or None if the judge gave none (FastChat's -1 is read as None).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is not a judgment, judges a turn a second time, or has another model or judge. The message
            names file and line.
    """
    path, judgments = Path(path), {}
    if not path.is_file():
        raise FileNotFoundError(f"no file of judgments {str(path)!r}; circpeft.mt_bench.judge writes it")
    model_and_judge = None
    advice = "; delete the line to have its answer judged again"
    for line, row in read_lines(path, advice):
        missing = [name for name in ("question_id", "model", "judge", "score", "turn") if name not in row]
        if missing:
            raise ValueError(f"{path}, line {line} lacks {', '.join(missing)}: it is not a judgment{advice}")
        key, judge = (row["question_id"], row["turn"]), row["judge"]
        if type(key[0]) is not int or key[1] not in (1, 2) or not (isinstance(judge, list) and judge):
            raise ValueError(
                f"{path}, line {line} has question_id {key[0]!r}, turn {key[1]!r} and judge {judge!r}; expected a "
                f"whole number, 1 or 2, and a list{advice}"
            )
        if row["score"] == -1:
            row["score"] = None
        score = row["score"]
        if score is not None and (type(score) not in (int, float) or not LOWEST <= score <= HIGHEST):
            raise ValueError(
                f"{path}, line {line} has score {score!r}; expected {LOWEST} to {HIGHEST}, or null{advice}"
            )
        model_and_judge = model_and_judge or (row["model"], judge[0])
        if (row["model"], judge[0]) != model_and_judge:
            model, first_judge = model_and_judge
            raise ValueError(
                f"{path}, line {line} judges {row['model']!r} by {judge[0]!r}, but earlier lines {model!r} by "
                f"{first_judge!r}; use one file per model and judge"
            )
        if key in judgments:
            raise ValueError(f"{path}, line {line} judges turn {key[1]} of question {key[0]} a second time{advice}")
        judgments[key] = row
    return judgments


def scores(path: str | Path, questions: Sequence[Question] = ()) -> dict:
    """Return the mean scores of a model: over all turns, over first and second turns, and by category.

    Args:
        path: the file that ``judge`` wrote.
        questions: the questions that were asked; needed for the categories, and to count turns that were never judged.

    Returns:
        ``mean``, ``turn_1``, ``turn_2`` and ``categories`` (a dict by name), each None if nothing in it was scored;
        ``scored`` and ``missing``, the numbers of turns. Missing turns enter no mean.

    Raises:
        ValueError: nothing was scored, or a judgment belongs to none of the questions.

    >>> import json, tempfile
    >>> row = {"question_id": 1, "model": "mine", "judge": ["gpt-4", "single"]}
    >>> file = Path(tempfile.mkdtemp()) / "judgments.jsonl"
    >>> _ = file.write_text("".join(json.dumps(row | {"turn": t, "score": s}) + "\\n" for t, s in ((1, 8), (2, 5.5))))
    >>> scores(file, [Question(1, "math", ("1 + 1?", "And doubled?"))])
    {'mean': 6.75, 'turn_1': 8.0, 'turn_2': 5.5, 'categories': {'math': 6.75}, 'scored': 2, 'missing': 0}

    Source: Zheng et al. 2023 (arXiv 2306.05685), section 4: the score is the mean over the turns.
    """
    rows = read_judgments(path)
    categories = {question.question_id: question.category for question in questions}
    turns = set(rows)
    if questions:
        check_questions(questions)
        unknown = sorted({number for number, _ in rows} - set(categories))
        if unknown:
            raise ValueError(f"{path} judges question {unknown[0]}, which is not among the {len(questions)} questions")
        turns = {(number, turn) for number in categories for turn in (1, 2)}
    scored = {key: row["score"] for key, row in rows.items() if row["score"] is not None}
    if not scored:
        reason = next((row["error"] for row in rows.values() if row.get("error")), "it holds no judgments")
        raise ValueError(f"nothing was scored in {path}: {reason}; call circpeft.mt_bench.judge again")
    names = [name for name in TEMPERATURES if name in categories.values()]
    return {
        "mean": _mean(scored.values()),
        "turn_1": _mean(score for (_, turn), score in scored.items() if turn == 1),
        "turn_2": _mean(score for (_, turn), score in scored.items() if turn == 2),
        "categories": {
            name: _mean(score for (number, _), score in scored.items() if categories[number] == name) for name in names
        },
        "scored": len(scored),
        "missing": len(turns) - len(scored),
    }


def _mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return sum(values) / len(values) if values else None
