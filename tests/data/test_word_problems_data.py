"""The word problems: the claims of their card, checked on the files and the generator."""

import importlib.util
import json
import re
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "data" / "word_problems"
SPLITS = {"train": 2000, "validation": 200, "test": 400}
# The story of each kind (numbers as #, the first name as \1, the things as \2) and its answer from the numbers, written
# out independently of the generator.
STORIES = {
    "more": (r"(\w+) has # (\w+)\. (?!\1)\w+ gives \1 # more\. How many \2 does \1 have now\?", lambda x, y: x + y),
    "bought": (r"(\w+) had # (\w+) and then bought # \2\. How many \2 does \1 have\?", lambda x, y: x + y),
    "together": (r"(\w+) has # (\w+) and (?!\1)\w+ has # \2\. How many \2 do they have together\?", lambda x, y: x + y),
    "fewer": (
        r"(\w+) has # (\w+)\. \1 gives (?!\1)\w+ # of them\. How many \2 does \1 have left\?",
        lambda x, y: x - y,
    ),
    "lost": (r"(\w+) had # (\w+) and lost #\. How many \2 are left\?", lambda x, y: x - y),
    "difference": (
        r"(\w+) has # (\w+)\. (?!\1)(\w+) has # fewer \2 than \1\. How many \2 does \3 have\?",
        lambda x, y: x - y,
    ),
    "boxes": (r"(\w+) has # boxes with # (\w+) in each\. How many \2 does \1 have in all\?", lambda p, q: p * q),
    "days": (r"Every day (\w+) finds # (\w+)\. How many \2 does \1 find in # days\?", lambda p, q: p * q),
    "more_and_fewer": (
        r"(\w+) has # (\w+)\. (?!\1)\w+ gives \1 # more, and then \1 loses # of them\. "
        r"How many \2 does \1 have in the end\?",
        lambda x, y, z: x + y - z,
    ),
    "boxes_and_more": (
        r"(\w+) has # boxes with # (\w+) in each, and # more \2 on the table\. How many \2 does \1 have in all\?",
        lambda p, q, y: p * q + y,
    ),
    "compared_and_together": (
        r"(\w+) has # (\w+)\. (?!\1)\w+ has # more \2 than \1\. How many \2 do they have together\?",
        lambda x, y: x + x + y,
    ),
}


def load_generator():
    spec = importlib.util.spec_from_file_location("word_problems_generate", FOLDER / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load_generator()
DATA = {split: [json.loads(line) for line in (FOLDER / f"{split}.jsonl").open()] for split in SPLITS}
ALL = [row for rows in DATA.values() for row in rows]


def sums(row):
    return row["answer"].splitlines()[:-1]


def names_and_things(split):
    """Return the words of a split that are not in a frame."""
    frames = {word for story, question, _ in generate.FRAMES.values() for word in re.findall(r"\w+", story + question)}
    return {word for row in DATA[split] for word in re.findall(r"[A-Za-z]+", row["question"])} - frames


def test_regenerating_gives_the_same_bytes():
    assert generate.main(["--check"]) == 0


def test_check_notices_a_changed_and_a_missing_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(generate, "HERE", tmp_path)
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0 and generate.main(["--check"]) == 0
    for split in SPLITS:
        assert (tmp_path / f"{split}.jsonl").read_bytes() == (FOLDER / f"{split}.jsonl").read_bytes()
    changed = tmp_path / "test.jsonl"
    changed.write_bytes(changed.read_bytes().replace(b"####", b"###", 1))
    assert generate.main(["--check"]) == 1
    assert "test.jsonl" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("split", SPLITS)
def test_schema(split):
    assert len(DATA[split]) == SPLITS[split]
    for row in DATA[split]:
        assert list(row) == ["question", "answer", "kind"]
        assert re.fullmatch(r"(\d+ [-+*] \d+ = \d+\n){1,2}#### \d+", row["answer"]), row["answer"]
        assert re.fullmatch(r"([A-Z][A-Za-z0-9, ]+\. ){1,2}How many [a-zA-Z0-9 ]+\?", row["question"]), row["question"]


def test_every_sum_is_right_and_the_last_one_is_the_answer():
    for row in ALL:
        results = []
        for line in sums(row):
            left, _, right = line.partition(" = ")
            results.append(eval(left))
            assert results[-1] == int(right), row
        assert all(1 <= result <= 99 for result in results), row
        assert row["answer"].endswith(f"\n#### {results[-1]}")


@pytest.mark.parametrize("kind", STORIES)
def test_the_answer_follows_from_the_story(kind):
    """Compute the answer from the story without the generator: right sums may not be those of the story."""
    story, answer = STORIES[kind]
    rows = [row for row in ALL if row["kind"] == kind]
    assert rows
    for row in rows:
        assert re.fullmatch(story, re.sub(r"\d+", "#", row["question"])), row
        numbers = map(int, re.findall(r"\d+", row["question"]))
        assert answer(*numbers) == int(row["answer"].rpartition("#### ")[2]), row


def test_no_name_or_thing_is_in_two_splits():
    words = {split: names_and_things(split) for split in SPLITS}
    sizes = {split: len(words[split]) for split in SPLITS}
    assert sizes == {"train": 42, "validation": 12, "test": 16}  # all are used
    for split in SPLITS:
        for other in set(SPLITS) - {split}:
            assert not words[split] & words[other]


def test_no_question_occurs_twice():
    assert len({row["question"] for row in ALL}) == len(ALL)


@pytest.mark.parametrize("split", SPLITS)
def test_all_kinds_are_equally_frequent(split):
    counts = Counter(row["kind"] for row in DATA[split])
    assert set(counts) == set(STORIES) and max(counts.values()) - min(counts.values()) <= 1
    first = {row["kind"] for row in DATA[split][: SPLITS[split] // 4]}
    assert first == set(STORIES)  # they are mixed


@pytest.mark.parametrize("split", SPLITS)
def test_an_answer_cannot_be_guessed_well(split):
    """The most frequent answer of each kind is rarely right."""
    right = 0
    for kind in STORIES:
        answers = Counter(row["answer"].rpartition(" ")[2] for row in DATA[split] if row["kind"] == kind)
        right += answers.most_common(1)[0][1]
    assert right <= 0.2 * SPLITS[split]
