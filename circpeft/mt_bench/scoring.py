"""The scores of a model on MT-Bench, from the file of judgments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from .question_file import TEMPERATURES, Question, check_questions, read_lines

LOWEST, HIGHEST = 1, 10


def read_judgments(path: str | Path) -> dict[tuple[int, int], dict]:
    """Judgments of one model by one judge, by question_id and turn, as objects in FastChat's format.

    A ``score`` is a number from 1 to 10, or None where the judge gave none (FastChat's -1 is read as None).

    Raises: FileNotFoundError where there is no such file; ValueError, naming file and line, for a line that is no
    judgment, a second one of a turn, or one of another model or judge.
    """
    path, found = Path(path), {}
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of judgments {str(path)!r}; circpeft.mt_bench.judge writes it")
    whose = None
    advice = "; delete the line to have its answer judged again"
    for line, row in read_lines(path, advice):
        missing = [name for name in ("question_id", "model", "judge", "score", "turn") if name not in row]
        if missing:
            raise ValueError(f"{path}, line {line} lacks {', '.join(missing)}: it is no judgment{advice}")
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
        whose = whose or (row["model"], judge[0])
        if (row["model"], judge[0]) != whose:
            raise ValueError(
                f"{path}, line {line} judges {row['model']!r} by {judge[0]!r}, lines before it {whose[0]!r} by "
                f"{whose[1]!r}; use one file a model and judge"
            )
        if key in found:
            raise ValueError(f"{path}, line {line} judges turn {key[1]} of question {key[0]} a second time{advice}")
        found[key] = row
    return found


def scores(path: str | Path, questions: Sequence[Question] = ()) -> dict:
    """Means of a model's scores: over all turns, over the first and second ones, and by category.

    Args:
        path: the file that ``judge`` wrote.
        questions: those that were asked; needed for the categories, and to count turns that were never judged.

    Returns: ``mean``, ``turn_1``, ``turn_2`` and ``categories`` (by name, of those that the questions have), each None
    where nothing of it was scored; ``scored`` and ``missing``, the numbers of turns. Missing turns are in no mean.

    Raises: ValueError where nothing was scored, or a judgment is of none of the questions.

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
        strange = sorted({number for number, _ in rows} - set(categories))
        if strange:
            raise ValueError(f"{path} judges question {strange[0]}, which is not among the {len(questions)} questions")
        turns = {(number, turn) for number in categories for turn in (1, 2)}
    given = {key: row["score"] for key, row in rows.items() if row["score"] is not None}
    if not given:
        why = next((row["error"] for row in rows.values() if row.get("error")), "it holds no judgments")
        raise ValueError(f"nothing was scored in {path}: {why}; call circpeft.mt_bench.judge again")
    names = [name for name in TEMPERATURES if name in categories.values()]
    return {
        "mean": _mean(given.values()),
        "turn_1": _mean(score for (_, turn), score in given.items() if turn == 1),
        "turn_2": _mean(score for (_, turn), score in given.items() if turn == 2),
        "categories": {
            name: _mean(score for (number, _), score in given.items() if categories[number] == name) for name in names
        },
        "scored": len(given),
        "missing": len(turns) - len(given),
    }


def _mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return sum(values) / len(values) if values else None
