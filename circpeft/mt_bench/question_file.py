"""The questions of MT-Bench, their reader, and the reader of ``.jsonl`` lines for all files of the benchmark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import as_utf8, expanded
from ..suggest import nearest

# FastChat's sampling temperature of each category; 0 means greedy decoding.
TEMPERATURES = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
}
FILES = ("question.jsonl", "test.jsonl")
HUB: dict[str, Any] = {"repo_id": "lmsys/mt-bench", "filename": "data/mt_bench/question.jsonl", "repo_type": "space"}


@dataclass(frozen=True)
class Question:
    """A question with two turns.

    Args:
        question_id: its number (81 to 160 in the published set).
        category: one of the eight in ``TEMPERATURES``.
        turns: the two messages of the user.
        reference: a right answer to each turn; an empty text or no entry means that there is none.

    Raises:
        ValueError: a value is not of this form.

    >>> Question(1, "maths", ("1 + 1?", "And doubled?"))
    Traceback (most recent call last):
    ValueError: unknown category 'maths' of question 1; did you mean 'math'? (choices: writing, roleplay, ...)
    """

    question_id: int
    category: str
    turns: tuple[str, ...]
    reference: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if type(self.question_id) is not int:
            raise ValueError(f"question_id must be a whole number, got {self.question_id!r}")
        if self.category not in list(TEMPERATURES):  # a list, as the value may be unhashable
            raise ValueError(
                f"unknown category {self.category!r} of question {self.question_id}; "
                f"{nearest(self.category, TEMPERATURES)}"
            )
        if not _texts(self.turns) or len(self.turns) != 2 or not all(turn.strip() for turn in self.turns):
            raise ValueError(f"turns of question {self.question_id} must be two texts, got {self.turns!r}")
        if not _texts(self.reference) or len(self.reference) > 2:
            raise ValueError(
                f"reference of question {self.question_id} must be up to two texts, got {self.reference!r}"
            )


def _texts(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(text, str) for text in value)


def questions(path: str | Path = "") -> list[Question]:
    """Read the questions from a file in FastChat's format, or download the published ones.

    Args:
        path: a ``.jsonl`` file with one object per line: ``question_id``, ``category``, ``turns`` and, optionally,
            ``reference``. Or a folder that holds it as ``question.jsonl`` or ``test.jsonl``. "" downloads FastChat's
            file.

    Raises:
        FileNotFoundError: there is no such file, or the download failed.
        ValueError: a line is not JSON or not a question with two turns, a question_id occurs twice, or there are no
            questions. The message names file and line.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "question.jsonl"
    >>> _ = file.write_text('{"question_id": 1, "category": "math", "turns": ["1 + 1?", "And doubled?"]}')
    >>> questions(file.parent)
    [Question(question_id=1, category='math', turns=('1 + 1?', 'And doubled?'), reference=())]
    """
    file = _download() if path == "" else _find(Path(expanded(path)))
    by_id: dict[int, Question] = {}
    lines: dict[int, int] = {}
    for line, row in read_lines(file):
        try:
            question = _question(row)
        except ValueError as error:
            raise ValueError(f"{file}, line {line}: {error}") from error
        if question.question_id in by_id:
            raise ValueError(
                f"{file}, line {line}: question_id {question.question_id} is already used in line "
                f"{lines[question.question_id]}; expected each once"
            )
        by_id[question.question_id], lines[question.question_id] = question, line
    if not by_id:
        raise ValueError(f"{file} has no questions; expected one JSON object per line")
    return list(by_id.values())


def _question(row: dict) -> Question:
    for name in ("question_id", "category", "turns"):
        if name not in row:
            raise ValueError(f"{name!r} is missing; {nearest(name, row)}")
    turns, reference = row["turns"], row.get("reference") or []
    return Question(
        row["question_id"],
        row["category"],
        tuple(turns) if isinstance(turns, list) else turns,
        tuple(reference) if isinstance(reference, list) else reference,
    )


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        present = [path / name for name in FILES if (path / name).is_file()]
        if len(present) > 1:
            raise ValueError(f"{path} has both {' and '.join(FILES)}; give the path of one")
        if present:
            return present[0]
        names = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
        raise FileNotFoundError(f"{path} holds {names}; expected {' or '.join(FILES)}")
    siblings = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
    raise FileNotFoundError(f"no file or folder {str(path)!r}; {nearest(path.name, siblings)}")


def _download() -> Path:
    import huggingface_hub

    try:
        return Path(huggingface_hub.hf_hub_download(**HUB))
    except OSError as error:  # the common base of the hub's errors, including a missing connection
        raise FileNotFoundError(
            f"cannot download {HUB['filename']} of the space {HUB['repo_id']}: {error}; "
            f"give the path of a local copy ({FILES[0]} of FastChat)"
        ) from error


def check_questions(asked: Sequence[Question]) -> None:
    """Raise ValueError if there are no questions, or two with the same question_id."""
    ids = [question.question_id for question in asked]
    if not ids:
        raise ValueError("no questions; expected those that circpeft.mt_bench.questions reads")
    if len(set(ids)) < len(ids):
        raise ValueError(f"question_id {next(i for i in ids if ids.count(i) > 1)} occurs twice; expected each once")


def read_lines(path: Path, advice: str = "") -> list[tuple[int, dict]]:
    """Return (line number, object) for each line of a ``.jsonl`` file; blank lines are skipped.

    Raises:
        ValueError: a line is not a JSON object. The message names file and line and ends with ``advice``.
    """
    rows = []
    lines = as_utf8(path.read_bytes()).split(b"\n")  # splitlines also splits at U+2028, which a string may contain
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # not JSON, not text, or nested too deeply
            raise ValueError(
                f"{path}, line {number} is not JSON: {error}; expected one object per line{advice}"
            ) from error
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number} is {type(row).__name__}; expected one object per line{advice}")
        rows.append((number, row))
    return rows
